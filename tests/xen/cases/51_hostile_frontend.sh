# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
# A guest without vtoe.ko speaks the frontend's side itself, and lies: in xenstore,
# on the device's ring, with grant references, event channels and page lists, and in
# the memory of its connections (tests/xen/hostile). dom0, vtoed and another guest
# notice nothing, no byte of the other guest is in its memory, and with a driver it
# is served as before (MECHANISMS I7, M14, O6, P7).
# guests: pv
# limit: 1200
# xen-says: grant_table\.c|event_channel\.c|[Bb]ad
. /lab/faults.sh
h_ready || fail "no second guest"
base
driver_unload || fail "the driver is not unloaded"
lies() {
	in_guest 700 'echo 65536 > /sys/module/xen_gntalloc/parameters/limit
		/opt/vtoe/libexec/hostile'
	status=$?
	say "$OUT"
}
beside lies
expect "no lie has a consequence that may not be" test $status = 0
driver_load
restored "with its driver"
