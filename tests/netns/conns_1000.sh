#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# 1,000 connections open at once, opened by the application and accepted by
# it; each carries its own bytes. VTOE_TEST_CONNECTIONS=10000 is the soak.
. "$(dirname "$0")/../lib/net.sh"
count=${VTOE_TEST_CONNECTIONS:-1000}
net_begin $((60 + count / 100)) "$0" "$@"
files=$(awk '/^Max open files/ { print $5 }' /proc/self/limits)
[ "$files" -gt $((count + 200)) ] ||
	skip "this machine: $count connections need more open files than $files"
# shellcheck disable=SC2034 # for net_up
NET_GUEST_KEYS="streams = $((count * 2 + 100))
peer_streams = $((count * 2 + 100))"
net_up

for way in peer:app:$PEER4 app:peer:$APP4 peer:app:$PEER6 app:peer:$APP6; do
	server=${way%%:*} rest=${way#*:}
	client=${rest%%:*} address=${rest#*:}
	start "echo-$server" "$server" "$PROGS/echo" 7000 "$count"
	echo=$STARTED
	wait_listening "$server" 7000
	(net_exec "$client" "$PROGS/manyconns" "$address" 7000 "$count") \
		>"$RUN/manyconns.log" 2>&1 ||
		fail "$count connections from $client to $address: exit $?"
	finish "$echo" 20 "echo server in $server" ||
		fail "echo server in $server: exit $?"
	grep -q "served $count, $count at once" "$RUN/echo-$server.log" ||
		fail "$server: $(cat "$RUN/echo-$server.log")"
	say "ok: $client to $address: $(tail -n1 "$RUN/manyconns.log")"
done
if [ "$VTOE_TEST_PATH" = vtoe ]; then
	wait_for 5 stat_is streams 0 ||
		fail "$(stat_of streams) streams are left"
fi
pass
