#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# dom0.sh: the cases, in dom0. A bridge with the machine's NIC, vtoed with one
# Xen guest at 10.9.0.4 on it, and a PV guest that has no network device at all:
# what it exchanges with the outside (10.9.0.1) went through vtoe.
exec 2>&1
verdicts=/tmp/verdicts
: > $verdicts
verdict() { echo "$*" >> $verdicts; echo "CASE $*"; }

for n in /sys/class/net/*; do
	[ "$(cat "$n/address")" = 52:54:00:09:00:02 ] && nic=$(basename "$n")
done
ip link set "$nic" down
ip link set "$nic" name eth0
ip link add br0 type bridge
ip link set eth0 master br0 up
ip addr add 10.9.0.2/24 dev br0
ip link set br0 up
mkdir -p /run/netns

cat > /tmp/vtoed.conf <<C
[guest g]
port = xen
domain = g
uplink = bridge:br0
address = 10.9.0.4/24
C
cat > /tmp/g.cfg <<C
name = "g"
type = "pv"
kernel = "/boot/vmlinuz-$(uname -r)"
ramdisk = "/lab/guest.cpio.gz"
extra = "console=hvc0 quiet tsc=reliable clocksource=tsc lab=guest"
memory = 640
vcpus = 1
C

finish() {
	verdict END
	cp -r /var/log/xen/console /tmp/vtoed.log /tmp/logs 2> /dev/null
	cp $verdicts /tmp/logs/
	xl dmesg > /tmp/logs/xen.log
	dmesg > /tmp/logs/dom0.log
	cp /var/log/xen/console/*.log /tmp/logs/ 2> /dev/null
	tar -C /tmp/logs -cf /dev/vdc .
	exit 0
}
mkdir -p /tmp/logs

vtoed -c /tmp/vtoed.conf > /tmp/vtoed.log 2>&1 &
supervisor=$!
xl create /tmp/g.cfg || { verdict FAIL xl create; finish; }
id=$(xl domid g)
guest=/local/domain/$id
xenstore-write "$guest/lab" ''
xenstore-chmod "$guest/lab" "n$id"

serial=0
# in_guest SECONDS COMMAND: runs it there; its exit status, 124 after a time-out
in_guest() {
	local limit=$1 n was status
	shift
	serial=$((serial + 1))
	xenstore-write "$guest/lab/command" "$serial $*"
	for ((n = 0; n < limit * 5; n++)); do
		read -r was status <<< "$(xenstore-read "$guest/lab/status" 2> /dev/null)"
		[ "$was" = $serial ] && return "$status"
		sleep 0.2
	done
	return 124
}
state() { xenstore-read "/local/domain/0/backend/vtoe/$id/0/state" 2> /dev/null; }
connected() {
	local n
	for ((n = 0; n < 150; n++)); do
		[ "$(state)" = 4 ] && [ "$(xenstore-read "$guest/device/vtoe/0/state" 2> /dev/null)" = 4 ] && return 0
		sleep 0.2
	done
	return 1
}
counter() { vtoectl --json stats g | grep -o "\"$1\": *[0-9]*" | head -1 | grep -o '[0-9]*$'; }
check() { # NAME COMMAND...
	local name=$1
	shift
	if "$@"; then verdict PASS "$name"; else verdict FAIL "$name"; fi
}

check "frontend and backend connect" connected
check "the guest has /dev/vtoe0" in_guest 20 'test -c /dev/vtoe0'
check "curl gets 50 MB, SHA-256 equal" in_guest 60 \
	'vtoe-run --require curl -sS http://10.9.0.1:8080/blob | sha256sum | cut -d" " -f1 > /tmp/got; vtoe-run curl -sS http://10.9.0.1:8080/sum > /tmp/want; cmp /tmp/got /tmp/want'
regions=$(counter reg)
check "iperf3 sends" in_guest 60 'vtoe-run --require iperf3 -c 10.9.0.1 -t 4'
check "iperf3 receives" in_guest 60 'vtoe-run --require iperf3 -c 10.9.0.1 -t 4 -R'
check "the guest's own TCP saw no segment" in_guest 10 \
	'grep "^Tcp: 1" /proc/net/snmp | cut -d" " -f11,12 | grep -qx "0 0"'
# its arena when a program starts, and nothing for the thousands of its buffers
regions=$(($(counter reg) - regions))
echo "regions of two iperf3: $regions"
check "no memory is registered during a transfer" test "$regions" -le 8
bytes=$(($(counter rx_bytes) + $(counter tx_bytes)))
notices=$(counter notify)
echo "notifications: $notices for $bytes bytes"
check "at most one notification for 64 KB" test $((bytes / notices)) -ge 65536

in_guest 30 'cd /tmp; mkdir -p www; head -c 5000000 /dev/urandom > www/data; (vtoe-run python3 -m http.server 8000 -d www > /tmp/http.log 2>&1 &) ; sleep 4; sha256sum www/data | cut -d" " -f1 > www/sum'
served() {
	curl -sS --max-time 20 http://10.9.0.4:8000/data | sha256sum | cut -d' ' -f1 > /tmp/a
	curl -sS --max-time 20 http://10.9.0.4:8000/sum > /tmp/b
	cmp /tmp/a /tmp/b
}
check "a server in the guest is reached from outside it" served

pid=$(vtoectl --json list | grep -o '"pid": *[0-9]*' | head -1 | grep -o '[0-9]*$')
kill -9 "$pid"
sleep 1
check "connects again after the worker was killed" connected
check "and serves" in_guest 60 \
	'vtoe-run --require curl -sS --max-time 30 http://10.9.0.1:8080/sum > /tmp/again; cmp /tmp/again /tmp/want'

vtoectl detach g
check "detach leaves nothing in xenstore" test -z "$(state)"
xenstore-write "$guest/lab/command" "999 end"
sleep 3
xl destroy g 2> /dev/null
kill $supervisor
wait $supervisor
check "vtoed ends in order" test $? = 0
finish
