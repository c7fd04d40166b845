#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# dom0.sh: what dom0 does. A bridge with the machine's NIC, vtoed with the Xen
# guest g at 10.9.0.4 on it, and for each type of guest a domain g that has no
# network device at all: what it exchanges with the outside (10.9.0.1) went
# through vtoe. Then the cases, each in a shell of its own with lib.sh.
#
# Lines for lab.sh: "CASE PASS|FAIL|SKIP TYPE/NAME (SECONDS s) [why]", on the
# console and in /tmp/logs/verdicts, "BEGIN TYPE/NAME" on the console alone; a
# case's output is in /tmp/logs/TYPE-NAME.log.
# /lab/settings: TYPES, CASES (names, or all), ROUNDS.
exec 2>&1
. /lab/settings
. /lab/lib.sh
mkdir -p /tmp/logs /run/netns

for n in /sys/class/net/*; do
	[ "$(cat "$n/address")" = 52:54:00:09:00:02 ] && nic=$(basename "$n")
done
ip link set "$nic" down
ip link set "$nic" name eth0
ip link add br0 type bridge
ip link set eth0 master br0 up
ip addr add 10.9.0.2/24 dev br0
ip -6 addr add fd00:9::2/64 dev br0 nodad
ip link set br0 up

cat > /tmp/vtoed.conf << C
[guest g]
port = xen
domain = g
persist = yes
uplink = bridge:br0
address = 10.9.0.4/24, fd00:9::4/64
${BENCH_SPIN:+spin_usec = $BENCH_SPIN}
C

head_of() { sed -n "s/^# $2: *//p" "$1" | head -n 1; }
verdict() {
	echo "$*" >> /tmp/logs/verdicts
	echo "CASE $*"
}

# What kernels and the hypervisor say that they must not.
kernel_bad='BUG:|WARNING:|Oops|Kernel panic|multicall\(s\) failed|soft lockup|Bad page|general protection|rcu: INFO|unable to handle|UBSAN|list_(add|del) corruption'
xen_bad='BUG|Assertion|[Bb]ad |WARN|Error|error|grant_table\.c|event_channel\.c|mm\.c'
seen_kernel=0
complaints() { # CASE-FILE: those that are new, but for what the case provokes
	local says xen_says n
	says=$(head_of "$1" kernel-says)
	xen_says=$(head_of "$1" xen-says)
	{
		dmesg
		cat /var/log/xen/console/*.log
	} 2> /dev/null | grep -aE "$kernel_bad" > /tmp/kernel.says
	n=$(wc -l < /tmp/kernel.says)
	tail -n +$((seen_kernel + 1)) /tmp/kernel.says |
		grep -avE "${says:-^\$nothing}" | head -3
	seen_kernel=$n
	xl dmesg -c > /tmp/xen.new
	cat /tmp/xen.new >> /tmp/logs/xen.log
	grep -aE "$xen_bad" /tmp/xen.new | grep -avE "${xen_says:-^\$nothing}" |
		head -3
}

# ready: vtoed runs, the guest answers and is connected
ready() {
	vtoed_runs || vtoed_start || return 1
	if ! xl domid g > /dev/null 2>&1 || ! guest_has_shell ||
			! in_guest 10 true; then
		xl destroy g > /dev/null 2>&1
		guest_boot "$TYPE" || return 1
	fi
	connected
}

run_case() { # FILE
	local file=$1 name log began=$SECONDS status bad limit
	name=$(basename "$file" .sh)
	log=/tmp/logs/$TYPE-$name.log
	echo "BEGIN $TYPE/$name"
	limit=$(head_of "$file" limit | grep . || echo 120)
	[ "$TYPE" = pv ] || limit=$((limit * 2))
	if ready > "$log"; then
		timeout -k 5 "$limit" \
			bash -c '. /lab/lib.sh; . "$1"; case_end' case "$file" \
			>> "$log" 2>&1 < /dev/null
		status=$?
	else
		status=98
	fi
	bad=$(complaints "$file")
	[ -z "$bad" ] || {
		echo "not ok: a kernel or the hypervisor complained: $bad" >> "$log"
		[ $status = 77 ] || status=97
	}
	case $status in
	0) verdict "PASS $TYPE/$name ($((SECONDS - began)) s)" ;;
	77) verdict "SKIP $TYPE/$name $(grep SKIP "$log" | head -1)" ;;
	*)
		verdict "FAIL $TYPE/$name ($((SECONDS - began)) s) status $status"
		grep -a '^not ok' "$log" | head -8
		echo "-- the end of $TYPE-$name.log"
		tail -n 8 "$log"
		;;
	esac
}

finish() {
	cp -r /var/log/xen/console/*.log /tmp/logs/ 2> /dev/null
	xl dmesg >> /tmp/logs/xen.log
	dmesg > /tmp/logs/dom0.log
	verdict END
	tar -C /tmp/logs -cf /dev/vdc .
	exit 0
}

xl dmesg -c > /tmp/logs/xen.log
vtoed_start || {
	verdict "FAIL dom0/vtoed does not start"
	tail -n 5 /tmp/logs/vtoed.log
	finish
}
for TYPE in $TYPES; do
	export TYPE ROUNDS
	for file in /lab/cases/*.sh; do
		name=$(basename "$file" .sh)
		case " $CASES " in
		"  ") [ -z "$LAB_SHELL" ] || continue ;;
		*" $name "*) ;;
		*) continue ;;
		esac
		case " $(head_of "$file" guests | grep . || echo pv pvh) " in
		*" $TYPE "*) run_case "$file" ;;
		esac
	done
	[ -z "$LAB_SHELL" ] || break
	xl destroy g > /dev/null 2>&1
done
if [ -n "$LAB_SHELL" ]; then
	echo "CASE SHELL dom0 answers at 10.9.0.2:7000"
	TYPE=${TYPES%% *} ready
	# scripts on its standard input are run to their end
	socat -t 600 TCP-LISTEN:7000,fork,reuseaddr EXEC:bash,stderr
fi
kill "$(vtoed_pid)"
if wait_for 20 eval '! vtoed_runs'; then
	verdict "PASS dom0/vtoed ends in order"
else
	verdict "FAIL dom0/vtoed ends in order"
fi
finish
