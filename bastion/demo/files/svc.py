"""A small service manager for the demo's target: `svc status|start|stop|restart web`.

Exit statuses are LSB's: 0 it runs or was done, 3 it does not run, 1 it could not be done, 2 usage. Everything is
relative to the current directory, which on the demo's target is the scratch directory.
"""

import fcntl
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

SETTINGS = ("listen", "root", "log")
CONFIG = Path("srv/web/web.conf")
PID_FILE = Path("run/web.pid")
PATIENCE = 5.0
"""Seconds for the service to answer, or to go."""


class Broken(Exception):
    """The configuration cannot be used."""


def settings() -> dict[str, str]:
    """What the configuration says. Raises Broken with the place."""
    found: dict[str, str] = {}
    for number, line in enumerate(CONFIG.read_text().splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        name, _, value = line.partition(" ")
        if name not in SETTINGS:
            raise Broken(f'{CONFIG}:{number}: unknown setting "{name}"')
        found[name] = value.strip()
    for name in SETTINGS:
        if not found.get(name):
            raise Broken(f"{CONFIG}: {name} is missing")
    return found


def running() -> int:
    """The pid of the service; 0 when it does not run."""
    try:
        with PID_FILE.open("r+") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return int(file.read().strip() or 0)
    except (FileNotFoundError, ValueError):
        pass
    return 0


def answer(path: str) -> str:
    """The first line of what the service answers; empty when it does not."""
    try:
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(1)
            client.connect(path)
            client.sendall(b"GET / HTTP/1.0\r\n\r\n")
            return client.makefile().readline().strip()
    except OSError:
        return ""


def status() -> int:
    try:
        listen = settings()["listen"]
    except Broken as error:
        print(f"web: not running\n  {error}")
        return 3
    pid = running()
    if not pid:
        print("web: not running")
        return 3
    print(f"web: running, pid {pid}\n  GET / on {listen}: {answer(listen) or 'no answer'}")
    return 0


def start() -> int:
    try:
        wanted = settings()
    except Broken as error:
        print(f"web: not started: {error}", file=sys.stderr)
        return 1
    if running():
        print("web: runs already")
        return 0
    program = Path(__file__).with_name("web.py")
    PID_FILE.parent.mkdir(exist_ok=True)
    with open(wanted["log"], "ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-I", "-S", program, wanted["listen"], wanted["root"], wanted["log"], PID_FILE],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    end = time.monotonic() + PATIENCE
    while process.poll() is None and time.monotonic() < end:
        if running() and answer(wanted["listen"]):
            print("web: started")
            return 0
        time.sleep(0.01)  # a port that opens wakes nobody
    print(f"web: not started: see {wanted['log']}", file=sys.stderr)
    return 1


def stop() -> int:
    pid = running()
    if pid:
        os.kill(pid, signal.SIGTERM)
    end = time.monotonic() + PATIENCE
    while running():
        if time.monotonic() > end:
            print(f"web: pid {pid} does not end", file=sys.stderr)
            return 1
        time.sleep(0.01)  # it is no child of ours that could be waited for
    print("web: stopped" if pid else "web: was not running")
    return 0


def restart() -> int:
    return stop() or start()


VERBS = {"status": status, "start": start, "stop": stop, "restart": restart}


def main() -> int:
    if len(sys.argv) != 3 or sys.argv[1] not in VERBS or sys.argv[2] != "web":
        print(f"usage: svc {'|'.join(VERBS)} web", file=sys.stderr)
        return 2
    return VERBS[sys.argv[1]]()


if __name__ == "__main__":
    sys.exit(main())
