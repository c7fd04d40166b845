# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
# The module is unloaded and loaded again while its device is bound, refuses while
# the device is open, and leaves no page behind.
# limit: 400
user=/opt/vtoe/libexec/device_user
granted() { mapped_pages "$(domid)"; }
before=$(granted)
expect "the device asks for the module" in_guest 5 \
	'grep -qx xen:vtoe /sys/bus/xen/devices/vtoe-0/modalias && grep -aq alias=xen:vtoe /lab/vtoe.ko'
for ((round = 1; round <= ROUNDS; round++)); do
	expect "rmmod is refused while the device is open ($round)" in_guest 20 \
		"$user -h 2000 > /dev/null & sleep 0.5; ! rmmod vtoe 2> /tmp/why && grep -qiE 'busy|unavailable|in use' /tmp/why; ok=\$?; wait; exit \$ok"
	expect "rmmod ($round)" in_guest 20 'rmmod vtoe && ! [ -e /dev/vtoe0 ]'
	sleep 0.3
	expect "loads again ($round)" in_guest 20 'insmod /lab/vtoe.ko'
	expect "connects ($round)" connected
	expect "and serves ($round)" guest_fetches 1m
done
expect "dom0 has nothing mapped that it had not before" test "$(granted)" -le "$before"
in_guest 10 'cd /sys/bus/xen/drivers/vtoe && echo $(cat connections granted_pages registered_pages quarantined_pages)'
expect "the counters are at their base" test "$OUT" = "0 1 0 0"
