"""What entries commit to and is kept beside them: payloads, and the chunks of recordings. Read-only.

Each is opened when its entry is read. What is not there, or not as it was, may have been taken out and said so by a
later entry (recorder.tombstones): `settle` knows, when all have been read.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from recorder import chunks, strict
from recorder.errors import FrameError, StoreDamaged
from recorder.report import Findings
from recorder.schema import PayloadRow
from recorder.source import Source
from recorder.tombstones import Tombstones, chunk_facts, rest_of
from recorder.votes import Violation

NOTHING: Mapping[str, bytes | None] = {}
COMMITMENT = frozenset({"sha256", "bytes", "salt"})
"""Keys of what stands in a body for a payload."""


class Contents:
    """Those of the entries that were read."""

    def __init__(self, origin: str, source: Source, findings: Findings, tombs: Tombstones) -> None:
        self._origin, self._source, self._findings, self._tombs = origin, source, findings, tombs
        self.payloads: set[tuple[int, str]] = set()
        self.chunks: set[int] = set()
        self._lost: dict[int, tuple[str, str]] = {}
        """Chunks that are not as their entries say, with session and what is wrong: redacted, deleted or lost."""
        self._missing: dict[tuple[int, str], str] = {}
        """Likewise payloads."""
        self._whole: set[str] = set()
        """Sessions of which there is a chunk that is as its entry says."""
        self._near: dict[tuple[int, str], PayloadRow] = {}
        """Payloads of the page at hand, without large ones."""
        self._recordings: dict[str, tuple[int, int, int]] = {}
        """Session to number, first frame and time that its next chunk must have."""

    def page(self, first: int, end: int) -> None:
        """Read what there is beside the entries [first, end), before they are looked at. Raises StoreDamaged."""
        if self._source.has_payloads:
            self._near = self._source.payloads(first, end)

    def opened(self, row: strict.Row) -> Mapping[str, bytes | None]:
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
            self._findings.bad(seq, f"its payload {name!r} was changed")
            return None
        return found.data

    def chunk(self, row: strict.Row) -> None:
        """Is it the next of its recording, and as this entry says?"""
        self.chunks.add(row.seq)
        try:
            facts = chunks.facts_of(row.body)
            number, first, at_us = self._recordings.get(row.session, (0, 0, 0))
            self._recordings[row.session] = (facts.number + 1, facts.first + facts.frames, facts.to_us)
            self._tombs.chunk(row, facts)
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
            chunks.unseal(facts, *found, origin=self._origin, session=row.session)
            self._whole.add(row.session)
        except (FrameError, StoreDamaged) as error:
            self._lost[row.seq] = (row.session, error.message)  # `settle` knows whether an entry says so

    def settle(self, hashes: bytes | bytearray) -> None:
        """After the last entry, with all leaf hashes: what is not there, or not as it was, must be said by an entry;
        and what an entry says to be gone must be gone."""
        tombs, bad = self._tombs, self._findings.bad
        for (seq, name), message in self._missing.items():
            if (seq, name) not in tombs.forgotten:
                bad(seq, message)
        if self._source.has_payloads:
            for (seq, name), stone in tombs.forgotten.items():
                if (seq, name) not in self.payloads:
                    bad(stone, f"entry {seq} has no {name!r} that could be taken out")
                elif (seq, name) not in self._missing:
                    bad(stone, f"the {name!r} of entry {seq} is there, though it was taken out")
        self._settle_chunks(hashes)

    def _settle_chunks(self, hashes: bytes | bytearray) -> None:
        tombs, bad = self._tombs, self._findings.bad
        for seq, stones in tombs.redacted.items():
            try:
                self._rest(seq, stones, hashes)
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

    def _rest(self, seq: int, stones: list[dict[str, Any]], hashes: bytes | bytearray) -> None:
        """What is left of a chunk from which frames were taken. Raises Violation, FrameError, StoreDamaged."""
        if seq not in self.chunks:
            raise Violation("there is no such chunk")
        session = str(stones[0]["session"])
        leaf = bytes(hashes[seq * 32 : seq * 32 + 32])
        facts = [chunk_facts(stone, leaf) for stone in stones]
        rest = rest_of(facts[0], stones)
        if not self._source.has_chunks or self._tombs.deleted_by(session) > seq:
            return
        found = self._source.chunk(seq)
        if found is None:
            raise FrameError("it is missing")
        if seq not in self._lost:
            raise FrameError("what was taken out is still there")
        chunks.unseal(rest.facts, *found, origin=self._origin, session=session, gone=rest.gone)
