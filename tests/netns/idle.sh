#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# An idle system does not wake at all for ten seconds: not the supervisor, not
# the worker, not an nginx that waits for connections, not an application that
# waits in a receive. Context switches of every thread and the worker's own
# counters stand still.
. "$(dirname "$0")/../lib/net.sh"
net_begin 60 "$0" "$@"
need nginx nginx-light
net_up
start_nginx app 2
nginx=$STARTED
start push peer "$PROGS/echo" 7000
wait_listening peer 7000
start pull app "$PROGS/flow" pull connect $PEER4 7000 1
pull=$STARTED
wait_for 10 grep -q connected "$RUN/pull.log" || fail "no connection"

# shellcheck disable=SC2046 # one word each
set -- "$pull" "$nginx" $(cat "/proc/$nginx/task/$nginx/children")
[ $# = 4 ] || error "nginx has not two worker processes"
if [ "$VTOE_TEST_PATH" = vtoe ]; then
	set -- "$@" "$VTOED_PID" "$(worker_pid)"
fi

# The worker's own counters. Asking for them wakes the supervisor, so that is
# done outside of the measured time.
counters() {
	[ "$VTOE_TEST_PATH" = kernel ] || for name in turns sleeps doorbells \
		notify requests completions; do
		say "$name $(stat_of $name)"
	done
}

# What was started, or asked, settles first: a second's timer may be set.
settled() {
	before=$(switches_of "$@")
	sleep 1.5
	[ "$before" = "$(switches_of "$@")" ]
}
wait_for 10 settled "$@" || fail "does not come to rest within 10 s"
counters_before=$(counters)
wait_for 10 settled "$@" || fail "does not come to rest within 10 s"
before=
for pid in "$@"; do
	before="$before $(switches_of "$pid")"
done
sleep 10 # this is what is measured
after=
for pid in "$@"; do
	after="$after $(switches_of "$pid")"
done
counters_after=$(counters)
say "context switches before:$before, after:$after"
[ "$before" = "$after" ] || fail "wakes in 10 s of nothing to do"
[ "$counters_before" = "$counters_after" ] || {
	say "before:" "$counters_before"
	say "after:" "$counters_after"
	fail "the worker's counters move in 10 s of nothing to do"
}
pass
