#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# kill -9 of the worker under load. Whatever the application waits in fails
# within a second (survive.c has the list), a download that runs meanwhile ends
# with an error and not with a short file, the supervisor has a new worker
# within a second, and new sockets of the same application work.
. "$(dirname "$0")/../lib/net.sh"
net_begin 60 "$0" "$@"
need curl curl
need nginx nginx-light
only_vtoe
net_up
start_nginx peer 1
make_data "$RUN/www/data" 50000000
start echo peer "$PROGS/echo" 7000
wait_listening peer 7000

new_worker() { [ -n "$(worker_pid)" ] && [ "$(worker_pid)" != "$worker" ]; }

for round in 1 2 3; do
	worker=$(worker_pid)
	[ -n "$worker" ] || error "vtoectl names no worker"
	start curl app curl -sS -o /dev/null \
		"http://$PEER4:8080/slow/data"
	curl=$STARTED
	wait_for 10 stat_above rx_bytes 1000000 || error "curl gets no data"
	app "$PROGS/survive" $PEER4 7000 10.77.0.99 "$worker" \
		>"$RUN/survive.log" 2>&1 || fail "round $round: exit $?"
	status=0
	wait_for 1 net_gone "$curl" || fail "curl hangs"
	wait "$curl" || status=$?
	[ $status != 0 ] || fail "curl takes a short file for a whole one"
	wait_for 1 new_worker || fail "no new worker after 1 s"
	say "round $round: $(tail -n1 "$RUN/survive.log"), curl: exit $status"
done
cat "$RUN/survive.log"
pass
