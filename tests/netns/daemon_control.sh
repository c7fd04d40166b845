#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# Clients of the control socket that send garbage, half a line, a line without
# an end, or do not read their answers, or are many: each is refused or dropped
# by itself, and vtoectl is answered meanwhile.
. "$(dirname "$0")/../lib/net.sh"
net_begin 60 "$0" "$@"
need python3 python3
only_vtoe
net_up

cat >"$RUN/clients.py" <<'END'
import json, socket, sys, time

path = sys.argv[1]

def connect():
    s = socket.socket(socket.AF_UNIX)
    s.settimeout(8)
    s.connect(path)
    return s

def answer(s):
    line = b""
    while not line.endswith(b"\n"):
        part = s.recv(1)
        if not part:
            return None
        line += part
    return json.loads(line)

def expect(what, ok):
    print(("ok: " if ok else "wrong: ") + what, flush=True)
    if not ok:
        sys.exit(1)

def alive():
    begin = time.time()
    try:
        s = connect()
        s.sendall(b'{"command":"list"}\n')
        got = answer(s)
    except OSError:
        return False
    return got and got["ok"] and time.time() - begin < 1

def dropped(s):
    try:
        return s.recv(1) == b""
    except ConnectionResetError:
        return True

for text in (b"\n", b"x\n", b"[]\n", b"1\n", b"{\n", b'"list"\n', b"{}\n",
             b'{"command":1}\n', b'{"command":"fly"}\n',
             b'{"command":"list","name":[]}\n', b'\xff\xfe\x00\n',
             b'{"command":"attach"}\n', b'{"command":"attach","name":{}}\n',
             b'{"command":"attach","name":"x","keys":[]}\n',
             b'{"command":"attach","name":"x","keys":{"mtu":{}}}\n',
             b'{"command":"attach","name":"x","keys":{"mtu":null}}\n',
             b'{"command":"detach"}\n', b'{"command":"log-level"}\n',
             b'{"command":"link","name":"x"}\n', b"[" * 4000 + b"\n"):
    s = connect()
    s.sendall(text)
    got = answer(s)
    expect("refused: %r" % text[:40],
           got and got["ok"] is False and got["error"])

s = connect()
s.sendall(b'{"command":"list"}\n' * 50)
expect("fifty requests at once", all(answer(s)["ok"] for i in range(50)))

s = connect()
s.sendall(b'{"command":"list"}\n')
s.shutdown(socket.SHUT_WR)
expect("a client that has closed its side", answer(s)["ok"])

s = connect()
try:
    s.sendall(b"x" * 1000000)
    s.sendall(b"x")
except OSError:
    pass
expect("a line without an end is dropped", dropped(s))
expect("others are served", alive())

half, silent, deaf = connect(), connect(), connect()
half.sendall(b'{"command":')
deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
deaf.setblocking(False)
try:
    while True:
        deaf.sendall(b'{"command":"stats"}\n' * 50)
except (BlockingIOError, BrokenPipeError, ConnectionResetError):
    pass
expect("others are served beside slow ones", alive())
expect("half a line is dropped", dropped(half))

many = []
for i in range(200):
    s = connect()
    many.append(s)
expect("too many clients are refused", dropped(many[-1]))
for s in many:
    s.close()
for s in (half, silent, deaf):
    s.close()
end = time.time() + 5
while not alive() and time.time() < end:
    pass
expect("a place is free again", alive())

# An end in the middle of a command that answers later.
for i in range(20):
    s = connect()
    s.sendall(b'{"command":"sockets"}\n')
    s.close()
expect("others are served after all that", alive())
END
fds() { find "/proc/$VTOED_PID/fd" | wc -l; }
before=$(fds)
same_fds() { [ "$(fds)" = "$before" ]; }
timeout 40 python3 "$RUN/clients.py" "$RUN/vtoed/vtoed.ctl" \
	>"$RUN/clients.log" 2>&1 || fail "$(tail -n 1 "$RUN/clients.log")"
ctl list >"$RUN/list.log" || fail "vtoectl list: exit $?"
wait_for 8 same_fds || fail "vtoed keeps descriptors: $(fds), not $before"
[ "$(stat_of worker_restarts)" = 0 ] || fail "a worker was lost"
pass "$(grep -c '^ok' "$RUN/clients.log") cases"
