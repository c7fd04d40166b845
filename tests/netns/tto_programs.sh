#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# Unmodified programs with the TTO service: the scripts that try them over the
# backend's TCP, over the guest's own. VTOE_TEST_SCRIPTS names others.
directory=$(dirname "$0")
VTOE_TEST_SERVICE=tto
export VTOE_TEST_SERVICE
scripts="curl iperf3 nginx redis backpressure conns_1000 threads"
for name in ${VTOE_TEST_SCRIPTS:-$scripts}; do
	output=$("$directory/$name.sh" 2>&1)
	status=$?
	echo "$name: $(echo "$output" | tail -n 1)"
	case $status in
	0) ;;
	77) exit 77 ;;
	*)
		echo "$output"
		echo "FAIL: $name: exit $status"
		exit 1 ;;
	esac
done
echo "PASS: tto_programs"
