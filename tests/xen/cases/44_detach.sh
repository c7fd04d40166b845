# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
# The device is detached while streams are open: no key of it is left in xenstore,
# and nothing is mapped; attached again, it serves.
# limit: 900
. /lab/faults.sh
base
nothing_in_store() {
	! xenstore-read "/local/domain/$(domid)/device/vtoe/0/state" > /dev/null 2>&1 &&
		! xenstore-read "/local/domain/0/backend/vtoe/$(domid)/0/state" > /dev/null 2>&1
}
for round in $(seq "$ROUNDS"); do
	load_start || fail "no load"
	at=$(now_ms)
	expect "$round: detached" timeout 15 vtoectl detach g
	say "after $(($(now_ms) - at)) ms"
	expect "$round: the application learns of it" load_fails "$at"
	expect "$round: nothing is left in xenstore" wait_for 10 nothing_in_store
	expect "$round: attached again" attach
	restored "$round"
done
