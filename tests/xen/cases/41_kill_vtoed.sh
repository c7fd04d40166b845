# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
# The supervisor is killed under load: its worker ends with it, the application has
# its error, and when vtoed is started again it finds the device and serves.
# limit: 900
. /lab/faults.sh
base
for round in $(seq "$ROUNDS"); do
	load_start || fail "no load"
	old=$(worker_pid)
	at=$(now_ms)
	kill -9 "$(vtoed_pid)"
	expect "$round: the application learns of it" load_fails "$at"
	expect "$round: the worker is gone too" wait_for 5 test ! -e "/proc/$old"
	expect "$round: vtoed starts again" vtoed_start
	restored "$round"
done
