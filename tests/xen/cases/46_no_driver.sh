# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
# A guest whose driver is not there never answers the handshake: attaching and
# detaching do not wait for it, and another guest is served meanwhile.
# limit: 900
. /lab/faults.sh
h_ready || fail "no second guest"
peer_echoes
with_h load_start 600 || fail "no load in the second guest"
driver_unload || fail "the driver is not unloaded"
offered() { [ "$(backend_state)" = 2 ]; }
wait_for 20 offered
timed() { # SECONDS COMMAND...
	local at most=$(($1 * 1000)) ms
	at=$(now_ms)
	shift
	timeout 30 "$@" || return 1
	ms=$(($(now_ms) - at))
	say "$1 $2: $ms ms"
	[ $ms -le $most ]
}
for round in $(seq "$ROUNDS"); do
	expect "$round: detach does not wait for ever" timed 8 vtoectl detach g
	expect "$round: attach does not wait" timed 8 vtoectl attach g port=xen \
		domain=g persist=yes uplink=bridge:br0 \
		"address=$GUEST4/24, fd00:9::4/64"
	expect "$round: the device waits in InitWait" wait_for 5 offered
	moved=$(counter rx_bytes h)
	expect "$round: the other guest is served" with_h wait_for 5 \
		load_has_moved $((moved + 1000000))
done
driver_load
expect "with its driver, the guest connects" connected 20
expect "and is served" guest_is_served
expect "the other guest got each byte as it was sent" with_h load_stop
