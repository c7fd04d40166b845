#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# A peer that breaks every rule of PROTOCOL.md (hostile_peer.c): each breach has
# the consequence that is stated there, the worker lives, and gives back what
# the offender had. Meanwhile well-behaved peers on the same guest and on a
# second guest exchange bytes, each of them checked, and iperf3 runs on the
# second guest: they lose nothing (MECHANISMS M14, I7, O5, O7). Arguments: the
# beginnings of the names of cases, to run only those.
. "$(dirname "$0")/../lib/net.sh"
net_begin 400 "$0" "$@"
only_vtoe
need iperf3 iperf3
net_up 2
start servers peer "$PROGS/hostile_peer" serve $PEER4 7000
wait_listening peer 7001
start iperf3-server peer iperf3 -s
wait_listening peer 5201

a=$(worker_pid "$GUEST") b=$(worker_pid "$GUEST2")
case "-$a-$b-" in *--*) error "vtoectl names no worker" ;; esac

# Short runs, so that each ends with the other side's account of it.
beside() {
	while [ ! -e "$RUN/end" ]; do
		app2 iperf3 -c $PEER4 -t 2 -b 500M || exit 1
		app2 iperf3 -c $PEER4 -t 2 -b 500M -R || exit 1
	done
}
beside >"$RUN/iperf3.log" 2>&1 &
beside=$!

"$PROGS/hostile_peer" run "$RUN/vtoed/$GUEST.sock" "$RUN/vtoed/$GUEST2.sock" \
	"$a" "$b" $PEER4 7000 "$@"
status=$?
: >"$RUN/end"
finish "$beside" 20 "iperf3 on the second guest" ||
	fail "iperf3 on the second guest: exit $?"
say "iperf3 on the second guest: $(grep -c receiver "$RUN/iperf3.log") runs"
[ "$(worker_pid "$GUEST")" = "$a" ] || fail "the worker is another one now"
[ "$(worker_pid "$GUEST2")" = "$b" ] ||
	fail "the second guest's worker is another one now"
say "parked: $(stat_of parked), refused: $(stat_of refused_peers)"
[ $status = 0 ] || fail "hostile_peer: exit $status"
pass
