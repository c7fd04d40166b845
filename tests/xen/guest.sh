#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# guest.sh: what the guest does. It has no network of its own: the driver, and a
# shell for dom0, which writes a command to xenstore and reads its exit status
# there (lab/command, lab/status); output goes to the console.
exec 2>&1
insmod /lab/vtoe.ko
store=/proc/xen/xenbus
[ -e $store ] || mount -t xenfs xenfs /proc/xen
for _ in $(seq 200); do
	[ -c /dev/vtoe0 ] && break
	sleep 0.1
done
last=
while :; do
	command=$(xenstore-read lab/command 2> /dev/null)
	if [ -n "$command" ] && [ "$command" != "$last" ]; then
		last=$command
		[ "${command#* }" = end ] && break
		echo "+ $command"
		bash -c "${command#* }"
		xenstore-write lab/status "${command%% *} $?"
	fi
	sleep 0.2
done
dmesg | tail -20
