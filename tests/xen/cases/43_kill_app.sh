# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
# The application is killed under load (MECHANISMS P4): its streams end, and its
# pages come back while the worker goes on.
# limit: 900
. /lab/faults.sh
base
worker=$(worker_pid)
no_streams() { [ "$(counter streams)" = 0 ]; }
for round in $(seq "$ROUNDS"); do
	load_start || fail "no load"
	at=$(now_ms)
	in_guest 10 'killall -9 load' || fail "nothing to kill"
	expect "$round: its streams end" wait_for 20 no_streams
	say "after $(($(now_ms) - at)) ms"
	restored "$round"
done
expect "the worker is still the same" test "$(worker_pid)" = "$worker"
