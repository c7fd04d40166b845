#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# vtoectl attach with each kind of uplink gives a guest that works, with the
# network that was asked for; link and log-level reach it; detach removes all of
# it, and nothing of an existing namespace.
. "$(dirname "$0")/../lib/net.sh"
net_begin 60 "$0" "$@"
only_vtoe
net_up
A=t$$c

# What could be left behind. (Interface numbers differ, names do not.)
state() {
	ip netns list | sed 's/ .*//' | grep -e "$NS" -e "t$$" | sort
	ip -n "$NS-dd" -br link | sed 's/@.*//;s/ .*//' | sort
	ls "$RUN/vtoed"
}

# field NAME: of the guest $A, from the JSON.
field() {
	ctl list --json | python3 -c '
import json, sys
for guest in json.load(sys.stdin)["guests"]:
    if guest["name"] == sys.argv[1]:
        value = guest[sys.argv[2]]
        print(",".join(value) if isinstance(value, list) else value)
' "$A" "$1"
}

check() { [ "$2" = "$3" ] || fail "$1 is \"$2\", not \"$3\""; }

inside() { nsenter --net="/run/netns/${NETNS:-vtoe-$A}" "$@"; }

# attach WHAT KEY=VALUE...
attach() {
	what=$1
	shift
	ctl attach "$A" "$@" >"$RUN/attach.log" 2>&1 ||
		fail "$what: attach: exit $?"
	grep -q "guest $A is ready" "$RUN/attach.log" ||
		fail "$what: vtoectl does not say that it is ready"
	check "$what: state" "$(field state)" running
}

detach() {
	ctl detach "$A" || fail "$what: detach: exit $?"
	state >"$RUN/after"
	cmp -s "$RUN/before" "$RUN/after" || {
		diff "$RUN/before" "$RUN/after"
		fail "$what: something was left behind"
	}
}

# A program reaches the peer through the guest.
works() {
	(VTOE_SOCKET=$RUN/vtoed/$A.sock
	export VTOE_SOCKET
	exec nsenter --net="/run/netns/$NS-app" "$VTOE_RUN" --require \
		"$PROGS/rr" "$1" 7000 20) >"$RUN/rr.log" 2>&1 ||
		fail "$what: no way to $1"
}

start echo peer "$PROGS/echo" 7000
wait_listening peer 7000
net_namespace "$NS-app2" # any other namespace, with an interface up
net_attach "$NS-app2" 10.77.0.9 fd77::9
state >"$RUN/before"

attach bridge uplink=bridge:br0 mac=02:00:00:00:77:08 mtu=1400 \
	address=10.77.0.8/24,fd77::8/64 gateway=$PEER4,$PEER6
check mac "$(field mac)" 02:00:00:00:77:08
check mtu "$(field mtu)" 1400
check address "$(field address)" 10.77.0.8/24,fd77::8/64
check uplink "$(field uplink)" bridge:br0
inside ip -br addr show eth0 | grep -q 'UP *10.77.0.8/24 .*fd77::8/64' ||
	fail "eth0 has other addresses"
inside ip -o link show eth0 |
	grep -q 'mtu 1400 .*link/ether 02:00:00:00:77:08' ||
	fail "eth0 has another MAC or MTU"
inside ip route | grep -q "^default via $PEER4 dev eth0" ||
	fail "no IPv4 default route"
inside ip -6 route | grep -q "^default via $PEER6 dev eth0" ||
	fail "no IPv6 default route"
ip -n "$NS-dd" link show "vt-$A" | grep -q "alias vtoe:$A" ||
	fail "vt-$A is not marked as ours"
works $PEER4
works $PEER6
ctl link "$A" down || fail "link down: exit $?"
check link "$(field link)" down
ctl link "$A" up || fail "link up: exit $?"
check link "$(field link)" up
ctl log-level "$A" debug || fail "log-level: exit $?"
detach

# A macvlan of the bridge: a frame from it reaches the bridge's ports.
attach macvlan uplink=macvlan:br0 address=10.77.0.8/24
works $PEER4
detach

attach none
inside ip -br link | grep -v '^lo ' && fail "none: an interface but loopback"
check "host_interface" "$(field host_interface)" None
detach

NETNS=$NS-app2
inside ip -o addr >"$RUN/inside.before"
attach netns "uplink=netns:$NS-app2"
check netns "$(field netns)" "$NS-app2"
check address "$(field address)" 10.77.0.9/24,fd77::9/64
works $PEER4
detach
inside ip -o addr >"$RUN/inside.after"
cmp -s "$RUN/inside.before" "$RUN/inside.after" ||
	fail "netns: something inside has changed"
NETNS=

# Again and again: nothing piles up.
fds=$(find "/proc/$VTOED_PID/fd" | wc -l)
for _ in 1 2 3 4 5 6 7 8 9 10; do
	attach again uplink=bridge:br0 address=10.77.0.8/24
	detach
done
check "number of vtoed's descriptors" \
	"$(find "/proc/$VTOED_PID/fd" | wc -l)" "$fds"
pass
