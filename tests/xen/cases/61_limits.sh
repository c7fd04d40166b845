# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
# What is over a limit is refused with one message that names the limit, and where
# to raise it: lanes, regions, pages of a connection and of a guest, connections;
# the guest's grant table, and the mappings of dom0.
# limit: 600
# xen-says: grant_table\.c
. /lab/faults.sh
attach_h() { timeout 15 vtoectl attach h port=xen domain=h uplink=bridge:br0 "address=$H4/24" "$@" 2>&1; }
one_line_says() { # REGEX TEXT
	[ "$(wc -l <<< "$2")" = 1 ] && grep -qE "$1" <<< "$2"
}
refused() { # TEXT REGEX KEY=VALUE...
	local text=$1 regex=$2 answer
	shift 2
	vtoectl detach h > /dev/null 2>&1
	answer=$(attach_h "$@") && fail "attached: $text"
	say "$answer"
	expect "$text" one_line_says "$regex" "$answer"
}
# of the hypervisor, before a domain is told anything
with_h guest_destroy
vtoectl detach h > /dev/null 2>&1
GUEST_MEMORY=300 with_h guest_boot "$TYPE" 'max_grant_frames = 4' || fail "no second guest"
refused "a grant table that is too small" 'max_grant_frames = [0-9]+ in its xl.cfg'
refused "more mappings than dom0 may have" 'gnttab_max_maptrack_frames=[0-9]+ on Xen' \
	peer_memory=2M total_memory=2G
expect "what fits is attached" eval 'attach_h peer_memory=3M total_memory=64M lanes=64 regions=8 peers=40'
expect "and connects" with_h connected 30
expect "and serves" with_h guest_is_served
# of the configuration, when the guest goes beyond
log=$(wc -l < /tmp/logs/vtoed.log)
one_line() { # TEXT REGEX
	local n
	n=$(tail -n +$((log + 1)) /tmp/logs/vtoed.log | grep -cE "$2")
	tail -n +$((log + 1)) /tmp/logs/vtoed.log | grep -E "$2" | head -n 1
	expect "$1" test "$n" -ge 1
}
with_h in_guest 90 "/opt/vtoe/libexec/hostile_peer device /dev/vtoe? $PEER 7100 lanes-over-quota"
one_line "the 65th lane" 'more than its 64 lanes: raise lanes'
with_h driver_unload || fail "the driver is not unloaded"
with_h in_guest 150 'echo 65536 > /sys/module/xen_gntalloc/parameters/limit
	/opt/vtoe/libexec/hostile page_counts regions numbers mappings'
say "$OUT"
one_line "pages of a connection" 'a connection of [0-9]+ pages is refused: it may have 768: raise peer_memory'
one_line "regions" 'more than its 8 regions: raise regions'
one_line "connections" 'connection number [0-9]+ is refused: the guest may have 40: raise peers'
one_line "pages of a guest" 'a connection of [0-9]+ pages is refused: the guest.s memory is used up .64 MiB.: raise total_memory'
with_h guest_destroy
vtoectl detach h > /dev/null 2>&1
expect "the first guest is served" guest_is_served
