#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# MECHANISMS L16: who does not read is not sent to. With readers that read
# nothing the senders stall after what sockets and posted buffers hold, while
# the worker's own memory stays flat; once they read, every byte is there. Both
# directions.
. "$(dirname "$0")/../lib/net.sh"
net_begin 60 "$0" "$@"
net_up
bytes=${VTOE_TEST_BYTES:-100000000}
streams="1 2 3 4"

own_memory() {
	[ "$VTOE_TEST_PATH" = kernel ] || memory_of "$(worker_pid)"
}

# one SENDER RECEIVER ADDRESS
one() {
	pulls='' pushes=''
	before=$(own_memory)
	for i in $streams; do
		start "pull$i" "$2" "$PROGS/flow" pull listen 720$i
		pulls="$pulls $STARTED"
		wait_listening "$2" 720$i
		start "push$i" "$1" "$PROGS/flow" push connect "$3" 720$i \
			"$bytes"
		pushes="$pushes $STARTED"
	done
	for i in $streams; do
		wait_for 15 grep -q stalled "$RUN/push$i.log" ||
			fail "$1 to $2: the sender never stalls"
		stalled=$(sed -n 's/^stalled //p' "$RUN/push$i.log")
		[ "$stalled" -lt $((bytes / 2)) ] ||
			fail "$1 to $2: $stalled bytes go where nobody reads"
	done
	say "$1 to $2: stalls after $stalled bytes," \
		"worker's own memory ${before:-0} kB, then $(own_memory) kB"
	[ "$VTOE_TEST_PATH" = kernel ] ||
		[ "${VTOE_SANITIZER:-none}" != none ] ||
		[ "$(own_memory)" -le $((before + 1024)) ] ||
		fail "$1 to $2: the worker's memory grows"
	# shellcheck disable=SC2086 # words
	kill -USR1 $pulls
	for pid in $pulls $pushes; do
		finish "$pid" 20 "flow, $1 to $2" || fail "flow: exit $?"
	done
	for i in $streams; do
		grep -q "^pulled $bytes$" "$RUN/pull$i.log" ||
			fail "$1 to $2: $(cat "$RUN/pull$i.log")"
	done
}

one peer app $APP4
one app peer $PEER4
pass
