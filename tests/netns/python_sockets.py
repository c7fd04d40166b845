# SPDX-License-Identifier: BSD-2-Clause
# Python's ways of using a connection, against an echo server; see
# python_sockets.sh. Each prints its name when it has worked.
import concurrent.futures
import multiprocessing
import os
import select
import selectors
import socket
import subprocess
import sys
import tempfile
import threading

server = (sys.argv[1], int(sys.argv[2]))


def connect():
    return socket.create_connection(server, timeout=20)


def receive(s, size):
    pieces = []
    while size:
        piece = s.recv(min(size, 1 << 18))
        assert piece, "ended early"
        pieces.append(piece)
        size -= len(piece)
    return b"".join(pieces)


def exchange(s, size=1000):
    data = os.urandom(size)
    s.sendall(data)
    assert receive(s, size) == data


def threads():
    """Connections of many threads at once."""
    def one(i):
        with connect() as s:
            for k in range(30):
                exchange(s, 100 + i * k)
    with concurrent.futures.ThreadPoolExecutor(32) as pool:
        list(pool.map(one, range(64)))


def duplex():
    """One thread sends, another receives, on one connection."""
    data = os.urandom(10_000_000)
    got = []
    with connect() as s:
        t = threading.Thread(target=lambda: got.append(receive(s, len(data))))
        t.start()
        s.sendall(data)
        t.join()
    assert got == [data]


def in_child(queue):
    with connect() as s:
        exchange(s)
        queue.put(os.getpid())


def processes():
    """Children made by fork make connections of their own."""
    queue = multiprocessing.Queue()
    children = [multiprocessing.Process(target=in_child, args=(queue,))
                for _ in range(8)]
    with connect() as s:
        for child in children:
            child.start()
        pids = {queue.get(timeout=20) for _ in children}
        for child in children:
            child.join(20)
        assert pids == {child.pid for child in children}
        assert all(child.exitcode == 0 for child in children)
        exchange(s)


def inherited():
    """A program started by exec goes on with a connection of ours."""
    code = ("import socket, sys; s = socket.socket(fileno=int(sys.argv[1]));"
            "s.sendall(b'hello'); print(s.recv(5, socket.MSG_WAITALL))")
    with connect() as s:
        s.settimeout(None)  # or it is non-blocking there
        r = subprocess.run([sys.executable, "-c", code, str(s.fileno())],
                           pass_fds=[s.fileno()], capture_output=True,
                           text=True, check=True, timeout=20)
        assert r.stdout == "b'hello'\n", r
        exchange(s)


def buffered():
    """Lines, through a buffered file object."""
    with connect() as s, s.makefile("rwb") as f:
        lines = [b"line %d\n" % i for i in range(1000)]
        f.writelines(lines)
        f.flush()
        assert [f.readline() for _ in lines] == lines


def timeouts():
    """A time-out ends a receive; the connection still works."""
    with connect() as s:
        s.settimeout(0.1)
        try:
            s.recv(1)
            raise AssertionError("no time-out")
        except TimeoutError:
            pass
        s.settimeout(20)
        exchange(s)


def mixed_select():
    """select over a connection and a pipe."""
    out, into = os.pipe()
    with connect() as s:
        assert not select.select([s, out], [], [], 0.05)[0]
        os.write(into, b"x")
        assert select.select([s, out], [], [], 20)[0] == [out]
        os.read(out, 1)
        s.sendall(b"y")
        assert select.select([s, out], [], [], 20)[0] == [s]


def many_epoll():
    """epoll over two hundred connections."""
    with selectors.EpollSelector() as selector:
        sockets = [connect() for _ in range(200)]
        for s in sockets:
            s.setblocking(False)
            selector.register(s, selectors.EVENT_READ)
            s.send(b"z")
        left = {s.fileno() for s in sockets}
        while left:
            events = selector.select(20)
            assert events, "nothing is ready"
            for key, _ in events:
                assert key.fileobj.recv(10) == b"z"
                left.discard(key.fd)
        for s in sockets:
            s.close()


def sendfile():
    """A file, by sendfile."""
    data = os.urandom(3_000_000)
    got = []
    with tempfile.TemporaryFile() as f, connect() as s:
        f.write(data)
        f.seek(0)
        t = threading.Thread(target=lambda: got.append(receive(s, len(data))))
        t.start()
        assert s.sendfile(f) == len(data)
        t.join()
    assert got == [data]


for way in (threads, duplex, processes, inherited, buffered, timeouts,
            mixed_select, many_epoll, sendfile):
    print(way.__name__, end=" ", flush=True)
    way()
    print("works", flush=True)
