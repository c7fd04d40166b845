#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# One application leaves eight streams unread whose senders never stop; its
# other connection works on, and the worker's own memory stays flat.
. "$(dirname "$0")/../lib/net.sh"
net_begin 60 "$0" "$@"
net_up
streams=8
start echo peer "$PROGS/echo" 7000
wait_listening peer 7000
i=0
while [ $i -lt $streams ]; do
	start push$i peer "$PROGS/flow" push listen $((7100 + i))
	wait_listening peer $((7100 + i))
	i=$((i + 1))
done
own_memory() {
	[ "$VTOE_TEST_PATH" = kernel ] || memory_of "$(worker_pid)"
}
before=$(own_memory)
app "$PROGS/crossed" $PEER4 7000 7100 $streams >"$RUN/crossed.log" 2>&1 ||
	fail "exit $?"
cat "$RUN/crossed.log"
[ "$VTOE_TEST_PATH" = kernel ] || [ "${VTOE_SANITIZER:-none}" != none ] ||
	[ "$(own_memory)" -le $((before + 1024)) ] ||
	fail "the worker's memory grows"
pass
