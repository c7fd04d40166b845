# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
# The socket interface in the guest gives the same results, errors and bytes as
# the kernel's own sockets do (MECHANISMS G3): the same program runs over vtoe in
# the guest, and over kernel sockets in the guest's network namespace in dom0,
# against the same peer. The peer's control socket reaches both by socat. A case
# that differs once is run twice more. SOCKAPI_CASES names single ones.
# limit: 900
program=/opt/vtoe/libexec/sockapi
pace=${SOCKAPI_PACE:-$((4 * SLOW))} # a fork alone may take 100 ms here
args="/tmp/control 9000 $PEER fd00:9::1 $GUEST4 fd00:9::4"
# The control socket's bytes go over xenstore's guest shell no more than needed:
# it is TCP to the peer, below vtoe-run in the guest, as the cases' sockets are.
peer 10 "setsid socat TCP-LISTEN:9001,bind=$PEER,fork,reuseaddr UNIX-CONNECT:\$PWD/control > /dev/null 2>&1 & echo \$! > bridge.pid"
over_kernel() {
	SOCKAPI_PACE=$pace nsenter --net=/run/netns/vtoe-g "$program" $args "$@"
}
over_vtoe() { # its lines go to the peer, which hands them to us
	in_guest 400 "rm -f /tmp/control; setsid vtoe-run socat UNIX-LISTEN:/tmp/control,fork TCP:$PEER:9001 > /dev/null 2>&1 & bridge=\$!
		for i in \$(seq 50); do [ -S /tmp/control ] && break; sleep 0.1; done
		SOCKAPI_PACE=$pace vtoe-run --require $program $args $* > /tmp/sockapi.out; status=\$?
		kill \$bridge
		vtoe-run socat -u FILE:/tmp/sockapi.out TCP:$PEER:9002; exit \$status"
}
restart_peer() {
	peer 10 "[ ! -e sockapi.pid ] || kill \$(cat sockapi.pid); rm -f control
		setsid ./sockapi_peer \$PWD/control 9000 $GUEST4 fd00:9::4 > sockapi.log 2>&1 & echo \$! > sockapi.pid
		for i in \$(seq 50); do [ -S control ] && exit 0; sleep 0.1; done; cat sockapi.log; exit 1"
}
# both [CASE...]: the names of the cases that differ, in $differ
both() {
	restart_peer
	setsid socat UNIX-LISTEN:/tmp/control,fork TCP:$PEER:9001 > /dev/null 2>&1 &
	bridge=$!
	wait_for 5 test -S /tmp/control
	over_kernel "$@" > /tmp/kernel.out ||
		fail "sockapi over the kernel: $?: $(tail -n 1 /tmp/kernel.out)"
	kill $bridge
	rm -f /tmp/control
	restart_peer
	peer 5 "(setsid timeout 900 socat -u TCP-LISTEN:9002,bind=$PEER,reuseaddr CREATE:sockapi.out > /dev/null 2>&1 &)"
	over_vtoe "$@" || fail "sockapi over vtoe: $?"
	sleep 0.5
	curl -sS "http://$PEER:8080/sockapi.out" > /tmp/vtoe.out
	differ=$(diff /tmp/kernel.out /tmp/vtoe.out |
		sed -n 's/^[<>] \([a-z0-9_]*\):.*/\1/p' | sort -u)
}
# Its first start compiles what it imports, and outlasts a case's alarm.
in_guest 60 'python3 -c "import socket"'
# shellcheck disable=SC2086 # a list of names
both ${SOCKAPI_CASES:-}
count=$(wc -l < /tmp/vtoe.out)
[ -n "${SOCKAPI_CASES:-}" ] ||
	expect "150 cases are run ($count)" test "$count" -ge 150
for _ in 1 2; do
	[ -n "$differ" ] || break
	say "differ, and run again: $differ"
	diff /tmp/kernel.out /tmp/vtoe.out
	# shellcheck disable=SC2086
	both $differ
done
expect "all give the same as the kernel's sockets ($differ)" test -z "$differ"
peer 10 'kill $(cat sockapi.pid bridge.pid); rm -f sockapi.pid'
