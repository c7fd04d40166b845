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

count() {
	say "switches $(switches_of "$@")"
	[ "$VTOE_TEST_PATH" = kernel ] || for name in turns sleeps doorbells \
		notify requests completions; do
		say "$name $(stat_of $name)"
	done
}

# What was started settles first.
settled() {
	before=$(count "$@")
	sleep 0.5
	[ "$before" = "$(count "$@")" ]
}
wait_for 10 settled "$@" || {
	count "$@"
	fail "does not come to rest within 10 s"
}
before=$(count "$@")
sleep 10 # this is what is measured
after=$(count "$@")
[ "$before" = "$after" ] || {
	say "before:" "$before"
	say "after:" "$after"
	fail "wakes in 10 s of nothing to do"
}
pass
