#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# An unmodified Python uses connections in many ways (python_sockets.py):
# threads, children, inherited descriptors, time-outs, select with a pipe, epoll,
# sendfile, buffered lines.
. "$(dirname "$0")/../lib/net.sh"
net_begin 90 "$0" "$@"
python=/usr/bin/python3
need $python python3
net_up
start echo peer "$PROGS/echo" 7000
wait_listening peer 7000
for address in $PEER4 $PEER6; do
	app $python "$top_srcdir/tests/netns/python_sockets.py" "$address" \
		7000 >"$RUN/python.log" 2>&1 || fail "$address: exit $?"
done
cat "$RUN/python.log"
pass
