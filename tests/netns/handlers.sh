#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# Signal handlers that use sockets, and that leave calls by longjmp, harm neither
# the program nor its bytes, and what is closed afterwards ends.
. "$(dirname "$0")/../lib/net.sh"
net_begin 60 "$0" "$@"
net_up
# Two connections for bytes, six for jumps: it ends when they all have ended,
# which they do by close: the program stays.
start echo peer "$PROGS/echo" 7000 8
echo_pid=$STARTED
wait_listening peer 7000
start handlers app "$PROGS/handlers" $PEER4 7000
handlers_pid=$STARTED
handlers_over() {
	net_gone "$handlers_pid" || grep -q 'all closed' "$RUN/handlers.log"
}
wait_for 30 handlers_over || fail "the program does not come to its end"
grep 'all closed' "$RUN/handlers.log" || fail "the program failed"
finish "$echo_pid" 5 "echo server, whose clients have closed" ||
	fail "echo server: exit $?"
pass
