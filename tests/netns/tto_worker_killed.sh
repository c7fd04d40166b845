#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# kill -9 of the worker at random instants, again and again, under programs with the
# TTO service: no connection is lost, and every byte is right (MECHANISMS B9).
# Unmodified curl and nginx each way, and beside them a connection of short
# requests and responses. That the same program loses its connections with the TOE
# service is worker_killed's.
#
# A worker is killed when the file has grown since it came: a connection's
# retransmissions are further apart the longer it is without an answer, and one that
# never found a worker would end by its program's time limit, not by a fault.
#
# 100 kills, for 11 minutes, as in `make soak`: VTOE_TEST_ROUNDS=50 VTOE_TEST_RATE=6M
# VTOE_TEST_BYTES=2100000000 VTOE_TEST_SECONDS=1200
. "$(dirname "$0")/../lib/net.sh"
net_begin "${VTOE_TEST_SECONDS:-240}" "$0" "$@"
only_vtoe
need curl curl
sane curl --version
need nginx nginx-light
VTOE_TEST_SERVICE=tto
net_up

rounds=${VTOE_TEST_ROUNDS:-5}
restarts=0
# nginx lets go of who takes nothing for so long, and is to be later than we
NGINX_KEYS="send_timeout 300;"

size() { stat -c %s "$RUN/got" 2>/dev/null || echo 0; }
# gets WHERE RATE URL: at a rate at which it lasts as long as all kills; behind each
# it makes up for the time, as fast as it can.
gets() {
	start "curl-$1" "$1" curl -sS --limit-rate "${VTOE_TEST_RATE:-$2}" \
		-o "$RUN/got" "$3"
	curl=$STARTED
}

# grown PID: since the worker came; or the program has ended.
grown() { [ "$(size)" -ge $((had + 200000)) ] || net_gone "$1"; }

# kill_workers PID NAME: while that program runs.
kill_workers() {
	killed=0 waits=
	while [ $killed -lt "$rounds" ]; do
		worker=$(worker_pid)
		had=$(size)
		since=$(now_ms)
		wait_for 90 grown "$1" || fail "$2: behind $killed kills" \
			"$had bytes, and no more in 90 s"
		[ $killed = 0 ] || waits="$waits $(($(now_ms) - since))"
		# an instant like any other, of some megabytes
		sleep "$(printf '0.%03d' "$(shuf -i 0-299 -n 1)")"
		! net_gone "$1" || break
		kill -KILL "$worker" || fail "$2: worker $worker had ended"
		killed=$((killed + 1))
		# the supervisor lets one wait that follows many, at most 5 s
		wait_for 10 new_worker || fail "$2: no new worker after 10 s"
	done
	restarts=$((restarts + killed))
}

# middle_last MILLISECONDS: the median and the most of them.
middle_last() {
	# shellcheck disable=SC2086 # one a line
	printf '%s\n' $1 | sort -n |
		awk '{ n[NR] = $1 } END { print n[int((NR + 1) / 2)] " ms," \
			" at most " n[NR] " ms" }'
}

# whole PID NAME: the file came as it was.
whole() {
	finish "$1" 90 "curl, $2" || fail "$2: curl: exit $?"
	same_hash "$want" "$(hash_of <"$RUN/got")" "$2"
	[ $killed -gt 0 ] || fail "$2: it was too fast, no worker was killed"
	say "$2: $killed workers killed, every byte is there; more came" \
		"$(middle_last "${waits:-0}") after the next was ready"
}

mkdir -p "$RUN/www"
make_data "$RUN/www/data" "${VTOE_TEST_BYTES:-200000000}"
want=$(hash_of <"$RUN/www/data")

start idle.out app sh -c "exec $PROGS/echo 7000"
wait_listening app 7000
start rr peer "$PROGS/rr" $APP4 7000 10000000
rr=$STARTED

start_nginx peer 1
nginx=$STARTED
gets app 60M "http://$PEER4:8080/data"
kill_workers "$curl" download
whole "$curl" download

net_end "$nginx"
rm "$RUN/got"
start_nginx app 2
gets peer 12M "http://$APP4:8080/data"
kill_workers "$curl" server
whole "$curl" server

net_gone "$rr" && fail "the connection beside them has ended: $(cat "$RUN/rr.log")"
[ "$(stat_of worker_restarts)" -ge "$restarts" ] ||
	fail "workers were not restarted"
pass
