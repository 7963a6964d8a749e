"""A process that writes a ledger and kills itself at a chosen step: `writer.py STORE STEP COUNT`.

The steps are places in the product's code that are wrapped here, never there. Each acknowledged entry and finished
recording is told on stdout, at once; so what was acknowledged before the kill is known outside.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from recorder import layout, store
from recorder.ledger import Draft, Ledger
from tests.recorder.stories import HOST, ledger_key

STEPS = (
    "before the pack", "half of the pack", "after the pack", "after the pack's sync", "after BEGIN",
    "after the entries", "before COMMIT", "after COMMIT", "half of the head", "after the head", "after the head's sync",
)  # fmt: skip

_real_pwrite, _real_sync = os.pwrite, os.fdatasync


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


class Trap:
    """Dies at the COUNTth time that its step is reached."""

    def __init__(self, step: str, count: int) -> None:
        self.step, self.left = step, count

    def reached(self, step: str) -> bool:
        if step != self.step:
            return False
        self.left -= 1
        return self.left == 0

    def at(self, step: str) -> None:
        if self.reached(step):
            die()


class Database:
    """The connection, with eyes on what is executed."""

    def __init__(self, real: Any, trap: Trap) -> None:
        self._real, self._trap = real, trap

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    def execute(self, sql: str, *values: Any) -> Any:
        if sql == "COMMIT":
            self._trap.at("before COMMIT")
        result = self._real.execute(sql, *values)
        if sql == "COMMIT":
            self._trap.at("after COMMIT")
        if sql == "BEGIN IMMEDIATE":
            self._trap.at("after BEGIN")
        return result

    def executemany(self, sql: str, rows: Any) -> Any:
        result = self._real.executemany(sql, rows)
        if "INTO entries" in sql:
            self._trap.at("after the entries")
        return result


def wrap(trap: Trap) -> None:
    """Put the trap into everything that a commit does."""

    def pwrite(fd: int, data: bytes, offset: int) -> int:
        what = "head" if len(data) == layout.SLOT else "pack"
        if what == "pack":
            trap.at("before the pack")
        if trap.reached(f"half of the {what}"):
            _real_pwrite(fd, data[: min(len(data) // 2, 120)], offset)
            die()
        written = _real_pwrite(fd, data, offset)
        trap.at(f"after the {what}")
        return written

    def sync(fd: int) -> None:
        _real_sync(fd)
        trap.at("after the head's sync" if os.fstat(fd).st_size == 2 * layout.SLOT else "after the pack's sync")

    connect: Callable[[Path], Any] = store.connect
    os.pwrite, os.fdatasync = pwrite, sync  # type: ignore[assignment]
    store.connect = lambda path: Database(connect(path), trap)  # type: ignore[assignment]


def tell(word: str, value: object) -> None:
    os.write(1, f"{word} {value}\n".encode())


def main(directory: Path, step: str, count: int) -> None:
    wrap(Trap(step, count))
    opened = (
        Ledger.open(directory, key=ledger_key())
        if directory.exists()
        else Ledger.create(directory, host=HOST, key=ledger_key())
    )
    tell("created", opened.origin)
    for number in range(1_000_000):
        recording = opened.recording(f"s-{os.getpid()}-{number}", actor="x", notify=lambda: None)
        recording.write("output", f"output of {number}\n".encode() * 300)
        futures = [
            opened.append(Draft("session.opened", "x", {"n": number}, payloads={"p": b"x" * 100})) for _ in range(3)
        ]
        for future in futures:
            tell("entry", f"{future.result()[0].seq} {future.result()[0].leaf}")
        recording.finish().result()
        tell("recording", recording.session)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]))
