#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# kill -9 of the supervisor: as vtoed(8) says, its workers end with it, so that
# nothing runs unwatched, and applications get errors within a second. A
# supervisor started again takes the left-over namespaces, sockets and links
# away or over, and applications that were running go on with new sockets.
. "$(dirname "$0")/../lib/net.sh"
net_begin 60 "$0" "$@"
only_vtoe
net_up
start echo peer "$PROGS/echo" 7000
start push peer "$PROGS/flow" push listen 7001
wait_listening peer 7000
wait_listening peer 7001

# An application that fails, and then tries again until it works.
cat >"$RUN/client" <<END
#!/bin/sh
"$PROGS/flow" pull connect $PEER4 7001 1000000000000
echo "failed with \$?"
until "$PROGS/rr" $PEER4 7000 100; do sleep 0.1; done
echo again
END
chmod +x "$RUN/client"

for round in 1 2; do
	worker=$(worker_pid)
	[ "$round" = 1 ] || {
		start push peer "$PROGS/flow" push listen 7001
		wait_listening peer 7001
	}
	start client app sh "$RUN/client"
	client=$STARTED
	wait_for 10 stat_above rx_bytes 1000000 || error "no data flows"
	kill -KILL "$VTOED_PID"
	wait "$VTOED_PID" 2>/dev/null
	wait_for 1 net_gone "$worker" || fail "the worker outlives vtoed by 1 s"
	wait_for 1 grep -q 'failed with 1' "$RUN/client.log" ||
		fail "the application has no error after 1 s"
	net_start_vtoed
	wait_for 5 net_gone "$client" || fail "the application does not go on"
	grep -q again "$RUN/client.log" || fail "the application does not go on"
done
app "$PROGS/rr" $PEER4 7000 100 >"$RUN/rr.log" 2>&1 || fail "rr: exit $?"
pass
