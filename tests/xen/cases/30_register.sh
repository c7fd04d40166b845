# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
# Memory of the application's own, registered through the driver: pinned, granted,
# filled in place, never after it was replaced, and given back whatever happens
# (MECHANISMS H1-H5, H14, H15, H17, O2, O5, O7-O10, G5, P1, P4). The program is
# tests/xen/register, with a case for each mechanism.
# limit: 900
# xen-says: grant_table\.c
program=/opt/vtoe/libexec/register
parameters=/sys/module/vtoe/parameters
sums=/sys/bus/xen/drivers/vtoe
run() { # NAME SECONDS TEXT
	expect "$3" in_guest "$2" "$program $1 $PEER 7300"
	say "   $OUT"
}
sum_is() { # NAME VALUE: of the guest's driver
	in_guest 5 "cat $sums/$1" > /dev/null && [ "$OUT" = "$2" ]
}
gauge_is() { [ "$(counter "$1")" = "$2" ]; }

peer 10 'setsid ./register_peer 7300 > register.log 2>&1 & echo $! > register.pid; sleep 0.3'
placed=$(counter rx_placed_bytes)
copied=$(($(counter rx_copied_bytes) + $(counter rx_generic_bytes)))
run h1 60 "H1: the first receive registers once, nothing is copied"
expect "the worker placed the bytes" \
	test $(($(counter rx_placed_bytes) - placed)) -ge 300000
expect "and copied none" \
	test $(($(counter rx_copied_bytes) + $(counter rx_generic_bytes))) = $copied
say "   sent without a copy so far: $(counter tx_zerocopy_bytes), with one: $(counter tx_copied_bytes)"
run h2 60 "H2: VmPin rises by the pages registered, and falls"
run h3 60 "H3: posted buffers complete in order"
run h4 300 "H4: 10,000 receives, one registration"
run h5 60 "H5: bytes come to the new page, none to the old one"
run h5_under_way 60 "H5: a request under way keeps to the old page"
run h5_kinds 60 "H5: madvise, mremap, fork and copy-on-write"
run h5_random 90 "H5: at random"
run h14 60 "H14: small receives are copied, and register nothing"
run h15 60 "H15: without locked memory it works, by copying"
expect "H15: over the device's limit too" in_guest 60 \
	"echo 16 > $parameters/max_registered_pages; $program h15_device $PEER 7300; s=\$?
	echo 16384 > $parameters/max_registered_pages; exit \$s"
run h17 60 "H17: no byte comes after a completion"
run o2 60 "O2: another process's addresses are refused"
run o5 60 "O5: ranges outside of a region are refused"
run o7 120 "O7, G5: a key of another process, or guessed, names nothing"
run o9 60 "O9: unregistering under a receive and under a send"
run o10 90 "O10: any size at any offset"

# P4: eight are killed as they receive and send; what others get stays theirs
expect "P4: kill -9 under load" in_guest 60 \
	"$program canary $PEER 7300 & canary=\$!
	for i in 1 2 3 4 5 6 7 8; do
		$program load $PEER 7300 & sleep 1.\$i
		kill -9 \$! || exit 1; wait \$!
	done
	wait \$canary"
expect "P4: nothing is in quarantine" wait_for 20 sum_is quarantined_pages 0
expect "P4: and nothing registered" sum_is registered_pages 0
expect "P4: the worker maps no region" wait_for 20 gauge_is regions 0

# P1: a backend that does not unmap; it stands still while its user is killed
in_guest 10 "setsid $program load $PEER 7300 > /tmp/load 2>&1 & echo \$! > /tmp/load.pid; sleep 2"
worker=$(worker_pid)
kill -STOP "$worker"
expect "P1: the process ends all the same" in_guest 40 \
	'p=$(cat /tmp/load.pid); kill -9 $p; for i in $(seq 300); do [ -e /proc/$p ] || exit 0; sleep 0.1; done; exit 1'
in_guest 5 "cat $sums/quarantined_pages"
say "   in quarantine: $OUT pages"
expect "P1: its pages are kept, and counted" test "$OUT" -ge 4096
kill -CONT "$worker"
expect "P1: and come back when they are unmapped" \
	wait_for 20 sum_is quarantined_pages 0

# O8: small connections, so that the hypervisor's list of grants is short
in_guest 5 "echo 64 > $parameters/connection_pages"
kill -9 "$worker"
sleep 1
expect "a new worker" connected
readonly_grants() { # references of $G's pages that are mapped read-only
	xl dmesg -c >> /tmp/logs/xen.log
	xl debug-keys g
	sleep 1
	xl dmesg -c > /tmp/grants.log
	awk -v d="$1" '
		/grant-table for remote d/ {
			match($0, /remote d[0-9]+/)
			on = substr($0, RSTART + 8, RLENGTH - 8) == d
		}
		on && match($0, /\[0x[0-9a-f]+\]/) && $NF == "0x0d" {
			print substr($0, RSTART + 1, RLENGTH - 2)
		}' /tmp/grants.log
}
guest_begin 60 "$program o8 $PEER 7300"
sleep 4
readonly_grants "$(domid)" > /tmp/ro
expect "O8: what is only sent from is granted read-only (40 pages: $(wc -l < /tmp/ro))" \
	test "$(wc -l < /tmp/ro)" = 40
ref=$(head -n 1 /tmp/ro)
map() { [ "$(/opt/vtoe/libexec/grantmap "$(domid)" "${ref:-0}" "$1")" = "$2" ]; }
expect "O8: another program of dom0 may map it to read" map ro yes
expect "O8: and the hypervisor does not let it write" map rw no
expect "O8: receiving into it is refused" guest_end
in_guest 5 "echo 4096 > $parameters/connection_pages"
kill -9 "$(worker_pid)"
sleep 1
expect "as it was" connected
peer 10 'kill $(cat register.pid)'
