"""The form of a ledger, looked at in a process of its own: half of what `verify` does, on another core.

Theory of operation. The other process reads the same store or bundle for itself and runs `recorder.form` over it. For
every page it writes the leaf hashes; then what it knows of the whole. This side reads the bytes of that page, hashes
them, and takes them for checked only if the leaves are the same ones: so both looked at the same bytes, and this side
need not trust that nobody wrote in between, nor parse what was not found to be in order.

The other process says nothing of what is wrong. Whatever is not as it should be (something is wrong with the ledger,
the process died, the file changed) is Unclear, and the verifier then does everything itself from the beginning: what
it reports is what one process reports.

    ours    {"path", "origin", "end", "ends", "wanted"} as a line of JSON on stdin
    theirs  for each page 32 bytes a leaf; at the end END and a line of JSON. Each part behind its length, 4 bytes
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import IO

import msgspec

from recorder.errors import RecorderError
from recorder.form import Form, Forming
from recorder.merkle import Frontier
from recorder.segments import Segment
from recorder.source import Source, open_source

WORTH = 20_000
"""Entries from which on it pays: a process takes as long to start as 10,000 entries take to check."""
END = b"end\n"
PART_LIMIT = 1 << 28
"""Bytes of one part: what is known of a ledger with a million kept heads."""
PIPE = 1 << 20
"""Bytes that the other process may be ahead, which is 16 pages; the kernel's limit for who is not root."""


class Unclear(Exception):
    """Not everything is well, or it cannot be told so."""


class Order(msgspec.Struct, frozen=True):
    """What is asked of the other process."""

    path: str
    origin: str
    end: int
    """Entries below this number; there must be as many."""
    ends: list[int]
    wanted: list[int]


class Answer(msgspec.Struct, frozen=True):
    """What is known of all entries; hashes are hex."""

    size: int
    peaks: list[str]
    roots: dict[int, str]
    segments: list[tuple[int, int, int, str, str]]
    full: int


class FormProcess:
    """Our side."""

    def __init__(self, order: Order, answers: IO[bytes], process: subprocess.Popen[bytes] | None = None) -> None:
        self._order, self._from, self._process = order, answers, process
        self._answer: Answer | None = None

    @classmethod
    def start(cls, order: Order) -> FormProcess:
        """Raises Unclear."""
        root = str(Path(__file__).resolve().parents[1])
        environment = {"PYTHONPATH": root, "PATH": os.environ.get("PATH", ""), "LC_ALL": "C.UTF-8"}
        try:
            process = subprocess.Popen(
                [sys.executable, "-P", "-m", "recorder.formprocess"],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment,
            )  # fmt: skip
        except OSError as error:
            raise Unclear(str(error)) from None
        if process.stdin is None or process.stdout is None:
            raise Unclear("no pipes")
        made = cls(order, process.stdout, process)
        try:
            with contextlib.suppress(OSError):
                fcntl.fcntl(process.stdout, fcntl.F_SETPIPE_SZ, PIPE)
            with process.stdin as stdin:
                stdin.write(msgspec.json.encode(order) + b"\n")
        except OSError as error:
            made.close()
            raise Unclear(str(error)) from None
        return made

    def pages(self, source: Source) -> Iterator[tuple[list[bytes], list[bytes]]]:
        """Entries whose form is good, and their leaves, a page at a time. Raises Unclear, also behind the last page
        where the other side does not say that it was the last; and what `source` raises."""
        sha256, size = hashlib.sha256, 0
        for entries in source.raw_pages(self._order.end):
            leaves = [sha256(b"\x00" + data).digest() for data in entries]
            if not leaves or self._part() != b"".join(leaves):
                raise Unclear("the processes did not read the same")
            yield entries, leaves
            size += len(leaves)
        if size != self._order.end or self._part() != END:
            raise Unclear("an end before its time")
        try:
            self._answer = msgspec.json.decode(self._part(), type=Answer)
        except msgspec.MsgspecError as error:
            raise Unclear(str(error)) from None

    def form(self) -> Form:
        """What it knows; after `pages`. Raises Unclear."""
        found = self._answer
        if found is None or found.size != self._order.end:
            raise Unclear("no answer")
        return Form(
            Frontier(found.size, map(bytes.fromhex, found.peaks)),
            {size: bytes.fromhex(root) for size, root in found.roots.items()},
            [
                Segment(number, first, n, sha256, bytes.fromhex(sha512))
                for number, first, n, sha256, sha512 in found.segments
            ],
            found.full,
        )

    def _part(self) -> bytes:
        length = int.from_bytes(self._from.read(4), "big")
        data = self._from.read(length) if 0 < length <= PART_LIMIT else b""
        if not data or len(data) != length:
            raise Unclear("the other process ended")
        return data

    def close(self) -> None:
        """End it. Idempotent."""
        self._from.close()
        if self._process is not None:
            self._process.kill()
            self._process.wait()


def answer(order: Order, source: Source, out: IO[bytes]) -> bool:
    """The other side: is everything well? Raises RecorderError and OSError."""

    def part(data: bytes) -> None:
        out.write(len(data).to_bytes(4, "big") + data)
        out.flush()

    forming = Forming(order.origin, order.ends, order.wanted)
    try:
        for page in source.pages(order.end):
            taken = forming.take(page)
            if taken.broken or taken.odd:
                return False
            part(b"".join(taken.leaves))
    finally:
        form = forming.finish()
    tree = form.tree
    segments = [(each.number, each.first, each.entries, each.sha256, each.sha512.hex()) for each in form.segments]
    roots = {size: root.hex() for size, root in form.roots.items()}
    part(END)
    part(msgspec.json.encode(Answer(tree.size, [peak.hex() for peak in tree.peaks], roots, segments, form.full)))
    return True


def main() -> int:
    """The other process."""
    try:
        order = msgspec.json.decode(sys.stdin.buffer.readline(), type=Order)
        with closing(open_source(Path(order.path))) as source, source.snapshot():
            return 0 if answer(order, source, sys.stdout.buffer) else 1
    except (msgspec.MsgspecError, RecorderError, OSError):
        return 1


if __name__ == "__main__":
    sys.exit(main())
