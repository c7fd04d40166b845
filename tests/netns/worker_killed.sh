#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# kill -9 of the worker under load. Whatever the application waits in fails
# within a second (survive.c has the list), a program that receives meanwhile
# ends with an error and not as if all had come, the supervisor has a new worker
# within a second, and new sockets of the same application work.
. "$(dirname "$0")/../lib/net.sh"
net_begin 60 "$0" "$@"
only_vtoe
net_up
start echo peer "$PROGS/echo" 7000
wait_listening peer 7000

new_worker() { [ -n "$(worker_pid)" ] && [ "$(worker_pid)" != "$worker" ]; }

for round in 1 2 3; do
	worker=$(worker_pid)
	[ -n "$worker" ] || error "vtoectl names no worker"
	start push peer "$PROGS/flow" push listen 7001
	wait_listening peer 7001
	start pull app "$PROGS/flow" pull connect $PEER4 7001 1000000000000
	pull=$STARTED
	wait_for 10 stat_above rx_bytes 1000000 || error "no data comes"
	app "$PROGS/survive" $PEER4 7000 10.77.0.99 "$worker" \
		>"$RUN/survive.log" 2>&1 || fail "round $round: exit $?"
	status=0
	wait_for 1 net_gone "$pull" || fail "the receiver hangs"
	wait "$pull" || status=$?
	[ $status != 0 ] || fail "the receiver takes the loss for the end"
	wait_for 1 new_worker || fail "no new worker after 1 s"
	say "round $round: $(tail -n1 "$RUN/survive.log"), receiver: exit $status"
done
cat "$RUN/survive.log"
pass
