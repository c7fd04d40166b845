#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# A greedy application does not starve another one of the same guest. Request
# and response of one go on while a second keeps a lane full of requests, and a
# third moves bulk data through eight streams both ways. The bound is generous,
# since tests share processors: a twentieth of the rate alone, and no exchange
# takes a second.
. "$(dirname "$0")/../lib/net.sh"
net_begin 60 "$0" "$@"
need iperf3 iperf3
net_up
start echo peer "$PROGS/echo" 7000
wait_listening peer 7000
start iperf3-server peer iperf3 -s
wait_listening peer 5201

# measure NAME -> count and worst, of 2 s.
measure() {
	app "$PROGS/rr" $PEER4 7000 2000 >"$RUN/rr.log" 2>&1 ||
		fail "$1: rr: exit $?"
	count=$(sed -n 's/^count //p' "$RUN/rr.log")
	worst=$(sed -n 's/^worst //p' "$RUN/rr.log")
	say "$1: $count exchanges, the slowest $worst us"
	[ "$worst" -lt 1000000 ] || fail "$1: an exchange took $worst us"
}

measure alone
alone=$count
if [ "$VTOE_TEST_PATH" = vtoe ]; then
	start flood native "$PROGS/flood_native" 3500
	flood=$STARTED
	wait_for 5 stat_above requests 100000 || fail "the flood does not flow"
	measure "beside a full lane"
	finish "$flood" 5 "flood" || fail "flood: exit $?"
	say "the full lane: $(cat "$RUN/flood.log")"
	[ "$count" -ge $((alone / 20)) ] || fail "starved by a full lane"
fi
start iperf3 app iperf3 -c $PEER4 -P 8 --bidir -t 3
iperf3=$STARTED
wait_for 5 grep -q 'sec' "$RUN/iperf3.log" || fail "iperf3 does not begin"
measure "beside bulk data"
finish "$iperf3" 10 "iperf3" || fail "iperf3: exit $?"
[ "$count" -ge $((alone / 20)) ] || fail "starved by bulk data"
pass
