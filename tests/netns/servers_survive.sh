#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# Servers outlive a worker: nginx with two worker processes that share its
# listeners, and redis, serve again within seconds after kill -9 of the worker,
# without being started again. When the supervisor is gone for good they wait
# for another one at rest (no loop of failing accepts), and serve again when it
# is there.
. "$(dirname "$0")/../lib/net.sh"
net_begin 120 "$0" "$@"
need curl curl
need nginx nginx-light
need redis-server redis-server
only_vtoe
net_up
start_nginx app 2
nginx=$STARTED
echo hello >"$RUN/www/hello"
mkdir "$RUN/redis"
start redis app redis-server --bind '0.0.0.0 ::' --port 6379 --save '' \
	--protected-mode no --dir "$RUN/redis"
wait_listening app 6379

serves() {
	[ "$(peer curl -sS --max-time 1 "http://$APP4:8080/hello")" = hello ] &&
		[ "$(peer curl -sS --max-time 1 "http://[$APP6]:8080/hello")" = hello ] &&
		[ "$(peer timeout 1 redis-cli -h $APP4 ping)" = PONG ]
}
# nginx has more than one acceptor: each must have come back.
serves_often() {
	for _ in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16; do
		serves || return 1
	done
}
# clock_of PID...: their processors' time, in ticks of 10 ms.
clock_of() {
	for pid in "$@"; do cat "/proc/$pid/stat"; done |
		awk '{ n += $14 + $15 } END { print n }'
}

# Each look is 48 requests; a sanitizer's build needs its time for them.
patience=10
[ -z "${VTOE_SAN_PRELOAD:-}" ] || patience=40
serves || error "nginx or redis does not serve"
for round in 1 2; do
	kill -KILL "$(worker_pid)"
	wait_for "$patience" serves_often || fail "round $round: a server does not come back"
	say "ok: round $round"
done
kill -KILL "$VTOED_PID"
wait "$VTOED_PID" 2>/dev/null
sleep 2 # the servers notice, and their attempts become rarer
# shellcheck disable=SC2046 # words
set -- "$nginx" $(cat "/proc/$nginx/task/$nginx/children")
before=$(clock_of "$@")
sleep 1
used=$(($(clock_of "$@") - before))
say "nginx used $used ticks in a second without a backend"
[ $used -le 10 ] || fail "nginx spins without a backend: $used ticks of 100"
[ "$(wc -c <"$RUN/nginx.log")" -lt 20000 ] || fail "nginx floods its log"
net_start_vtoed
wait_for "$patience" serves_often || fail "a server does not come back to a new vtoed"
kill -QUIT "$nginx"
finish "$nginx" 10 "nginx" || fail "nginx: exit $?"
pass
