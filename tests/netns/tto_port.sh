#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# tto_port: a port of the bridge hands TCP to guests past the bridge. Bytes are
# right each way, over IPv4 and IPv6, of two guests that share the port, and with
# the TOE service too; the bridge sees next to none of the frames, but still
# learns who is where. The program leaves the port with its last guest; where it
# cannot be, the log says why and frames come by the bridge.
. "$(dirname "$0")/../lib/net.sh"
net_begin 120 "$0" "$@"
only_vtoe
need curl curl
sane curl --version
need tcpdump tcpdump
VTOE_TEST_SERVICE=tto
PORT=p107701 # net_attach's, of the peer
# shellcheck disable=SC2034 # for net_up
NET_GUEST_KEYS="tto_port = $PORT"
net_up 2
# what the peer leaves to its device would be left to nobody
peer ethtool -K eth0 tx off >/dev/null || skip "the machine: ethtool"
mkdir -p "$RUN/www"
make_data "$RUN/www/data" 50000000
want=$(hash_of <"$RUN/www/data")
start_nginx peer 1

dd() { nsenter --net="/run/netns/$NS-dd" "$@"; }
has_program() { dd ip link show dev $PORT | grep -q "prog/xdp"; }
bridge_sees() { # frames of TCP, until now
	grep -c . "$RUN/bridge.log"
}

grep -q "come from $PORT past the bridge" "$RUN/vtoed.log" ||
	fail "the port hands nothing over: $(grep bridge "$RUN/vtoed.log")"
has_program || fail "there is no program on $PORT"

(exec nsenter --net="/run/netns/$NS-dd" tcpdump -l -nn -i $PORT -Q in tcp) \
	>"$RUN/bridge.log" 2>"$RUN/tcpdump.log" </dev/null &
adopt $!
wait_for 5 grep -q "listening on" "$RUN/tcpdump.log" || error "no tcpdump"
for app in app app2; do
	for host in $PEER4 "[$PEER6]"; do
		$app curl -sS -o "$RUN/got" "http://$host:8080/data" ||
			fail "$app, $host: curl"
		same_hash "$want" "$(hash_of <"$RUN/got")" "$app, $host"
	done
done
frames=$(($(stat_of tto_frames) + $(stat_of tto_frames "$GUEST2")))
sleep 0.5
say "$frames frames, $(bridge_sees) by the bridge"
[ "$frames" -gt 10000 ] || fail "frames: $frames"
[ "$(bridge_sees)" -lt 200 ] || fail "the bridge sees $(bridge_sees) frames"
mac=$(ip -n "$NS-peer" link show eth0 | sed -n 's/.*ether \([^ ]*\).*/\1/p')
dd bridge fdb show br br0 | grep -q "^$mac dev $PORT" ||
	fail "the bridge has not learned where the peer is"

# The other way, and the other service.
start echo app "$PROGS/echo" 7000
wait_listening app 7000
start rr peer "$PROGS/rr" $APP4 7000 500
finish "$STARTED" 10 rr || fail "rr: $(cat "$RUN/rr.log")"
(VTOE_SERVICE=toe
export VTOE_SERVICE
net_exec app curl -sS -o "$RUN/got" "http://$PEER4:8080/data") ||
	fail "TOE: curl"
same_hash "$want" "$(hash_of <"$RUN/got")" TOE

# One guest less, none.
ctl detach "$GUEST" >/dev/null || fail "detach"
has_program || fail "the program left $PORT with the first guest"
app2 curl -sS -o "$RUN/got" "http://$PEER4:8080/data" || fail "app2: curl"
same_hash "$want" "$(hash_of <"$RUN/got")" "one guest less"
ctl detach "$GUEST2" >/dev/null || fail "detach"
has_program && fail "the program stays on $PORT"

# Where it cannot be.
ctl attach "$GUEST" uplink=bridge:br0 address=$APP4/24 tto=yes tto_port=none0 \
	>/dev/null || fail "attach with a port that is not there"
grep -q "frames come by the bridge: an XDP program on none0: No such device" \
	"$RUN/vtoed.log" || fail "not said why: $(tail -n 3 "$RUN/vtoed.log")"
app curl -sS -o "$RUN/got" "http://$PEER4:8080/data" || fail "by the bridge"
same_hash "$want" "$(hash_of <"$RUN/got")" "by the bridge"
pass
