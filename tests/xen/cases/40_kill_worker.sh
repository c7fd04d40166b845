# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
# The worker is killed under load: the application has its error, the guest its
# pages (MECHANISMS P1, P2), and a new worker serves it.
# limit: 900
. /lab/faults.sh
base
for round in $(seq "$ROUNDS"); do
	load_start || fail "no load"
	old=$(worker_pid)
	at=$(now_ms)
	kill -9 "$old"
	expect "$round: the application learns of it" load_fails "$at"
	restored "$round"
	expect "$round: by another worker" test "$(worker_pid)" != "$old"
done
