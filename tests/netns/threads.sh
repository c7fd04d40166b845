#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# Threads that read, write, wait for and accept on the same sockets get every
# byte exactly once (MECHANISMS G6).
. "$(dirname "$0")/../lib/net.sh"
net_begin 60 "$0" "$@"
net_up
start echo peer "$PROGS/echo" 7000
wait_listening peer 7000
OWN_ADDRESS=$APP4
export OWN_ADDRESS
app "$PROGS/threads" $PEER4 7000 >"$RUN/threads.log" 2>&1 || fail "exit $?"
cat "$RUN/threads.log"
pass
