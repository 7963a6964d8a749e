"""The demo's web service: one page over a unix socket. Started by svc.py, which hands it a locked pid file.

usage: web.py SOCKET ROOT LOG PIDFILE

The lock is what says that the service runs: it goes with the process, whatever ends it.
"""

import fcntl
import http.server
import os
import socketserver
import sys
from pathlib import Path


class Page(http.server.BaseHTTPRequestHandler):
    """GET of anything gives the one page."""

    root = Path()
    log = Path()

    def do_GET(self) -> None:
        body = (self.root / "index.html").read_bytes()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        with self.log.open("a") as file:
            file.write(format % args + "\n")


def main() -> None:
    socket, root, log, pid_file = sys.argv[1:]
    with open(pid_file, "a+") as held:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        held.truncate(0)
        held.write(f"{os.getpid()}\n")
        held.flush()
        Path(socket).unlink(missing_ok=True)
        Page.root, Page.log = Path(root), Path(log)
        with socketserver.UnixStreamServer(socket, Page) as server:
            server.serve_forever()


if __name__ == "__main__":
    main()
