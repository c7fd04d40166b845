# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
# The guest's driver is taken away under load, unloaded, and loaded again. While a
# connection is open the module cannot be unloaded; the device can be unbound.
# limit: 900
. /lab/faults.sh
base
for round in $(seq "$ROUNDS"); do
	load_start || fail "no load"
	expect "$round: the module in use is not unloaded" in_guest 10 '! rmmod vtoe 2> /dev/null'
	expect "$round: the application learns of the unbinding" breaks_in_guest \
		'echo vtoe-0 > /sys/bus/xen/drivers/vtoe/unbind'
	# A second later than its last user: pages wait for the backend.
	expect "$round: the module is unloaded" driver_unload
	expect "$round: and loaded" driver_load
	restored "$round"
done
# Without a connection: at once, though the device is bound.
expect "idle, it is unloaded" driver_unload
expect "and loaded" driver_load
restored idle
