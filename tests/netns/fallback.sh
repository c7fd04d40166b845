#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# What is not offloaded goes to the kernel, works there, and says why. UDP,
# unix sockets and loopback connections beside an offloaded one in one
# program; `vtoe-run --explain` has a line for each, `vtoectl sockets` lists
# streams and fall-backs. Without a backend the program runs on the kernel and
# says so once, or fails with --require.
. "$(dirname "$0")/../lib/net.sh"
net_begin 60 "$0" "$@"
python=/usr/bin/python3
need $python python3
only_vtoe
net_up
start echo peer "$PROGS/echo" 7000
wait_listening peer 7000

cat >"$RUN/mixed.py" <<'END'
import os, socket, sys, threading
run, peer = sys.argv[1:3]

def exchange(a, b):
    for one, other in ((a, b), (b, a)):
        one.sendall(b"x" * 1000)
        assert other.recv(1000, socket.MSG_WAITALL) == b"x" * 1000

def accepted(family, address):
    with socket.socket(family) as l:
        l.bind(address)
        l.listen()
        c = socket.socket(family)
        c.connect(l.getsockname())
        return c, l.accept()[0]

udp = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2)]
udp[0].bind(("127.0.0.1", 0))
udp[1].sendto(b"datagram", udp[0].getsockname())
assert udp[0].recv(100) == b"datagram"
exchange(*socket.socketpair())
exchange(*accepted(socket.AF_UNIX, f"{run}/unix{os.getpid()}"))
exchange(*accepted(socket.AF_INET, ("127.0.0.1", 0)))
exchange(*accepted(socket.AF_INET6, ("::1", 0)))
tcp = socket.create_connection((peer, 7000))
tcp.sendall(b"y" * 1000)
assert tcp.recv(1000, socket.MSG_WAITALL) == b"y" * 1000
print("works", flush=True)
if len(sys.argv) > 3:
    sys.stdin.read()
END

# -- reasons -----------------------------------------------------------------
mkfifo "$RUN/hold"
app --explain $python "$RUN/mixed.py" "$RUN" $PEER4 hold \
	>"$RUN/mixed.log" 2>&1 <"$RUN/hold" &
mixed=$!
net_pids="$net_pids $mixed"
exec 9>"$RUN/hold"
wait_for 10 grep -q works "$RUN/mixed.log" || fail "mixed sockets"
explained() {
	grep 'vtoe' "$RUN/mixed.log" | grep -q "$1" ||
		fail "--explain has no line with: $1"
}
explained "not a TCP socket"
explained "a loopback address 127.0.0.1"
explained "a loopback address .*::1"
explained "offloaded .*$PEER4:7000"
ctl sockets "$GUEST" >"$RUN/sockets.log" || fail "vtoectl sockets: exit $?"
listed() {
	grep -Eq "$1" "$RUN/sockets.log" || {
		fail "vtoectl sockets has no line with: $1"
	}
}
listed "python3?.*$APP4.*$PEER4.*7000|$APP4.*$PEER4.*7000.*python3?"
listed "127\.0\.0\.1.*loopback"
stat_above fallback_loopback 0 || fail "fallback_loopback is not counted"
exec 9>&-
wait "$mixed" || fail "mixed sockets: exit $?"

# -- no backend --------------------------------------------------------------
# nobody CMD...: under vtoe-run, in a namespace with a network of its own, with
# no backend to find.
nobody() {
	(VTOE_SOCKET=$RUN/nobody.sock
	export VTOE_SOCKET
	net_exec kernel "$VTOE_RUN" "$@")
}
nobody $python "$RUN/mixed.py" "$RUN" $PEER4 >"$RUN/nobody.log" 2>&1 ||
	fail "without a backend: exit $?"
[ "$(grep -c vtoe "$RUN/nobody.log")" = 1 ] ||
	fail "without a backend: not one line that says so"
if nobody --require "$PROGS/rr" $PEER4 7000 100 >"$RUN/nobody.log" 2>&1; then
	fail "--require goes to the kernel all the same"
fi
grep -q vtoe "$RUN/nobody.log" || fail "--require does not say what is wrong"
pass
