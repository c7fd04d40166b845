#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# Signal handlers that use sockets, and that leave calls by longjmp, harm neither
# the program nor its bytes.
. "$(dirname "$0")/../lib/net.sh"
net_begin 60 "$0" "$@"
net_up
start echo peer "$PROGS/echo" 7000
wait_listening peer 7000
app "$PROGS/handlers" $PEER4 7000 >"$RUN/handlers.log" 2>&1 || fail "exit $?"
cat "$RUN/handlers.log"
pass
