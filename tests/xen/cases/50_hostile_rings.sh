# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
# An application of a guest breaks the rules of PROTOCOL.md one by one, in the
# memory that it shares with the worker: device page, control ring, lanes, regions,
# keys (tests/netns/hostile_peer, as on the local port). Each has the consequence
# that section 13 says; another guest notices nothing (MECHANISMS I7, M14, O5, O7).
# guests: pv
# limit: 1200
. /lab/faults.sh
h_ready || fail "no second guest"
# a quota that is full after some hundred, not after 16,384
anew streams=512 || fail "the device is not attached anew"
base
worker=$(worker_pid)
peer 10 'setsid ./hostile_peer serve 10.9.0.1 7200 > hostile.log 2>&1 & echo $! > hostile.pid; sleep 0.3'
pages() { in_guest 10 "echo $1 > /sys/module/vtoe/parameters/connection_pages"; }
breach() {
	in_guest 700 "HOSTILE_SHARE=20 /opt/vtoe/libexec/hostile_peer device /dev/vtoe? $PEER 7200"
	status=$?
	say "$OUT"
}
pages 256 # which some 400 connections grant, and dom0 maps
beside breach
pages 4096
expect "each breach has its consequence" test $status = 0
expect "the worker is the same" test "$(worker_pid)" = "$worker"
restored afterwards
peer 10 'kill $(cat hostile.pid)'
anew
