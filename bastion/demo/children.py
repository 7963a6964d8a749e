"""The demo's processes: started here, owned here, and gone when it ends, however it ends.

Theory of operation. Each process gets a group of its own, so that a Ctrl-C at the terminal reaches the demo alone,
which then ends the others in order: the last one started first, asked politely, then made to.

That is not enough: sshd forks a process for each connection and lets it lead a session of its own, and an approved
command may leave one behind (the scratch world's web service is such a one). So the demo becomes their *subreaper*
(prctl(2), PR_SET_CHILD_SUBREAPER): whoever loses its parent becomes the demo's child and not init's. What descends from
the demo at the end is exactly what it caused, and is ended by pid. Children that were there before are left alone.

Not protected: after a kill -9 of the demo itself its processes stay.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

PR_SET_CHILD_SUBREAPER = 36
"""Of <linux/prctl.h>."""

POLITE_SECONDS = 5.0
"""For a process to end after SIGTERM: the daemon cuts its sessions and closes the ledger, well within 1 s."""

SWEEP_SECONDS = 5.0
"""For what is left to be gone after SIGKILL."""

PAUSE = 0.01
"""Seconds between two looks."""


class Children:
    """The processes of one demo."""

    def __init__(self) -> None:
        self._started: list[tuple[str, subprocess.Popen[bytes]]] = []
        self._before = frozenset(descendants(os.getpid(), frozenset()))
        _become_subreaper()

    def close(self) -> list[int]:
        """End all of them, and what they left behind. Returns the pids of what would not end."""
        for _, process in reversed(self._started):
            self.end(process)
        return self.sweep()

    def start(
        self, name: str, command: Sequence[str], *, log: Path, cwd: Path, env: Mapping[str, str]
    ) -> subprocess.Popen[bytes]:
        """Start a process; what it prints goes to `log`. Raises OSError."""
        with log.open("ab") as out:
            process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, cwd=cwd, env=env, start_new_session=True
            )
        self._started.append((name, process))
        return process

    def stop(self, name: str) -> None:
        """End the processes of that name."""
        for each, process in list(self._started):
            if each == name:
                self.end(process)

    def end(self, process: subprocess.Popen[bytes]) -> None:
        """End one process and its group."""
        self._started = [(name, each) for name, each in self._started if each is not process]
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(POLITE_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def sweep(self) -> list[int]:
        """Kill whatever still descends from this process, and reap it. Returns what would not go."""
        end = time.monotonic() + SWEEP_SECONDS
        while left := descendants(os.getpid(), self._before):
            if time.monotonic() > end:
                return left
            for pid in left:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.kill(pid, signal.SIGKILL)
                with contextlib.suppress(
                    ChildProcessError
                ):  # a grandchild: it is ours to reap once its parent has gone
                    os.waitpid(pid, os.WNOHANG)
            time.sleep(PAUSE)  # grandchildren end without telling us
        return []


def descendants(root: int, apart: frozenset[int]) -> list[int]:
    """Pids of all processes that descend from `root`, but for those in `apart` and what descends from them.

    From /proc; empty where there is none.
    """
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError, ValueError, IndexError):
            # proc(5): `pid (comm) state ppid …`; comm may contain anything, blanks and brackets too
            parent = int(entry.read_text(errors="replace").rpartition(")")[2].split()[1])
            children.setdefault(parent, []).append(int(entry.parent.name))
    found: list[int] = []
    waiting = [root]
    while waiting:
        new = [pid for pid in children.get(waiting.pop(), ()) if pid not in apart]
        found += new
        waiting += new
    return found


@contextlib.contextmanager
def undisturbed() -> Iterator[None]:
    """Tidying up goes to its end, whatever is pressed meanwhile. In the main thread only."""
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.signal(number, signal.SIG_IGN) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _become_subreaper() -> None:
    """Best effort: where the system has no such thing, orphans are not followed."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
