"""The pass of `verify` over the entries: everything that can be said of one when it and all before it have been read.

Read-only. Each entry is parsed by `recorder.strict`, from its own bytes, and its form looked at by `recorder.form`,
here or in another process. What breaks the chain stops the pass, since nothing behind it can be judged; what is wrong
with one entry is noted and the pass goes on.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from recorder import chunks, strict
from recorder.errors import FrameError, NoteError, StoreDamaged
from recorder.form import Form, Forming
from recorder.formprocess import FormProcess
from recorder.formworker import Order
from recorder.keyring import TYPE as ROTATED
from recorder.keyring import Keyring, RotationError
from recorder.outside import Claim, claim
from recorder.proposals import Judge, OpenPayload, RowLike
from recorder.report import PROBLEM_LIMIT, Problem
from recorder.rules import Rules
from recorder.schema import PayloadRow
from recorder.source import Source
from recorder.tombstones import RULED, Tombstones, chunk_facts, rest_of
from recorder.tree import Tree
from recorder.votes import Violation

ANCHORED = "checkpoint.anchored"
NOTHING: Mapping[str, bytes | None] = {}
COMMITMENT = frozenset({"sha256", "bytes", "salt"})
"""Keys of what stands in a body for a payload."""


class Broken(Exception):
    """What follows cannot be judged: stop reading."""


@dataclass(slots=True)
class Findings:
    """What was found on the way."""

    problems: list[Problem] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    torn: str = ""
    """The harm of a crash, in words."""

    def bad(self, seq: int | None, message: str) -> None:
        """Something is wrong."""
        if len(self.problems) < PROBLEM_LIMIT:
            self.problems.append(Problem(seq, message))

    def stop(self, seq: int | None, message: str) -> Broken:
        """Something is wrong, so that the rest cannot be judged: to be raised."""
        self.bad(seq, message)
        return Broken()

    def note(self, text: str) -> None:
        """Something is worth saying; once."""
        if text not in self.notes:
            self.notes.append(text)


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
        self.payloads: set[tuple[int, str]] = set()
        self.chunks: set[int] = set()
        self.rules = Rules()
        self.tombs = Tombstones(self.rules.people, self.rules.environments)
        self._lost: dict[int, tuple[str, str]] = {}
        """Chunks that are not as their entries say, with session and what is wrong: redacted, deleted or lost."""
        self._missing: dict[tuple[int, str], str] = {}
        """Likewise payloads."""
        self._whole: set[str] = set()
        """Sessions of which there is a chunk that is as its entry says."""
        self._near: dict[tuple[int, str], PayloadRow] = {}
        """Payloads of the page at hand, without large ones."""
        self.leaves: set[bytes] = set()
        self.recordings: dict[str, tuple[int, int, int]] = {}
        """Session to number, first frame and time that its next chunk must have."""
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
        if self._source.has_payloads:
            self._near = self._source.payloads(self.size - len(rows), self.size)
        self._clocks(rows)
        self.sessions.update({row.session for row in rows})  # the empty one is taken out at the end
        known, judged, bad, last, hexes = self.leaves, self.judges, self.findings.bad, self._last, leaves.hex()
        salted = b'"salt":' in text  # a key has one spelling only
        for at, row in enumerate(rows):
            if odd and row.seq in odd:
                bad(row.seq, odd[row.seq])
            if row.cause and row.cause != last and bytes.fromhex(row.cause) not in known:
                bad(row.seq, "its cause is no earlier entry")
            opened = self._payloads(row) if salted else NOTHING
            if row.type == "recording.chunk":
                self._chunk(row)
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

    def _payloads(self, row: strict.Row) -> Mapping[str, bytes | None]:
        """What its body commits to, opened."""
        body = row.body
        return (
            {
                name: self._payload(row.seq, name, value)
                for name, value in body.items()
                if type(value) is dict and value.keys() == COMMITMENT
            }
            if dict in map(type, body.values())
            else NOTHING
        )

    def _payload(self, seq: int, name: str, value: dict[str, Any]) -> bytes | None:
        if not self._source.has_payloads:
            return None
        at = seq, name
        found = self._near.get(at) or self._source.payload(seq, name)
        self.payloads.add(at)
        if found is None:
            self._missing[at] = f"its payload {name!r} is missing"
            return None
        digest = hashlib.sha256(b"\x00" + found.salt + found.data).hexdigest()
        if digest != value["sha256"] or len(found.data) != value["bytes"] or len(found.salt) != value["salt"]:
            self.findings.bad(seq, f"its payload {name!r} was changed")
            return None
        return found.data

    def _chunk(self, row: strict.Row) -> None:
        self.chunks.add(row.seq)
        try:
            facts = chunks.facts_of(row.body)
            number, first, at_us = self.recordings.get(row.session, (0, 0, 0))
            self.recordings[row.session] = (facts.number + 1, facts.first + facts.frames, facts.to_us)
            self.tombs.chunk(row, facts)
            if (facts.number, facts.first) != (number, first) or facts.from_us < at_us:
                raise FrameError(f"it is chunk {facts.number} of its session where {number} was due")
            if not self._source.has_chunks:
                return
        except (FrameError, Violation) as error:
            said = error.message if isinstance(error, FrameError) else str(error)
            self.findings.bad(row.seq, f"recording of {row.session}: {said}")
            return
        try:
            found = self._source.chunk(row.seq)
            if found is None:
                raise FrameError("its chunk is missing")
            chunks.unseal(facts, *found, origin=self.origin, session=row.session)
            self._whole.add(row.session)
        except (FrameError, StoreDamaged) as error:
            self._lost[row.seq] = (row.session, error.message)  # `settle` knows whether an entry says so

    def settle(self) -> None:
        """After `read`: what is not there, or not as it was, must be said by an entry; and what an entry says to be
        gone must be gone."""
        tombs, bad = self.tombs, self.findings.bad
        for (seq, name), message in self._missing.items():
            if (seq, name) not in tombs.forgotten:
                bad(seq, message)
        if self._source.has_payloads:
            for (seq, name), stone in tombs.forgotten.items():
                if (seq, name) not in self.payloads:
                    bad(stone, f"entry {seq} has no {name!r} that could be taken out")
                elif (seq, name) not in self._missing:
                    bad(stone, f"the {name!r} of entry {seq} is there, though it was taken out")
        self._settle_chunks()

    def _settle_chunks(self) -> None:
        tombs, bad = self.tombs, self.findings.bad
        for seq, stones in tombs.redacted.items():
            try:
                self._rest(seq, stones)
            except (Violation, FrameError, StoreDamaged) as error:
                said = str(error) if isinstance(error, Violation) else error.message
                bad(int(stones[0]["seq"]), f"what is left of chunk {seq}: {said}")
        for seq, (session, message) in self._lost.items():
            if tombs.deleted_by(session) > seq:
                if self._source.chunk(seq) is not None:
                    bad(seq, f"recording of {session}: {message}")
            elif seq not in tombs.redacted:
                bad(seq, f"recording of {session}: {message}")
        for session in self._whole:
            if tombs.deleted_by(session) >= 0:
                bad(tombs.deleted_by(session), f"recording of {session}: it is there, though it was deleted")

    def _rest(self, seq: int, stones: list[dict[str, Any]]) -> None:
        """What is left of a chunk from which frames were taken. Raises Violation, FrameError, StoreDamaged."""
        if seq not in self.chunks:
            raise Violation("there is no such chunk")
        session = str(stones[0]["session"])
        leaf = bytes(self.hashes[seq * 32 : seq * 32 + 32])
        facts = [chunk_facts(stone, leaf) for stone in stones]
        rest = rest_of(facts[0], stones)
        if not self._source.has_chunks or self.tombs.deleted_by(session) > seq:
            return
        found = self._source.chunk(seq)
        if found is None:
            raise FrameError("it is missing")
        if seq not in self._lost:
            raise FrameError("what was taken out is still there")
        chunks.unseal(rest.facts, *found, origin=self.origin, session=session, gone=rest.gone)


def _one_after_the_other(steps: Sequence[Judge]) -> Judge:
    def judge(row: Any, leaf: str, payload: OpenPayload) -> None:
        for step in steps:
            step(row, leaf, payload)

    return judge
