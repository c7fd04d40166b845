# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash disable=SC2034
# lib.sh: what a case may use, in dom0. A case is cases/NAME.sh, run by dom0.sh
# once for each type of guest that its head names; it states what it EXPECTs,
# goes on after a failure, and fails when one expectation did. Its head:
#
#   # what it shows, with MECHANISMS' ids
#   # guests: pv pvh     in which guests it is run (default: both)
#   # limit: SECONDS     that it may take (default 120)
#   # xen-says: REGEX    messages of the hypervisor that it provokes
#   # kernel-says: REGEX warnings of kernels that it provokes
#
# The guest g (10.9.0.4) is up, and connected, when a case begins; a case that
# leaves it otherwise costs the next one the time to restart it. TYPE is pv or
# pvh. The peer is 10.9.0.1, a machine outside; dom0 is 10.9.0.2.

G=${G:-g}
PEER=10.9.0.1
# how cases of programs run them in the guest; 12_tto_programs sets another way
RUN=${RUN:-vtoe-run --require}
# shellcheck disable=SC2034 # for cases
GUEST4=10.9.0.4
ROUNDS=${ROUNDS:-3}
# PVH guests are 2.5 times slower under emulation, where each exit is dear: the
# times that peer, in_guest and "limit" name are twice as long for them.
SLOW=1
[ "${TYPE:-pv}" = pv ] || SLOW=2
expected=0
unmet=0

say() { echo "$*"; }
fail() {
	echo "not ok: $*"
	exit 1
}
skip() {
	echo "SKIP: $*"
	exit 77
}

# expect TEXT COMMAND...: an expectation of the case
expect() {
	local text=$1
	shift
	expected=$((expected + 1))
	if "$@"; then
		echo "ok: $text"
	else
		echo "not ok: $text"
		unmet=$((unmet + 1))
	fi
}

# Called by dom0.sh when the case has come to its end.
case_end() {
	[ $expected -gt 0 ] || fail "the case expected nothing"
	echo "$((expected - unmet)) of $expected expectations met"
	[ $unmet = 0 ]
}

# wait_for SECONDS COMMAND...: until it succeeds
wait_for() {
	local end=$((${EPOCHREALTIME/./} + $1 * 1000000))
	shift
	until "$@"; do
		[ "${EPOCHREALTIME/./}" -lt $end ] || return 1
		sleep 0.1
	done
}

# milliseconds since the epoch
now_ms() { echo $((${EPOCHREALTIME/./} / 1000)); }

# -- the peer -------------------------------------------------------------------

# peer SECONDS COMMAND: runs it outside; prints its output; its exit status
peer() {
	local status
	curl -sS --max-time $(($1 * SLOW + 10)) -H "Limit: $(($1 * SLOW))" -D /tmp/peer.head \
		--data-binary "$2" "http://$PEER:8090/" || return 99
	status=$(sed -n 's/^Status: \([0-9]*\).*/\1/p' /tmp/peer.head)
	return "${status:-99}"
}

# -- guests -----------------------------------------------------------------------

domid() { xl domid "$G" 2> /dev/null; }

# guest_boot TYPE [LINE of xl.cfg...]: creates $G and waits for its shell
guest_boot() {
	local type=$1
	shift
	{
		cat <<- C
			name = "$G"
			type = "$type"
			kernel = "/boot/vmlinuz-$(uname -r)"
			ramdisk = "/lab/guest.cpio.gz"
			extra = "console=hvc0 quiet tsc=reliable clocksource=tsc watchdog_thresh=60 lab=guest ${GUEST_ARGS:-}"
			memory = ${GUEST_MEMORY:-640}
			vcpus = 1
			on_crash = "destroy"
		C
		printf '%s\n' "$@"
	} > "/tmp/$G.cfg"
	xl create "/tmp/$G.cfg" > /tmp/xl.log 2>&1 || {
		cat /tmp/xl.log
		return 1
	}
	guest_answers $((120 * SLOW))
}

# guest_answers SECONDS: waits until the shell of $G's domain is there
guest_answers() {
	wait_for "$1" guest_has_shell || {
		echo "guest $G has no shell after $1 s"
		return 1
	}
}
guest_has_shell() {
	local id
	id=$(domid) &&
		xenstore-read "/local/domain/$id/data/lab/status" > /dev/null 2>&1
}

guest_destroy() {
	xl destroy "$G" > /dev/null 2>&1
	wait_for 20 eval '! xl domid "$G" > /dev/null 2>&1'
}

# in_guest SECONDS COMMAND: runs it in $G; its exit status, 124 after the time,
# 98 if the guest is gone. OUT is the end of its output.
# guest_begin and guest_end are its two halves.
in_guest() {
	guest_begin "$@" && guest_end
}
guest_begin() {
	local id
	guest_limit=$(($1 * SLOW))
	shift
	guest_id=$(domid) || return 98
	guest_serial=$((RANDOM * 32768 + RANDOM + 1))
	xenstore-write "/local/domain/$guest_id/data/lab/command" \
		"$guest_serial $guest_limit $(printf %s "$*" | base64 -w0)" \
		2> /dev/null || return 98
}
guest_end() {
	local path=/local/domain/$guest_id/data/lab was status watch fd
	local end=$((SECONDS + guest_limit + 10)) rc=124
	OUT=
	# a line for each change, the first at once; it goes with the domain, too
	exec {fd}< <(exec xenstore-watch "$path/status" 2> /dev/null)
	watch=$!
	while [ $SECONDS -lt $end ]; do
		read -r -t 5 -u "$fd" _ || true
		read -r was status <<< "$(xenstore-read "$path/status" 2> /dev/null)"
		if [ "$was" = "$guest_serial" ]; then
			rc=$status
			break
		fi
		[ -n "$was" ] || { rc=98; break; }
	done
	kill "$watch" 2> /dev/null
	exec {fd}<&-
	if [ "$was" = "$guest_serial" ]; then
		OUT=$(xenstore-read "$path/output" 2> /dev/null | base64 -d)
		[ "$rc" = 137 ] && rc=124
		[ "$rc" = 0 ] || echo "guest: status $rc: $OUT"
	elif [ "$rc" = 124 ]; then
		echo "guest: no answer in $guest_limit s"
	fi
	return "$rc"
}

# -- the backend ------------------------------------------------------------------

backend_state() {
	xenstore-read "/local/domain/0/backend/vtoe/$(domid)/0/state" 2> /dev/null
}
frontend_state() {
	xenstore-read "/local/domain/$(domid)/device/vtoe/0/state" 2> /dev/null
}
is_connected() {
	[ "$(backend_state)" = 4 ] && [ "$(frontend_state)" = 4 ]
}
# connected [SECONDS]: both ends, and the device is there
connected() { wait_for "${1:-40}" is_connected; }

# counter NAME [GUEST]: of the worker
counter() {
	vtoectl --json stats "${2:-$G}" | grep -o "\"$1\": *[0-9]*" | head -1 |
		grep -o '[0-9]*$'
}
worker_pid() {
	vtoectl --json list | tr '{' '\n' | grep "\"name\": *\"$G\"" |
		grep -o '"pid": *[0-9]*' | head -1 | grep -o '[0-9]*$'
}

# attach [SETTING...]: g to vtoe, as the configuration has it, and with these
# settings besides; anew: after detaching it, and waits until it is connected
attach() {
	timeout 15 vtoectl attach g port=xen domain=g persist=yes \
		uplink=bridge:br0 "address=$GUEST4/24, fd00:9::4/64" "$@"
}
anew() { timeout 15 vtoectl detach g && attach "$@" && connected 40; }
offers_tto() { vtoectl --json list | tr -d ' \n' | grep -q '"toe","tto"'; }

# segments that TCP of the guest's own kernel has seen (in OUT), and dom0's
guest_tcp() {
	in_guest 10 'grep "^Tcp: 1" /proc/net/snmp | cut -d" " -f11,12'
}
dom0_tcp() { awk '/^Tcp: [0-9]/ { print $11 + $12 }' /proc/net/snmp; }

vtoed_start() {
	vtoed -c /tmp/vtoed.conf >> /tmp/logs/vtoed.log 2>&1 &
	echo $! > /run/vtoed.lab
	disown
	wait_for 20 eval 'vtoectl list > /dev/null 2>&1'
}
vtoed_pid() { cat /run/vtoed.lab; }
vtoed_runs() { kill -0 "$(vtoed_pid)" 2> /dev/null; }

# mapped_pages DOMID: grants of that domain that somebody has mapped, as Xen's
# debug key g lists them. xenstored's and xenconsoled's pages are among them.
mapped_pages() {
	xl dmesg -c >> /tmp/logs/xen.log
	xl debug-keys g
	: > /tmp/grants.log
	wait_for 20 eval 'xl dmesg -c >> /tmp/grants.log
		grep -q "gnttab_usage_print_all . done" /tmp/grants.log' ||
		echo "no answer to debug key g" >&2
	awk -v d="$1" '
		/grant-table for remote d/ {
			match($0, /remote d[0-9]+/)
			on = substr($0, RSTART + 8, RLENGTH - 8) == d
		}
		/\[0x[0-9a-f]+\]/ && on { n++ }
		END { print n + 0 }' /tmp/grants.log
}

# -- jobs of many cases ---------------------------------------------------------------

# fetch BYTES-FILE: the guest gets a file of the peer's by curl; SHA-256 equal
guest_fetches() {
	in_guest "${2:-60}" "vtoe-run --require curl -sS --max-time $((${2:-60} * SLOW - 2)) http://$PEER:8080/$1 | sha256sum | cut -d' ' -f1" &&
		[ "$OUT" = "$(curl -sS "http://$PEER:8080/$1.sum")" ]
}
