#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# The counters prove the claim: 100,000 receives into one buffer of the
# application are one registration; every byte is received straight into it,
# the worker and the library copy none; and the application's own kernel sees
# no TCP segment.
. "$(dirname "$0")/../lib/net.sh"
net_begin 60 "$0" "$@"
only_vtoe
net_up
receives=${VTOE_TEST_RECEIVES:-100000}
start push peer "$PROGS/flow" push listen 7000
wait_listening peer 7000

for name in rx_bytes rx_placed_bytes rx_generic_bytes rx_copied_bytes; do
	say "$name $(stat_of $name)"
done >"$RUN/before"
native "$PROGS/direct_native" $PEER4 7000 "$receives" 4096 \
	>"$RUN/direct.log" 2>&1 || fail "exit $?"
cat "$RUN/direct.log"

# grown COUNTER: of the worker, by how much.
grown() {
	echo $(($(stat_of "$1") - $(sed -n "s/^$1 //p" "$RUN/before")))
}
value() { sed -n "s/^$1 //p" "$RUN/direct.log"; }
bytes=$(value bytes)
[ "$(value receives)" = "$receives" ] || fail "not all were received"
[ $(($(value registrations) - $(value registrations_before))) = 1 ] ||
	fail "the buffer was not registered once"
[ "$(value bytes_copied)" = "$(value copied_before)" ] ||
	fail "the library copies"
[ "$(grown rx_placed_bytes)" -ge "$bytes" ] ||
	fail "of $bytes bytes only $(grown rx_placed_bytes) were placed"
[ "$(grown rx_placed_bytes)" = "$(grown rx_bytes)" ] ||
	fail "bytes were received elsewhere"
[ "$(grown rx_copied_bytes)" = 0 ] || fail "the worker copies"
[ "$(grown rx_generic_bytes)" = 0 ] || fail "generic buffers were used"

# segments NAMESPACE: TCP segments that its kernel has seen, both ways.
segments() {
	nsenter --net="/run/netns/$1" cat /proc/net/snmp |
		awk '/^Tcp: [0-9]/ { print $11 + $12 }'
}
[ "$(segments "$NS-peer")" -gt 1000 ] || error "segments are not counted"
[ "$(segments "$NS-app")" = 0 ] ||
	fail "the guest's kernel saw $(segments "$NS-app") TCP segments"
pass
