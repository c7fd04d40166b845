#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""peer.py DIRECTORY: the far end of the wire, and dom0's hand there.

Serves the files of DIRECTORY over HTTP at 10.9.0.1:8080. At port 8090 a POST
runs its body with bash in this network namespace, in DIRECTORY, and answers
with the output; the header Status carries the exit status, Limit of the
request the seconds that it may take (124: it took longer). $BUILD is where
vtoe is built for this machine. Only the lab's own
dom0 reaches that address: it is on a tap device of a namespace of the lab's.
"""
import functools
import http.server
import os
import signal
import subprocess
import sys
import threading

ADDRESS = "10.9.0.1"
directory = sys.argv[1]


class Commands(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        command = self.rfile.read(int(self.headers["Content-Length"]))
        limit = float(self.headers.get("Limit", 60))
        run = subprocess.Popen(["bash", "-c", command], cwd=directory,
                               stdin=subprocess.DEVNULL,
                               stdout=subprocess.PIPE,
                               stderr=subprocess.STDOUT,
                               start_new_session=True)
        try:
            output, _ = run.communicate(timeout=limit)
            status = run.returncode
        except subprocess.TimeoutExpired:
            os.killpg(run.pid, signal.SIGKILL)
            output, _ = run.communicate()
            status = 124
        self.send_response(200)
        self.send_header("Status", str(status % 256))
        self.send_header("Content-Length", str(len(output)))
        self.end_headers()
        self.wfile.write(output)

    def log_message(self, *_):
        pass


class Files(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


class Server(http.server.ThreadingHTTPServer):
    request_queue_size = 512


def main():
    files = functools.partial(Files, directory=directory)
    threading.Thread(target=Server((ADDRESS, 8080), files).serve_forever,
                     daemon=True).start()
    Server((ADDRESS, 8090), Commands).serve_forever()


main()
