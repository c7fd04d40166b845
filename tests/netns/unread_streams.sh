#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# Many streams that nobody reads at the moment hold generic buffers; another, whose
# bytes come in small pieces and are read at once, goes on all the same, however
# many those are (MECHANISMS H7, H8; PROTOCOL.md P-33): buffers that were read are
# given back before the stream is short of them.
. "$(dirname "$0")/../lib/net.sh"
net_begin 120 "$0" "$@"
python=/usr/bin/python3
need $python python3
net_up
program=$top_srcdir/tests/netns/unread_streams.py
start serve peer $python "$program" serve $PEER4 7000
wait_listening peer 7000
for count in 0 20 34 38 42 46 50 60 100; do
	app timeout 30 $python "$program" read $PEER4 7000 $count \
		>"$RUN/read.log" 2>&1 ||
		fail "with $count unread streams: exit $?: $(tail -n 1 "$RUN/read.log")"
	say "ok: $count unread streams"
done
pass
