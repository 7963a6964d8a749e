"""The pass of `verify` over the entries: everything that can be said of one when it and all before it have been read.

Read-only. Each entry is parsed by `recorder.strict`, from its own bytes. What breaks the chain stops the pass, since
nothing behind it can be judged; what is wrong with one entry is noted and the pass goes on.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from recorder import chunks, strict
from recorder.errors import FrameError, NoteError, StoreDamaged
from recorder.keyring import TYPE as ROTATED
from recorder.keyring import Keyring, RotationError
from recorder.merkle import EMPTY_ROOT, Frontier
from recorder.outside import Claim, claim
from recorder.report import PROBLEM_LIMIT, Problem
from recorder.rules import Rules
from recorder.schema import EntryRow
from recorder.segments import SPAN, Segment, Segments
from recorder.source import Source
from recorder.tombstones import Tombstones, chunk_facts, rest_of
from recorder.tree import Tree
from recorder.votes import Violation

ANCHORED = "checkpoint.anchored"
PROGRESS_EVERY = 4096
"""Entries between two calls of `progress`."""
BATCH = 1024
"""Leaves that are put into the tree at once."""


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
        self,
        origin: str,
        keys: Keyring,
        source: Source,
        ends: set[int],
        findings: Findings,
        progress: Callable[[int], None] | None,
    ) -> None:
        """`ends` are the sizes with which segments end."""
        self._source, self._findings, self._progress = source, findings, progress
        self._ends = ends
        self.origin, self.keys = origin, keys
        self.hashes = bytearray()
        """Leaf hashes, 32 bytes each, as far as they are in `tree`."""
        self.claims: list[Claim] = []
        self.size = 0
        """Entries read; `tree` may lag behind while `read` is at work."""
        self.tree = Frontier()
        self.flat = Segments(origin)
        self.full: list[Segment] = []
        self.roots: dict[int, bytes] = {0: EMPTY_ROOT}
        """Root at each size that something wants to know."""
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
        self.prev = ""
        self.leaves: set[bytes] = set()
        self.recordings: dict[str, tuple[int, int, int]] = {}
        """Session to number, first frame and time that its next chunk must have."""
        self.clock = ("", 0, 0)
        self._index: Tree | None = None

    def read(self, wanted: set[int]) -> None:
        """Read every entry; keep the root at each size in `wanted`. Raises Broken, StoreDamaged."""
        flat, ends, sha256 = self.flat, self._ends, hashlib.sha256
        waiting: list[bytes] = []
        segment: list[bytes] = []
        sealed: list[Future[Segment]] = []
        pool = ThreadPoolExecutor(1, "segments")  # hashing lets go of the interpreter; one thread keeps the order
        try:
            for data, columns in self._source.entries():
                leaf = sha256(b"\x00" + data).digest()
                row = self._chained(data, columns, leaf)
                waiting.append(leaf)
                self.size += 1
                self.prev = leaf.hex()
                if self.size in wanted or len(waiting) == BATCH:
                    self._grow(waiting)
                    if self.size in wanted:
                        self.roots[self.size] = self.tree.root()
                segment.append(data)
                if len(segment) == SPAN or self.size in ends:
                    sealed.append(pool.submit(flat.fill, segment))
                    segment = []
                self._entry(row, leaf, data)
                if self._progress is not None and self.size % PROGRESS_EVERY == 0:
                    self._progress(self.size)
        finally:
            self.sessions.discard("")
            self._grow(waiting)
            pool.shutdown()
            self.full = [each.result() for each in sealed]
            for data in segment:
                flat.append(data)

    def _grow(self, waiting: list[bytes]) -> None:
        self.tree.extend(waiting)
        self.hashes += b"".join(waiting)
        waiting.clear()

    def root_at(self, size: int) -> bytes:
        """Root over the first `size` entries; after `read`."""
        if self._index is None:
            hashes = memoryview(bytes(self.hashes))
            self._index = Tree(lambda first, end: [bytes(hashes[at * 32 : at * 32 + 32]) for at in range(first, end)])
        return self._index.root(size)

    def _chained(self, data: bytes, columns: EntryRow | None, leaf: bytes) -> strict.Row:
        """Is this the next entry, in the one form that it can have? Otherwise nothing behind it can be judged."""
        seq = self.size
        if columns is not None:
            if columns.seq != seq:
                raise self._findings.stop(seq, f"entry {seq} is missing")
            if columns.leaf != leaf:
                raise self._findings.stop(seq, f"entry {seq} was changed")
        try:
            row = strict.parse(data)
        except strict.NotCanonical as error:
            raise self._findings.stop(seq, f"entry {seq} was changed: {error}") from None
        if row.seq != seq:
            raise self._findings.stop(seq, f"entry {row.seq} stands in the place of entry {seq}")
        if row.origin != (self.origin if seq else self.origin.partition("/")[0]):
            raise self._findings.stop(seq, f"entry {seq} is of another ledger: {row.origin}")
        if row.prev != self.prev:
            raise self._findings.stop(
                seq, f"entry {seq} does not follow entry {seq - 1}: one of them was changed or replaced"
            )
        if columns is not None and (
            columns.type != row.type
            or columns.t != row.t
            or columns.session != (row.session or None)
            or columns.request != (row.request or None)
        ):
            self._findings.bad(seq, f"the columns beside entry {seq} say something else than the entry")
        return row

    def _entry(self, row: strict.Row, leaf: bytes, data: bytes) -> None:
        if row.cause and bytes.fromhex(row.cause) not in self.leaves:
            self._findings.bad(row.seq, "its cause is no earlier entry")
        self.sessions.add(row.session)  # the empty one is taken out at the end
        boot, t, mono = self.clock
        if row.t < t:
            self._findings.note(
                "the wall clock was set back at some point; numbers and the monotonic clock give the order"
            )
        if row.boot == boot and row.mono < mono:
            self._findings.note("the monotonic clock went back within a boot")
        self.clock = (row.boot, row.t, row.mono)
        opened: dict[str, bytes | None] = {}
        if b'"salt":' in data:  # in canonical form a key cannot be spelt in another way
            for name, value in row.body.items():
                if isinstance(value, dict) and value.keys() == {"sha256", "bytes", "salt"}:
                    opened[name] = self._payload(row.seq, name, value)
        if row.type == "recording.chunk":
            self._chunk(row)
        else:
            self.leaves.add(leaf)
            try:
                if row.type == ROTATED:
                    self._rotated(row)
                elif row.type == ANCHORED:
                    self.claims.append(claim(row.seq, row.body))
                self.rules.feed(row, self.prev, opened.get)  # its own leaf, by now
                self.tombs.feed(row, self.prev)
            except (Violation, RotationError, NoteError) as error:
                self._findings.bad(row.seq, str(error))

    def _rotated(self, row: strict.Row) -> None:
        """A new key: announced as the last entry of a segment, which the old key signs."""
        self.keys.rotate(row.seq, row.origin, row.body)
        if row.seq + 1 not in self._ends:
            raise RotationError("a change of keys that does not end its segment")

    def _payload(self, seq: int, name: str, value: dict[str, Any]) -> bytes | None:
        if not self._source.has_payloads:
            return None
        found = self._source.payload(seq, name)
        self.payloads.add((seq, name))
        if found is None:
            self._missing[seq, name] = f"its payload {name!r} is missing"
            return None
        digest = hashlib.sha256(b"\x00" + found.salt + found.data).hexdigest()
        if digest != value["sha256"] or len(found.data) != value["bytes"] or len(found.salt) != value["salt"]:
            self._findings.bad(seq, f"its payload {name!r} was changed")
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
            self._findings.bad(row.seq, f"recording of {row.session}: {said}")
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
        tombs, bad = self.tombs, self._findings.bad
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
        tombs, bad = self.tombs, self._findings.bad
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
