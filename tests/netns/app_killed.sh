#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# kill -9 of applications, at any instant of their work: their streams, regions
# and lanes are gone within a second, and after 1,000 of them the worker holds
# no descriptor, mapping or memory more than before. VTOE_TEST_ROUNDS changes
# the number.
. "$(dirname "$0")/../lib/net.sh"
rounds=${VTOE_TEST_ROUNDS:-1000}
net_begin $((60 + rounds / 10)) "$0" "$@"
need socat socat
only_vtoe
net_up
start push peer socat -u OPEN:/dev/zero TCP-LISTEN:7001,fork,reuseaddr
wait_listening peer 7001
start echo peer "$PROGS/echo" 7000
wait_listening peer 7000
worker=$(worker_pid)
[ -n "$worker" ] || error "vtoectl names no worker"

nothing_left() {
	for gauge in peers lanes streams regions region_bytes; do
		stat_is $gauge 0 || return 1
	done
	[ -z "$(nsenter --net="/run/netns/vtoe-$GUEST" ss -Hltn)" ]
}

check_nothing_left() {
	wait_for 1 nothing_left || {
		ctl list
		ctl sockets "$GUEST"
		fail "$1: something is left after 1 s"
	}
}

native "$PROGS/killed_native" $PEER4 7000 50 >"$RUN/killed.log" 2>&1 ||
	fail "warm-up: exit $?"
check_nothing_left warm-up
files=$(files_of "$worker") maps=$(maps_of "$worker")
memory=$(memory_of "$worker")

native "$PROGS/killed_native" $PEER4 7000 "$rounds" >"$RUN/killed.log" 2>&1 ||
	fail "exit $?"
check_nothing_left "$rounds rounds"
say "descriptors: $files before, $(files_of "$worker") after"
say "mappings: $maps before, $(maps_of "$worker") after"
say "own memory: $memory kB before, $(memory_of "$worker") kB after"
[ "$(files_of "$worker")" -le "$files" ] || fail "descriptors leak"
# The allocator may split or add a mapping or two; a leak is one each round.
[ "$(maps_of "$worker")" -le $((maps + 10)) ] || fail "mappings leak"
[ "${VTOE_SANITIZER:-none}" != none ] ||
	[ "$(memory_of "$worker")" -le $((memory + 1024)) ] ||
	fail "memory leaks"

# Unmodified programs likewise.
for round in 1 2 3 4 5 6 7 8; do
	start socat app socat -u TCP:$PEER4:7001 OPEN:/dev/null
	wait_for 5 stat_is streams 1 || fail "socat makes no stream"
	kill -KILL "$STARTED"
	check_nothing_left "socat, round $round"
done
[ "$(files_of "$worker")" -le "$files" ] || fail "descriptors leak"
[ "$(worker_pid)" = "$worker" ] || fail "the worker has not survived"
pass
