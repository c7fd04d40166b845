# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
# curl and iperf3 in the guest, which has no network of its own: every byte goes
# through vtoe (G1, M2), over memory granted once, with few notifications.
# limit: 240
moved() { echo $(($(counter rx_bytes) + $(counter tx_bytes))); }
expect "the guest has /dev/vtoe0" in_guest 20 'test -c /dev/vtoe0'
bytes=$(moved)
notices=$(counter notify)
bells=$(counter doorbells)
expect "curl gets 200 MB, SHA-256 equal" guest_fetches 200m 100
dom0=$(dom0_tcp)
# steady WAY: what a transfer costs while it runs: registrations and grant
# operations, of which there must be none. It runs for long enough: while it
# does, dom0 takes seconds for a look at the counters.
counts() { # operations, and bytes, in one call
	vtoectl --json stats g | tr ',{' '\n\n' | awk -F: '
		/"(reg|dereg|grant_maps|grant_unmaps)"/ { n += $2 }
		/"(rx|tx)_bytes"/ { b += $2 }
		END { print n, b }'
}
nobody_connected() { ! vtoectl --json peers g | grep -q '"pid"'; }
# in steady(): before and seen are its own
flows() {
	read -r before seen <<< "$(counts)"
	[ $((seen - start)) -gt 3000000 ]
}
steady() {
	local start before after seen now
	# the one before: what it sent last goes out for a while, and then its
	# memory is unmapped
	wait_for 20 nobody_connected || return 1
	read -r _ start <<< "$(counts)"
	guest_begin 60 "vtoe-run --require iperf3 -c $PEER -t 20 $1"
	wait_for 20 flows
	sleep 2
	read -r after now <<< "$(counts)"
	say "in 2 s $((now - seen)) bytes, and" \
		"$((after - before)) registrations and grant operations"
	guest_end && [ "$before" = "$after" ] && [ "$now" -gt "$seen" ]
}
expect "iperf3 sends, with no registration or grant operation" steady ""
expect "iperf3 receives, with none" steady -R
bytes=$(($(moved) - bytes))
notices=$(($(counter notify) - notices))
bells=$(($(counter doorbells) - bells))
say "$bytes bytes: $notices notifications of the guest, $bells of the backend"
expect "at most one notification for 64 KB" test $((bytes / notices)) -ge 65536
expect "and one doorbell" test $((bytes / bells)) -ge 65536
expect "the guest's own TCP saw no segment" eval \
	'guest_tcp && [ "$OUT" = "0 0" ]'
expect "dom0's own TCP saw none of them" test $(($(dom0_tcp) - dom0)) -lt 200
