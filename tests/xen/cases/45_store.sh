# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
# The guest deletes its keys of the device, or fills them with garbage, under load;
# each round another way, of seven. vtoed answers all the while. What is broken for
# good is mended by detaching and attaching.
# limit: 1200
. /lab/faults.sh
base
key=device/vtoe/0
ways=(
	"xenstore-write $key/state garbage"
	"xenstore-rm $key/state"
	"xenstore-rm $key"
	"xenstore-write $key/state 4294967300"
	"xenstore-write $key/state ''"
	"xenstore-write $key/state 5"
	"xenstore-write $key/backend /local/domain/0/backend/vbd/0/0 $key/state 1"
)
answers() { timeout 2 vtoectl list > /dev/null; }
reattach() {
	timeout 15 vtoectl detach g && attach
}
for round in $(seq "$ROUNDS"); do
	way=${ways[(round - 1) % ${#ways[@]}]}
	say "$round: $way"
	load_start || fail "no load"
	expect "$round: the application learns of it" breaks_in_guest "$way"
	expect "$round: vtoed answers" answers
	if ! connected 4; then
		say "attached anew"
		expect "$round: it can be attached anew" reattach
	fi
	restored "$round"
done
# Keys that are read only when the frontend connects: garbage there, and a new
# worker. The driver writes them anew.
expect "garbage in the other keys" in_guest 10 \
	"xenstore-write -- $key/ring-ref -1 $key/event-channel 99999999999 $key/version 7"
kill -9 "$(worker_pid)"
restored "garbage in the other keys"
