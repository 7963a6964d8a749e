"""The form of a ledger, looked at in a process of its own: half of what `verify` does, on another core.

Theory of operation. While the other process (recorder.formworker) starts, which takes as long as 10,000 entries, the
verifier goes on by itself. When it is ready, it is told how far that has come, reads the same store or bundle for
itself from there on, and runs `recorder.form` over it. For every page it writes the leaf hashes, and the very bytes
that it hashed and found to be in order, which are parsed here again; then what it knows of the whole. Nothing is read
from the file by both, so nobody can write in between. That process is this program, on this side of its pipe nobody
else writes, and the leaves give the root that was signed or do not.

The other process says nothing of what is wrong. Whatever is not as it should be (something is wrong with the ledger,
the process died, the file changed) is Unclear, and the verifier then does everything itself from the beginning: what
it reports is what one process reports.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import select
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import msgspec

from recorder import strict
from recorder.form import Form
from recorder.formworker import END, READY, Answer, Order

WORTH = 20_000
"""Entries from which on it pays: a process takes as long to start as 10,000 entries take to check."""
PART_LIMIT = 1 << 28
"""Bytes of one part: what is known of a ledger with a million kept heads."""
PIPE = 1 << 20
"""Bytes that the other process may be ahead, about 12 pages; the kernel's limit for who is not root."""


class Unclear(Exception):
    """Not everything is well, or it cannot be told so."""


class FormProcess:
    """Our side: `start`; when it is `ready`, `begin`; all `pages`; `form`; `close`."""

    def __init__(self, answers: IO[bytes], orders: IO[bytes], process: subprocess.Popen[bytes] | None = None) -> None:
        self._from, self._to, self._process = answers, orders, process
        self._order: Order | None = None
        self._answer: Answer | None = None

    @classmethod
    def start(cls, path: Path) -> FormProcess:
        """For the store or bundle there. Raises Unclear."""
        name = os.fsencode(path.absolute())
        root = str(Path(__file__).resolve().parents[1])
        environment = {"PYTHONPATH": root, "PATH": os.environ.get("PATH", ""), "LC_ALL": "C.UTF-8"}
        if b"\n" in name:
            raise Unclear("a path of two lines")
        try:
            process = subprocess.Popen(
                [sys.executable, "-P", "-m", "recorder.formworker"],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment,
            )  # fmt: skip
        except OSError as error:
            raise Unclear(str(error)) from None
        if process.stdin is None or process.stdout is None:
            raise Unclear("no pipes")
        made = cls(process.stdout, process.stdin, process)
        with contextlib.suppress(OSError):
            fcntl.fcntl(process.stdout, fcntl.F_SETPIPE_SZ, PIPE)
        try:
            made._send(name)
        except Unclear:
            made.close()
            raise
        return made

    def ready(self, seconds: float = 0) -> bool:
        """Has it started, or ended? Waits for so long at most."""
        return self._process is None or bool(select.select([self._from], [], [], seconds)[0])

    def begin(self, order: Order) -> None:
        """When it is ready. Raises Unclear."""
        if self._part() != READY:
            raise Unclear("another program")
        self._order = order
        self._send(msgspec.json.encode(order))

    def pages(self) -> Iterator[tuple[list[strict.Row], bytes, bytes]]:
        """Entries whose form is good, their leaves, 32 bytes each, and their bytes, with a line feed behind each; a
        page at a time. Raises Unclear, also behind the last page where the other side does not say that it was the
        last."""
        if self._order is None:
            raise Unclear("nothing was asked")
        size, end = self._order.state.size, self._order.end
        while (leaves := self._part()) != END:
            text = self._part()
            try:
                rows = strict.read_all(text)
            except (msgspec.MsgspecError, ValueError) as error:
                raise Unclear(str(error)) from None
            if len(leaves) != 32 * len(rows) or [row.seq for row in rows] != list(range(size, size + len(rows))):
                raise Unclear("other entries than are due")
            yield rows, leaves, text
            size += len(rows)
        if size != end:
            raise Unclear("an end before its time")
        try:
            self._answer = msgspec.json.decode(self._part(), type=Answer)
        except msgspec.MsgspecError as error:
            raise Unclear(str(error)) from None

    def form(self) -> Form:
        """What it knows; after `pages`. Raises Unclear."""
        if self._answer is None or self._order is None or self._answer.size != self._order.end:
            raise Unclear("no answer")
        try:
            return self._answer.form()
        except ValueError as error:
            raise Unclear(str(error)) from None

    def _send(self, line: bytes) -> None:
        try:
            self._to.write(line + b"\n")
            self._to.flush()
        except OSError as error:
            raise Unclear(str(error)) from None

    def _part(self) -> bytes:
        length = int.from_bytes(self._from.read(4), "big")
        data = self._from.read(length) if 0 < length <= PART_LIMIT else b""
        if not data or len(data) != length:
            raise Unclear("the other process ended")
        return data

    def close(self) -> None:
        """End it. Idempotent."""
        self._from.close()
        with contextlib.suppress(OSError):
            self._to.close()
        if self._process is not None:
            self._process.kill()
            self._process.wait()
