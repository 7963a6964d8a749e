"""The other side of recorder.formprocess: the process that looks at the form of a ledger's entries. Its imports are
few, since what it takes to start is a fifth of its work on 50,000 entries.

    in      the path, a line; later an Order, a line of JSON
    out     READY; for each page 32 bytes a leaf, and the entries with a line feed behind each; at the end END, and an
            Answer. Each part behind its length, 4 bytes
"""

from __future__ import annotations

import gc
import itertools
import os
import sys
from contextlib import closing
from pathlib import Path
from typing import IO

import msgspec

from recorder.errors import RecorderError
from recorder.form import Form, Forming, State
from recorder.merkle import Frontier
from recorder.segments import Segment
from recorder.source import Source, open_source

READY = b"ready\n"
END = b"end\n"


class Order(msgspec.Struct, frozen=True):
    """What is asked of it."""

    origin: str
    end: int
    """Entries below this number; there must be as many."""
    ends: list[int]
    wanted: list[int]
    state: State = State()
    """Where it begins."""


class Answer(msgspec.Struct, frozen=True):
    """What is known of the entries from there on; hashes are hex."""

    size: int
    peaks: list[str]
    roots: dict[int, str]
    segments: list[tuple[int, int, int, str, str]]
    full: int

    @classmethod
    def of(cls, form: Form) -> Answer:
        """To be sent."""
        return cls(
            form.tree.size,
            [peak.hex() for peak in form.tree.peaks],
            {size: root.hex() for size, root in form.roots.items()},
            [(each.number, each.first, each.entries, each.sha256, each.sha512.hex()) for each in form.segments],
            form.full,
        )

    def form(self) -> Form:
        """As received. Raises ValueError."""
        return Form(
            Frontier(self.size, map(bytes.fromhex, self.peaks)),
            {size: bytes.fromhex(root) for size, root in self.roots.items()},
            [
                Segment(number, first, n, sha256, bytes.fromhex(sha512))
                for number, first, n, sha256, sha512 in self.segments
            ],
            self.full,
        )


def part(out: IO[bytes], data: bytes) -> None:
    """Write one. Raises OSError."""
    out.write(len(data).to_bytes(4, "big"))
    out.write(data)


def answer(order: Order, source: Source, out: IO[bytes]) -> bool:
    """Is everything well? Raises RecorderError and OSError."""
    state = order.state
    begun = itertools.chain.from_iterable(source.raw_pages(state.size, state.first))
    forming = Forming(order.origin, order.ends, order.wanted, state, begun)
    try:
        for page in source.pages(order.end, state.size):
            taken = forming.take(page)
            if taken.broken or taken.odd:
                return False
            part(out, b"".join(taken.leaves))
            part(out, taken.text)
    finally:
        form = forming.finish()
    part(out, END)
    part(out, msgspec.json.encode(Answer.of(form)))
    out.flush()
    return True


def main() -> int:
    """The process."""
    gc.disable()  # nothing makes cycles, as in recorder.verify
    out = sys.stdout.buffer
    try:
        path = Path(os.fsdecode(sys.stdin.buffer.readline().removesuffix(b"\n")))
        with closing(open_source(path)) as source, source.snapshot():
            part(out, READY)
            out.flush()
            order = msgspec.json.decode(sys.stdin.buffer.readline(), type=Order)
            return 0 if answer(order, source, out) else 1
    except (msgspec.MsgspecError, RecorderError, OSError):
        return 1


if __name__ == "__main__":
    sys.exit(main())
