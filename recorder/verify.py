"""Was this ledger changed? Read-only, offline, on a store or a bundle, beside a running daemon too.

Theory of operation. One pass over the entries, each read by `recorder.strict` from its own bytes, with everything that
can be said about it at that point; then what was signed is compared with what was found:

    bytes       canonical, numbered without a gap, chained by prev, of one origin; columns beside them agree
    tree        the RFC 6962 root at every kept checkpoint, and at the head file; every signature (note and SSHSIG)
    flat form   the hash of every segment, and its SSHSIG
    payloads    each committed value is there and gives its commitment; none is there that no entry names
    recordings  each chunk is there, is the ciphertext that was signed, decrypts, and gives its root; none is missing
    causes      recorder.rules: what ran was allowed, by people who could, over exactly this

Verdicts: OK; TORN, a crash that opening will mend (nothing acknowledged is lost); TAMPER, with the first bad entry;
and with an anchor ROLLBACK, the store ends before it, or FORK, the store is another history.

What it cannot see without an anchor: a whole store put back to an earlier state with its head file, or rewritten with
the stolen key. Entry 0 names the key, and the origin names entry 0: who compares neither the key nor an anchor with
something from elsewhere has only checked that the store agrees with itself. The report says so.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from recorder import checkpoint, chunks, layout, sshsig, strict
from recorder.checkpoint import Checkpoint
from recorder.errors import FrameError, KeyFileError, NoteError, RecorderError, StoreDamaged
from recorder.keys import public_bytes, public_line
from recorder.merkle import EMPTY_ROOT, Frontier
from recorder.rules import Rules
from recorder.schema import EntryRow
from recorder.segments import NAMESPACE, SPAN, Segment, Segments
from recorder.source import Source, open_source
from recorder.votes import Violation

PROBLEM_LIMIT = 20
"""Problems listed in a report; one is enough to know, more help to see how far it goes."""
PROGRESS_EVERY = 4096
"""Entries between two calls of `progress`."""


class Verdict(StrEnum):
    """What is said of a ledger."""

    OK = "OK"
    TORN = "TORN"
    TAMPER = "TAMPER"
    ROLLBACK = "ROLLBACK"
    FORK = "FORK"


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong."""

    seq: int | None
    """Entry number; None where it cannot be pinned to one."""
    message: str


@dataclass(frozen=True, slots=True)
class Report:
    """What `verify` found."""

    verdict: Verdict
    message: str
    """One line for a person, without the verdict."""
    seq: int | None
    """The first bad entry, if one can be named."""
    entries: int
    sessions: int
    head: str
    """Anchor of the newest checkpoint; empty when there is none to be trusted."""
    origin: str
    key: str
    """The log key's line that the signatures were checked with."""
    problems: tuple[Problem, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def good(self) -> bool:
        """Exit status 0."""
        return self.verdict in (Verdict.OK, Verdict.TORN)


class _Broken(Exception):
    """What follows cannot be judged: stop reading."""


@dataclass(slots=True)
class _Pass:
    """What is known after so many entries."""

    origin: str
    public: bytes
    tree: Frontier = field(default_factory=Frontier)
    prev: str = ""
    leaves: set[bytes] = field(default_factory=set)
    sessions: set[str] = field(default_factory=set)
    roots: dict[int, bytes] = field(default_factory=lambda: {0: EMPTY_ROOT})
    """Root at each size that something wants to know."""
    full: list[Segment] = field(default_factory=list)
    payloads: set[tuple[int, str]] = field(default_factory=set)
    chunks: set[int] = field(default_factory=set)
    recordings: dict[str, tuple[int, int, int]] = field(default_factory=dict)
    """Session to number, first frame and time that its next chunk must have."""
    clock: tuple[str, int, int] = ("", 0, 0)


def verify(
    path: Path, *, head: str | None = None, key: str | None = None, progress: Callable[[int], None] | None = None
) -> Report:
    """Check a store or a bundle.

    `head` is an anchor (`SIZE:ROOT`) and `key` a public key line from elsewhere. `progress` is told the number of
    entries read now and then. Raises NoteError or KeyFileError for a malformed anchor or key, NotAStore and
    StoreFailed when there is nothing to read; whatever is wrong with the ledger itself is in the report.
    """
    anchor = checkpoint.parse_anchor(head) if head else None
    trusted = public_bytes(key) if key else None
    while True:
        try:
            source = open_source(path)
        except StoreDamaged as error:
            problem = Problem(error.seq, error.message)
            return Report(Verdict.TAMPER, error.message, error.seq, 0, 0, "", "", "", (problem,))
        try:
            with source.snapshot():
                report = _Verifier(source, anchor, trusted, progress).run()
            if not source.disturbed():
                return report
        finally:
            source.close()


class _Verifier:
    def __init__(
        self,
        source: Source,
        anchor: tuple[int, bytes] | None,
        trusted: bytes | None,
        progress: Callable[[int], None] | None,
    ) -> None:
        self._source, self._anchor, self._trusted, self._progress = source, anchor, trusted, progress
        self._problems: list[Problem] = []
        self._notes: list[str] = []
        self._torn = ""
        self._rules = Rules()

    def run(self) -> Report:
        state, newest = None, None
        try:
            for problem in self._source.problems():
                self._bad(None, f"the database file: {problem}")
            state = self._begin()
            signed = self._signed(state)
            newest = signed[-1]
            on_disk = self._head_file(state, newest)
            wanted = {each.size for each in signed} | ({on_disk.size} if on_disk else set())
            wanted |= {self._anchor[0]} if self._anchor else set()
            flat = self._read(state, wanted)
            self._sizes(state, signed, on_disk)
            self._segments(state, flat)
            self._leftovers(state)
        except _Broken:
            pass
        except StoreDamaged as error:
            self._bad(error.seq, error.message)
        return self._report(state, newest)

    # --- before the entries -----------------------------------------------------------------------------------

    def _begin(self) -> _Pass:
        """Origin and key, from entry 0."""
        genesis = self._source.genesis()
        if genesis is None:
            raise self._stop(0, "there is no entry 0")
        try:
            row = strict.parse(genesis)
            public = public_bytes(str(row.body.get("log_key")))
        except (strict.NotCanonical, KeyFileError) as error:
            raise self._stop(0, f"entry 0: {error}") from None
        if row.type != "store.created" or "/" in row.origin:
            raise self._stop(0, "entry 0 does not create a ledger")
        if self._trusted is not None and public != self._trusted:
            raise self._stop(0, "the ledger is of another key than the one given")
        leaf = hashlib.sha256(b"\x00" + genesis).hexdigest()
        return _Pass(origin=f"{row.origin}/{leaf[:8]}", public=public)

    def _signed(self, state: _Pass) -> list[Checkpoint]:
        """The kept checkpoints that are properly signed, by size."""
        good: list[Checkpoint] = []
        for size, note, armour in self._source.checkpoints():
            try:
                found = checkpoint.parse(note, state.public, armour)
                if found.size != size or found.origin != state.origin:
                    raise NoteError("it is of another size or ledger than where it stands")
                if sshsig.verify(armour, found.text, checkpoint.NAMESPACE) != sshsig.ed25519_blob(state.public):
                    raise NoteError("its SSHSIG is by another key")
                good.append(found)
            except (NoteError, sshsig.SignatureError) as error:
                text = error.message if isinstance(error, NoteError) else f"its SSHSIG: {error}"
                self._bad(max(size - 1, 0), f"the checkpoint at {size}: {text}")
        if not good:
            raise self._stop(None, "there is no signed checkpoint")
        return good

    def _head_file(self, state: _Pass, newest: Checkpoint) -> Checkpoint | None:
        data = self._source.head_file()
        if not self._source.has_head_file:
            return None
        found = layout.parse_head(data, state.public)[0] if data is not None else None
        if found is None:
            if newest.size == 1:
                self._torn = "the head file was not written yet"
            else:
                self._bad(None, "the head file is missing, or not signed by the ledger's key")
        elif found.origin != state.origin:
            self._bad(None, "the head file is of another ledger")
            found = None
        elif found.size > newest.size:
            lost = f"entries {newest.size} to {found.size - 1} are missing: the head file was signed over {found.size}"
            self._bad(newest.size, lost)
        elif found.size < newest.size and not self._source.live:
            self._torn = f"the head file is {newest.size - found.size} entries behind"
        return found

    # --- the entries ------------------------------------------------------------------------------------------

    def _read(self, state: _Pass, wanted: set[int]) -> Segments:
        flat = Segments(state.origin)
        tree = state.tree
        for data, columns in self._source.entries():
            leaf = hashlib.sha256(b"\x00" + data).digest()
            row = self._chained(state, data, columns, leaf)
            tree.append(leaf)
            state.prev = leaf.hex()
            if tree.size in wanted:
                state.roots[tree.size] = tree.root()
            full = flat.append(data)
            if full is not None:
                state.full.append(full)
            self._entry(state, row, leaf)
            if self._progress is not None and tree.size % PROGRESS_EVERY == 0:
                self._progress(tree.size)
        return flat

    def _chained(self, state: _Pass, data: bytes, columns: EntryRow | None, leaf: bytes) -> strict.Row:
        """Is this the next entry, in the one form that it can have? Otherwise nothing behind it can be judged."""
        seq = state.tree.size
        if columns is not None:
            if columns.seq != seq:
                raise self._stop(seq, f"entry {seq} is missing")
            if columns.leaf != leaf:
                raise self._stop(seq, f"entry {seq} was changed")
        try:
            row = strict.parse(data)
        except strict.NotCanonical as error:
            raise self._stop(seq, f"entry {seq} was changed: {error}") from None
        if row.seq != seq:
            raise self._stop(seq, f"entry {row.seq} stands in the place of entry {seq}")
        if row.origin != (state.origin if seq else state.origin.partition("/")[0]):
            raise self._stop(seq, f"entry {seq} is of another ledger: {row.origin}")
        if row.prev != state.prev:
            raise self._stop(seq, f"entry {seq} does not follow entry {seq - 1}: one of them was changed or replaced")
        if columns is not None and (columns.type, columns.session, columns.request, columns.t) != (
            row.type,
            row.session or None,
            row.request or None,
            row.t,
        ):
            self._bad(seq, f"the columns beside entry {seq} say something else than the entry")
        return row

    def _entry(self, state: _Pass, row: strict.Row, leaf: bytes) -> None:
        if row.cause and bytes.fromhex(row.cause) not in state.leaves:
            self._bad(row.seq, "its cause is no earlier entry")
        if row.session:
            state.sessions.add(row.session)
        boot, t, mono = state.clock
        if row.t < t:
            self._note("the wall clock was set back at some point; numbers and the monotonic clock give the order")
        if row.boot == boot and row.mono < mono:
            self._note("the monotonic clock went back within a boot")
        state.clock = (row.boot, row.t, row.mono)
        opened: dict[str, bytes | None] = {}
        for name, value in row.body.items():
            if isinstance(value, dict) and value.keys() == {"sha256", "bytes", "salt"}:
                opened[name] = self._payload(state, row.seq, name, value)
        if row.type == "recording.chunk":
            self._chunk(state, row)
        else:
            state.leaves.add(leaf)
            try:
                self._rules.feed(row, leaf.hex(), opened.get)
            except Violation as error:
                self._bad(row.seq, str(error))

    def _payload(self, state: _Pass, seq: int, name: str, value: dict[str, Any]) -> bytes | None:
        if not self._source.has_payloads:
            return None
        found = self._source.payload(seq, name)
        state.payloads.add((seq, name))
        if found is None:
            self._bad(seq, f"its payload {name!r} is missing")
            return None
        digest = hashlib.sha256(b"\x00" + found.salt + found.data).hexdigest()
        if digest != value["sha256"] or len(found.data) != value["bytes"] or len(found.salt) != value["salt"]:
            self._bad(seq, f"its payload {name!r} was changed")
            return None
        return found.data

    def _chunk(self, state: _Pass, row: strict.Row) -> None:
        state.chunks.add(row.seq)
        try:
            facts = chunks.facts_of(row.body)
            number, first, at_us = state.recordings.get(row.session, (0, 0, 0))
            state.recordings[row.session] = (facts.number + 1, facts.first + facts.frames, facts.to_us)
            if (facts.number, facts.first) != (number, first) or facts.from_us < at_us:
                raise FrameError(f"it is chunk {facts.number} of its session where {number} was due")
            if not self._source.has_chunks:
                return
            found = self._source.chunk(row.seq)
            if found is None:
                raise FrameError("its chunk is missing")
            chunks.unseal(facts, *found, origin=state.origin, session=row.session)
        except (FrameError, StoreDamaged) as error:
            self._bad(row.seq, f"recording of {row.session}: {error.message}")

    # --- behind the entries -----------------------------------------------------------------------------------

    def _sizes(self, state: _Pass, signed: list[Checkpoint], on_disk: Checkpoint | None) -> None:
        """Do the signed roots fit the tree, and does it end where the newest says?"""
        size, good = state.tree.size, 0
        for each in [*signed, *([on_disk] if on_disk else [])]:
            if each.size > size:
                self._bad(size, f"entries {size} to {each.size - 1} are missing: they were signed")
            elif state.roots[each.size] != each.root:
                self._bad(good, f"entries {good} to {each.size - 1} are not those that were signed")
                return
            good = max(good, each.size) if each.size <= size else good
        if size > signed[-1].size:
            self._bad(signed[-1].size, f"entry {signed[-1].size} is beyond the signed head")

    def _segments(self, state: _Pass, flat: Segments) -> None:
        rows = self._source.segments()
        found = [*state.full, *([flat.current()] if flat.current().entries else [])]
        blob = sshsig.ed25519_blob(state.public)
        if [row.number for row in rows] != [each.number for each in found]:
            self._bad(None, "the segments are not those of the ledger")
            return
        for row, each in zip(rows, found, strict=True):
            try:
                if (row.entries, row.sha256) != (each.entries, each.sha256):
                    raise Violation("it is not what its entries give")
                digests = {b"sha512": each.sha512, b"sha256": bytes.fromhex(each.sha256)}
                if sshsig.verify_digests(row.sshsig, digests, NAMESPACE) != blob:
                    raise Violation("signed by another key")
            except (Violation, sshsig.SignatureError) as error:
                self._bad(None, f"segment {each.number}, from entry {each.number * SPAN}: {error}")

    def _leftovers(self, state: _Pass) -> None:
        """Nothing may be there that no entry speaks of."""
        for seq, name in self._source.payload_names():
            if (seq, name) not in state.payloads:
                self._bad(seq, f"payload {name!r} belongs to no entry")
        for seq in self._source.chunk_seqs():
            if seq not in state.chunks:
                self._bad(seq, f"chunk {seq} belongs to no entry")
        if not self._source.live and self._source.tail():
            self._torn = self._torn or "a pack has a tail that was never committed"

    def _report(self, state: _Pass | None, newest: Checkpoint | None) -> Report:
        self._notes += self._rules.notes
        size = state.tree.size if state else 0
        verdict, message, seq = Verdict.OK, "", None
        if self._problems:
            verdict = Verdict.TAMPER
            first = min(self._problems, key=lambda each: (each.seq is None, each.seq or 0))
            message, seq = first.message, first.seq
        elif self._anchor is not None and state is not None:
            verdict, message = self._anchored(state)
        if verdict is Verdict.OK and self._torn:
            verdict, message = Verdict.TORN, f"{self._torn}; nothing acknowledged is lost, opening mends it"
        if self._anchor is None and self._trusted is None and not self._problems:
            self._note("checked against itself only: give an anchor or the log's public key from elsewhere")
        if not (self._source.has_payloads and self._source.has_chunks):
            self._note("the bundle has no payloads or recordings: their commitments were not opened")
        if verdict is Verdict.OK:
            message = f"{size} entries, {len(state.sessions) if state else 0} sessions, every signature good"
        return Report(
            verdict=verdict,
            message=message,
            seq=seq,
            entries=size,
            sessions=len(state.sessions) if state else 0,
            head=newest.anchor if newest else "",
            origin=state.origin if state else "",
            key=public_line(state.public) if state else "",
            problems=tuple(self._problems),
            notes=tuple(self._notes),
        )

    def _anchored(self, state: _Pass) -> tuple[Verdict, str]:
        assert self._anchor is not None  # noqa: S101 - the caller looked
        size, root = self._anchor
        if size > state.tree.size:
            return Verdict.ROLLBACK, f"the ledger has {state.tree.size} entries; the anchor was taken at {size}"
        if size and state.roots[size] != root:
            return Verdict.FORK, f"the first {size} entries are another history than the anchor's"
        return Verdict.OK, ""

    def _bad(self, seq: int | None, message: str) -> None:
        if len(self._problems) < PROBLEM_LIMIT:
            self._problems.append(Problem(seq, message))

    def _stop(self, seq: int | None, message: str) -> _Broken:
        self._bad(seq, message)
        return _Broken()

    def _note(self, text: str) -> None:
        if text not in self._notes:
            self._notes.append(text)


def exit_status(report: Report) -> int:
    """0 for OK and TORN, 1 for everything else."""
    return 0 if report.good else 1


__all__ = ["Problem", "RecorderError", "Report", "Verdict", "exit_status", "verify"]
