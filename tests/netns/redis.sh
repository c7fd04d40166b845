#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# Unmodified redis: redis-server under vtoe-run with the peer's
# redis-benchmark, and the other way round; a value of 10 MB comes back as it
# was stored.
. "$(dirname "$0")/../lib/net.sh"
net_begin 60 "$0" "$@"
need redis-server redis-server
need redis-benchmark redis-tools
net_up

requests=${VTOE_TEST_REQUESTS:-20000}
make_data "$RUN/value" 10000000
want=$(hash_of "$RUN/value")

# one SERVER CLIENT ADDRESS
one() {
	mkdir -p "$RUN/redis-$1"
	start "redis-$1" "$1" redis-server --bind '0.0.0.0 ::' --port 6379 \
		--save '' --protected-mode no --dir "$RUN/redis-$1"
	server=$STARTED
	wait_listening "$1" 6379
	(net_exec "$2" redis-cli -h "$3" -x set value) <"$RUN/value" \
		>"$RUN/redis-cli.log" 2>&1 || fail "redis-cli set: exit $?"
	# redis-cli ends a raw value with a newline of its own.
	got=$( (net_exec "$2" redis-cli -h "$3" --raw get value) |
		head -c 10000000 | hash_of)
	same_hash "$want" "$got" "redis-cli get in $2"
	(net_exec "$2" timeout 20 redis-benchmark -h "$3" -n "$requests" \
		-c 50 -t set,get,lpush,lrange_100 -q --csv) >"$RUN/bench.log" 2>&1 ||
		fail "redis-benchmark in $2: exit $?"
	[ "$(grep -c '^"[A-Z]' "$RUN/bench.log")" -ge 4 ] ||
		fail "redis-benchmark in $2: results are missing"
	(net_exec "$2" timeout 20 redis-benchmark -h "$3" -n "$requests" \
		-c 50 -P 16 -t set,get -q --csv) >"$RUN/bench.log" 2>&1 ||
		fail "redis-benchmark -P 16 in $2: exit $?"
	(net_exec "$2" redis-cli -h "$3" shutdown nosave) >/dev/null 2>&1
	finish "$server" 10 "redis-server after shutdown" ||
		fail "redis-server in $1: exit $?"
}

one app peer $APP4
one peer app $PEER6
pass
