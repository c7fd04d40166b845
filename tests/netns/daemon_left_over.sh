#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# After kill -9 of the supervisor the next one removes what it has left behind,
# at any moment of its life, and nothing that only has the same name.
. "$(dirname "$0")/../lib/net.sh"
net_begin 120 "$0" "$@"
only_vtoe
net_up 2
A=t$$c

guest_names() { ip netns list | sed 's/ .*//' | grep "^vtoe-t$$"; }

kill_vtoed() {
	workers="$(worker_pid "$GUEST") $(worker_pid "$GUEST2")"
	kill -KILL "$VTOED_PID"
	wait "$VTOED_PID" 2>/dev/null
	for worker in $workers; do
		wait_for 1 net_gone "$worker" || fail "a worker lives on"
	done
}

# Both guests are left behind. The name of the second goes to another
# namespace, with an eth0 of its own; the first is removed.
kill_vtoed
[ "$(guest_names | wc -l)" = 2 ] || error "the names are gone by themselves"
ip netns del "vtoe-$GUEST2"
net_namespace "vtoe-$GUEST2"
ip -n "vtoe-$GUEST2" link add eth0 type bridge
inode=$(stat -L -c %i "/run/netns/vtoe-$GUEST2")
printf '%s\n' "[vtoed]" "run_dir = $RUN/vtoed" >"$RUN/vtoed.conf"
net_guests=0
net_start_vtoed
wait_for 5 ctl list || error "vtoed does not start"
[ "$(guest_names)" = "vtoe-$GUEST2" ] || fail "left: $(guest_names)"
[ "$(stat -L -c %i "/run/netns/vtoe-$GUEST2")" = "$inode" ] ||
	fail "the namespace of another was replaced"
ip -n "vtoe-$GUEST2" link show eth0 >/dev/null ||
	fail "the interface of another was removed"
grep -q "vtoe-$GUEST2 is another" "$RUN/vtoed.log" ||
	fail "no word of the namespace of another"
[ "$(ip -n "$NS-dd" -br link | grep -c vt-)" = 0 ] || fail "a veth is left"
[ "$(cd "$RUN/vtoed" && echo *)" = "vtoed.ctl vtoed.lock" ] ||
	fail "left in run_dir: $(ls "$RUN/vtoed")"
ip netns del "vtoe-$GUEST2"

# Killed in the middle of attaching, at 25 different moments: the next one
# cleans up and can attach the same guest. On a slow machine all of these may
# come before anything was made: then later moments follow.
interrupted=0 left=0
for round in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 \
	40 80 160 320 640 1280 2560 5120; do
	[ $round -le 25 ] || [ $left = 0 ] || break
	ctl attach "$A" uplink=bridge:br0 address=10.77.0.8/24 \
		>"$RUN/attach.log" 2>&1 &
	attach=$!
	sleep "$(printf '0.%05d' $((round * 5)))"
	kill -KILL "$VTOED_PID"
	wait "$VTOED_PID" 2>/dev/null
	[ ! -e "$RUN/vtoed/$A.state" ] || left=$((left + 1))
	wait "$attach" || interrupted=$((interrupted + 1))
	net_start_vtoed
	wait_for 5 ctl list || fail "round $round: vtoed does not start"
	[ -z "$(guest_names)" ] || fail "round $round: left: $(guest_names)"
	ip -n "$NS-dd" link show "vt-$A" >/dev/null 2>&1 &&
		fail "round $round: vt-$A is left"
	[ "$(cd "$RUN/vtoed" && echo *)" = "vtoed.ctl vtoed.lock" ] ||
		fail "round $round: in run_dir: $(ls "$RUN/vtoed")"
done
ctl attach "$A" uplink=bridge:br0 address=10.77.0.8/24 ||
	fail "the guest cannot be attached any more"
[ $interrupted -gt 0 ] || fail "no attach was interrupted"
[ $left -gt 0 ] || fail "no round left anything behind"
pass "$interrupted interrupted, $left with something left behind, of 25"
