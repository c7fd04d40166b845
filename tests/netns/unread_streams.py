# SPDX-License-Identifier: BSD-2-Clause
# See unread_streams.sh. `serve ADDRESS PORT`: sends a little on a connection, at
# once, and much in small pieces on one that says "much". `read ADDRESS PORT
# COUNT`: leaves COUNT streams unread, and reads another to its end.
import socket
import sys
import threading
import time

LITTLE = 1000
PIECE = 700
PIECES = 1500


def serve_one(s):
    s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if s.recv(4) == b"much":
        for i in range(PIECES):
            s.sendall(bytes([i % 251]) * PIECE)
            time.sleep(0.0002)
    else:
        s.sendall(b"x" * LITTLE)
        s.recv(1)
    s.close()


def serve(listener):
    while True:
        s, _ = listener.accept()
        threading.Thread(target=serve_one, args=(s,), daemon=True).start()


def connect(to, word):
    s = socket.create_connection(to, timeout=15)
    s.sendall(word)
    return s


def read(to, count):
    unread = [connect(to, b"some") for _ in range(count)]
    time.sleep(0.3)  # let it arrive; less is a weaker test, and no failure
    s = connect(to, b"much")
    got = 0
    while got < PIECE * PIECES:
        piece = s.recv(1 << 16)
        assert piece, "ended early"
        for i, byte in enumerate(piece):
            assert byte == (got + i) // PIECE % 251, "wrong byte"
        got += len(piece)
    for u in unread:
        size = 0
        while size < LITTLE:
            size += len(u.recv(LITTLE - size))
        u.close()


where = (sys.argv[2], int(sys.argv[3]))
if sys.argv[1] == "serve":
    family = socket.AF_INET6 if ":" in where[0] else socket.AF_INET
    serve(socket.create_server(where, family=family, backlog=256))
else:
    read(where, int(sys.argv[4]))
