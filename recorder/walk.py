"""The pass of `verify` over the entries: everything that can be said of one when it and all before it have been read.

Read-only. Each entry is parsed by `recorder.strict`, from its own bytes, and its form looked at by `recorder.form`,
here or in another process. What breaks the chain stops the pass, since nothing behind it can be judged; what is wrong
with one entry is noted and the pass goes on.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from recorder import strict
from recorder.contents import NOTHING, Contents
from recorder.errors import NoteError
from recorder.form import Form, Forming
from recorder.formprocess import FormProcess
from recorder.formworker import Order
from recorder.keyring import TYPE as ROTATED
from recorder.keyring import Keyring, RotationError
from recorder.outside import Claim, claim
from recorder.proposals import Judge, OpenPayload
from recorder.report import Findings
from recorder.rows import RowLike
from recorder.rules import Rules
from recorder.source import Source
from recorder.tombstones import RULED, Tombstones
from recorder.tree import Tree
from recorder.votes import Violation

ANCHORED = "checkpoint.anchored"


class Walk:
    """The pass, and what is known after so many entries."""

    def __init__(
        self, origin: str, keys: Keyring, source: Source, findings: Findings, progress: Callable[[int], None] | None
    ) -> None:
        self._source, self.findings, self._progress = source, findings, progress
        self._ends: set[int] = set()
        self.origin, self.keys = origin, keys
        self.hashes = bytearray()
        """Leaf hashes, 32 bytes each."""
        self.claims: list[Claim] = []
        self.form = Form()
        """After `read`."""
        self.sessions: set[str] = set()
        self.rules = Rules()
        self.tombs = Tombstones(self.rules.people, self.rules.environments)
        self.contents = Contents(origin, source, findings, self.tombs)
        self.leaves: set[bytes] = set()
        self._boot, self._t, self._mono = "", 0, 0
        self._last = ""
        """Leaf (hex) of the entry before, where it can be a cause."""
        self.judges = self._judges()
        """What judges an entry, by its type."""
        self._index: Tree | None = None

    @property
    def size(self) -> int:
        """Entries read."""
        return len(self.hashes) // 32

    def read(self, ends: set[int], wanted: set[int], beside: FormProcess | None) -> None:
        """Read every entry. `ends` are the sizes with which segments end, `wanted` those whose root is to be known.
        `beside` looks at the form of the entries from when it is ready, where that is given to another process. Raises
        Broken, StoreDamaged, and Unclear where the other process has anything to say but that all is well."""
        self._ends = ends
        forming = Forming(self.origin, ends, wanted)
        try:
            for page in self._source.pages():
                taken = forming.take(page)
                self.take(taken.rows, b"".join(taken.leaves), taken.text, taken.odd)
                if taken.broken:
                    raise self.findings.stop(forming.size, taken.broken)
                if beside is not None and beside.ready():
                    break
            else:
                beside = None
        finally:
            self.form = forming.finish()
            self.sessions.discard("")
        if beside is not None:
            end = self._source.size()
            beside.begin(Order(self.origin, end, sorted(ends), sorted(wanted), forming.state()))
            for rows, leaves, text in beside.pages():
                self.take(rows, leaves, text, {})
            self.form = self.form.followed_by(beside.form())
            self.sessions.discard("")

    def take(self, rows: Sequence[strict.Row], leaves: bytes, text: bytes, odd: dict[int, str]) -> None:
        """Take these entries, with their leaves and bytes; behind the last of `rows` may be something broken."""
        self.hashes += leaves
        self.contents.page(self.size - len(rows), self.size)
        self._clocks(rows)
        self.sessions.update({row.session for row in rows})  # the empty one is taken out at the end
        known, judged, bad, last, hexes = self.leaves, self.judges, self.findings.bad, self._last, leaves.hex()
        salted = b'"salt":' in text  # a key has one spelling only
        for at, row in enumerate(rows):
            if odd and row.seq in odd:
                bad(row.seq, odd[row.seq])
            if row.cause and row.cause != last and bytes.fromhex(row.cause) not in known:
                bad(row.seq, "its cause is no earlier entry")
            opened = self.contents.opened(row) if salted else NOTHING
            if row.type == "recording.chunk":
                self.contents.chunk(row)
                last = ""
                continue
            known.add(leaves[32 * at : 32 * at + 32])
            last = hexes[64 * at : 64 * at + 64]
            judge = judged.get(row.type)
            if judge is not None:
                try:
                    judge(row, last, opened.get)
                except (Violation, RotationError, NoteError) as error:
                    bad(row.seq, str(error))
                except (TypeError, ValueError, LookupError, AttributeError):  # a number where there is a list, say
                    bad(row.seq, f"the body of {row.type} has another form")
        self._last = last
        if self._progress is not None:
            self._progress(self.size)

    def _clocks(self, rows: Sequence[strict.Row]) -> None:
        """Did they go on as clocks do? A note where they did not."""
        if not rows:
            return
        walls, monos = [row.t for row in rows], [row.mono for row in rows]
        steady = walls[0] >= self._t and walls == sorted(walls) and monos[0] >= self._mono and monos == sorted(monos)
        if not steady or {row.boot for row in rows} != {self._boot}:
            for row in rows:
                self._clock(row)
        self._t, self._mono = walls[-1], monos[-1]

    def _clock(self, row: strict.Row) -> None:
        if row.t < self._t:
            self.findings.note(
                "the wall clock was set back at some point; numbers and the monotonic clock give the order"
            )
        if row.boot == self._boot and row.mono < self._mono:
            self.findings.note("the monotonic clock went back within a boot")
        self._t, self._mono, self._boot = row.t, row.mono, row.boot

    def _judges(self) -> dict[str, Judge]:
        """What says, by type, whether an entry may stand where it stands. Each raises Violation, RotationError or
        NoteError, and the first that does is the last that is asked."""
        steps: dict[str, list[Judge]] = {ROTATED: [self._rotated], ANCHORED: [self._anchored]}
        for kind, rule in self.rules.table.items():
            steps.setdefault(kind, []).append(rule)
        for kind in RULED:
            steps.setdefault(kind, []).append(lambda row, leaf, _: self.tombs.feed(row, leaf))
        return {kind: each[0] if len(each) == 1 else _one_after_the_other(each) for kind, each in steps.items()}

    def _anchored(self, row: RowLike, leaf: str, payload: OpenPayload) -> None:
        self.claims.append(claim(row.seq, row.body))

    def settle(self) -> None:
        """After `read`."""
        self.contents.settle(self.hashes)

    def root_at(self, size: int) -> bytes:
        """Root over the first `size` entries; after `read`."""
        if self._index is None:
            hashes = memoryview(bytes(self.hashes))
            self._index = Tree(lambda first, end: [bytes(hashes[at * 32 : at * 32 + 32]) for at in range(first, end)])
        return self._index.root(size)

    def _rotated(self, row: RowLike, leaf: str, payload: OpenPayload) -> None:
        """A new key: announced as the last entry of a segment, which the old key signs."""
        self.keys.rotate(row.seq, row.origin, row.body)
        if row.seq + 1 not in self._ends:
            raise RotationError("a change of keys that does not end its segment")


def _one_after_the_other(steps: Sequence[Judge]) -> Judge:
    def judge(row: Any, leaf: str, payload: OpenPayload) -> None:
        for step in steps:
            step(row, leaf, payload)

    return judge
