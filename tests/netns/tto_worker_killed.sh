#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# kill -9 of the worker, again and again, under programs with the TTO service: no
# connection is lost, and every byte is right (MECHANISMS B9). Unmodified curl and
# nginx each way, and a connection that was idle meanwhile. That the same program
# loses its connections with the TOE service is worker_killed's.
. "$(dirname "$0")/../lib/net.sh"
net_begin "${VTOE_TEST_SECONDS:-240}" "$0" "$@"
only_vtoe
need curl curl
sane curl --version
need nginx nginx-light
VTOE_TEST_SERVICE=tto
net_up

rounds=${VTOE_TEST_ROUNDS:-5}
new_worker() {
	[ -n "$(worker_pid)" ] && [ "$(worker_pid)" != "$worker" ] && net_ready
}

# kill_workers PID: while that program runs.
kill_workers() {
	killed=0
	while [ $killed -lt "$rounds" ] && ! net_gone "$1"; do
		worker=$(worker_pid)
		wait_for 10 stat_above rx_bytes 200000 || break
		kill -KILL "$worker" || break
		killed=$((killed + 1))
		# the supervisor lets one wait that follows many, at most 5 s
		wait_for 10 new_worker || fail "no new worker after 10 s"
	done
}

# whole NAME: the file came as it was.
whole() {
	finish "$1" 90 "curl, $2" || fail "$2: curl: exit $?"
	same_hash "$want" "$(hash_of <"$RUN/got")" "$2"
	[ $killed -gt 0 ] || fail "$2: it was too fast, no worker was killed"
	say "$2: $killed workers killed, every byte is there"
}

mkdir -p "$RUN/www"
make_data "$RUN/www/data" "${VTOE_TEST_BYTES:-200000000}"
want=$(hash_of <"$RUN/www/data")

start idle.out app sh -c "exec $PROGS/echo 7000"
wait_listening app 7000
start rr peer "$PROGS/rr" $APP4 7000 1000000
rr=$STARTED

start_nginx peer 1
nginx=$STARTED
start curl app curl -sS --limit-rate 60M -o "$RUN/got" \
	"http://$PEER4:8080/data"
curl=$STARTED
kill_workers "$curl"
whole "$curl" "download"

net_end "$nginx"
start_nginx app 2
start curl2 peer curl -sS --limit-rate 60M -o "$RUN/got" \
	"http://$APP4:8080/data"
curl=$STARTED
kill_workers "$curl"
whole "$curl" "server"

net_gone "$rr" && fail "the connection beside them has ended: $(cat "$RUN/rr.log")"
[ "$(stat_of worker_restarts)" -ge 2 ] || fail "workers were not restarted"
pass
