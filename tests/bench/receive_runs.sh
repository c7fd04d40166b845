#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
#
# The benchmarks of receiving and sending frames run, and what they receive is
# all of it: 45 frames of 1,448 bytes fill an aggregate, of one flow and of 16
# in turn. The figures themselves gate nothing.

top_builddir=${top_builddir:-$PWD}
json=$(mktemp) || exit 99
trap 'rm -f "$json"' EXIT

fail() { echo "FAIL: $*"; exit 1; }

timeout 120 "$top_builddir/tests/bench/receive" --rounds 1 --json "$json" 1 16
status=$?
[ $status != 77 ] || exit 77
[ $status = 0 ] || fail "receive: status $status"
full=$(grep -c '"vtoe".*"segments": 45.00' "$json")
[ "$full" = 2 ] || { cat "$json"; fail "$full of 2 rows have full aggregates"; }
timeout 120 "$top_builddir/tests/bench/transmit" 1 || fail "transmit: status $?"
echo "PASS: the benchmarks of frames run"
