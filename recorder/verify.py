"""Was this ledger changed? Read-only, offline, on a store or a bundle, beside a running daemon too.

Theory of operation. One pass over the entries, each read by `recorder.strict` from its own bytes, with everything that
can be said about it at that point; then what was signed is compared with what was found:

    bytes       canonical, numbered without a gap, chained by prev, of one origin; columns beside them agree
    tree        the RFC 6962 root at every kept checkpoint, and at the head file; every signature (note and SSHSIG)
    flat form   the hash of every segment, its SSHSIG, and its file where there is one
    keys        each signs within its range of sizes, and was announced under the one before
    payloads    each committed value is there and gives its commitment; none is there that no entry names
    recordings  each chunk is there, is the ciphertext that was signed, decrypts, and gives its root; none is missing,
                nor a frame of one, unless an entry says who took it out and why (recorder.tombstones)
    causes      recorder.rules: what ran was allowed, by people who could, over exactly this

Verdicts: OK; TORN, a crash that opening will mend (nothing acknowledged is lost); TAMPER, with the first bad entry;
and with something from elsewhere (an anchor, copies of heads, a witness's key) ROLLBACK, the store ends before it,
FORK, the store is another history, and UNANCHORED, more entries follow it than the caller accepts.

What it cannot see without an anchor: a whole store put back to an earlier state with its head file, or rewritten with
the stolen key. Entry 0 names the key, and the origin names entry 0: who compares neither the key nor an anchor with
something from elsewhere has only checked that the store agrees with itself. The report says so.
"""

from __future__ import annotations

import contextlib
import gc
import hashlib
import itertools
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from recorder import checkpoint, layout, sshsig, strict
from recorder.checkpoint import Checkpoint
from recorder.cosignature import Witness, parse_verifier_key
from recorder.errors import KeyFileError, NoteError, RecorderError, StoreDamaged
from recorder.formprocess import WORTH, FormProcess, Unclear
from recorder.keyring import Keyring
from recorder.keys import public_bytes, public_line
from recorder.outside import Copies, Vouched, witnessed
from recorder.report import Broken, Findings, Problem, Report, Verdict, exit_status
from recorder.schema import SegmentRow
from recorder.segments import NAMESPACE
from recorder.source import Source, open_source
from recorder.votes import Violation
from recorder.walk import Walk


@dataclass(frozen=True, slots=True)
class Outside:
    """What the caller has from elsewhere."""

    anchor: tuple[int, bytes] | None = None
    key: bytes | None = None
    """The log's public key, 32 bytes."""
    witness: Witness | None = None
    copies: Path | None = None
    """Directory of heads that a bastion copied there."""
    fresh: int | None = None
    """Entries that may follow the last one that something from elsewhere vouches for."""

    @property
    def any(self) -> bool:
        """Is there something that vouches for entries?"""
        return any(each is not None for each in (self.anchor, self.witness, self.copies, self.fresh))


def verify(
    path: Path,
    *,
    head: str | None = None,
    key: str | None = None,
    witness: str | None = None,
    copies: Path | None = None,
    fresh: int | None = None,
    progress: Callable[[int], None] | None = None,
    beside: bool | None = None,
) -> Report:
    """Check a store or a bundle.

    `head` is an anchor (`SIZE:ROOT`), `key` a public key line, `witness` a verifier key, and `copies` a directory of
    heads, all from elsewhere; `fresh` is how many entries may follow the last of what they vouch for. `progress` is
    told the number of entries read now and then. `beside` is whether a second process helps; None: if it is worth it,
    and there is a core for it. The report is the same. Raises NoteError or KeyFileError for a malformed argument,
    NotAStore and StoreFailed when there is nothing to read; whatever is wrong with the ledger itself is in the report.
    """
    outside = Outside(
        checkpoint.parse_anchor(head) if head else None,
        public_bytes(key) if key else None,
        parse_verifier_key(witness) if witness else None,
        copies,
        fresh,
    )
    while True:
        try:
            source = open_source(path)
        except StoreDamaged as error:
            problem = Problem(error.seq, error.message)
            return Report(Verdict.TAMPER, error.message, error.seq, 0, 0, "", "", "", problems=(problem,))
        try:
            with source.snapshot(), _no_collector():
                report = _Verifier(source, outside, progress, _helper(path, source, beside)).run()
            if not source.disturbed() and (report.good or not source.shredded()):
                return report
        except Unclear:
            beside = False  # one process says what is wrong, if anything is
        finally:
            source.close()


@contextlib.contextmanager
def _no_collector() -> Iterator[None]:
    """Nothing here makes cycles, and the collector would look through all that is known of a large ledger again and
    again."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()


Helper = Callable[[], FormProcess]
"""Starts a process for a ledger."""


def _helper(path: Path, source: Source, beside: bool | None) -> Helper | None:
    """How to start a second process, where one is to help."""
    try:
        end = source.size()
    except StoreDamaged:
        return None
    if not end or beside is False or (beside is None and (end < WORTH or len(os.sched_getaffinity(0)) < 2)):
        return None
    return lambda: FormProcess.start(path)


class _Verifier:
    def __init__(
        self, source: Source, outside: Outside, progress: Callable[[int], None] | None, helper: Helper | None
    ) -> None:
        self._source, self._outside, self._progress, self._helper = source, outside, progress, helper
        self._found = Findings()
        self._first_key = b""

    def run(self) -> Report:
        state, newest = None, None
        try:
            rows, stored = self._source.segments(), self._source.checkpoints()
            data = self._source.head_file()
            state = self._begin()
            wanted = {size for size, _, _ in stored} | layout.claimed_sizes(data or b"")
            self._read(state, rows, wanted)
            signed = self._signed(state, stored)
            newest = signed[-1]
            on_disk = self._head_file(state, newest, data)
            self._sizes(state, signed, on_disk)
            self._claims(state)
            self._rotations(state, {each.size for each in signed})
            self._segments(state, rows)
            state.settle()
            self._leftovers(state)
        except Broken:
            pass
        except StoreDamaged as error:
            self._found.bad(error.seq, error.message)
        if self._found.problems and self._helper is not None:
            raise Unclear("something is wrong")
        return self._report(state, newest)

    def _read(self, state: Walk, rows: list[SegmentRow], wanted: set[int]) -> None:
        problems: list[str] = []
        ends = set(itertools.accumulate(row.entries for row in rows))
        with contextlib.ExitStack() as stack:
            stack.callback(self._damage, problems)
            # beside the reading: SQLite lets go of the interpreter
            stack.enter_context(self._source.checking(problems))
            helper = self._helper() if self._helper is not None else None
            if helper is not None:
                stack.callback(helper.close)
            state.read(ends, wanted, helper)

    def _damage(self, problems: list[str]) -> None:
        for problem in problems:
            self._found.bad(None, f"the database file: {problem}")

    # --- before the entries -----------------------------------------------------------------------------------

    def _begin(self) -> Walk:
        """Origin and first key, from entry 0."""
        genesis = self._source.genesis()
        if genesis is None:
            raise self._found.stop(0, "there is no entry 0")
        try:
            row = strict.parse(genesis)
            public = public_bytes(str(row.body.get("log_key")))
        except (strict.NotCanonical, KeyFileError) as error:
            raise self._found.stop(0, f"entry 0: {error}") from None
        if row.type != "store.created" or "/" in row.origin:
            raise self._found.stop(0, "entry 0 does not create a ledger")
        leaf = hashlib.sha256(b"\x00" + genesis).hexdigest()
        self._first_key = public
        return Walk(f"{row.origin}/{leaf[:8]}", Keyring(public), self._source, self._found, self._progress)

    # --- behind the entries -----------------------------------------------------------------------------------

    def _signed(self, state: Walk, stored: list[tuple[int, str, str]]) -> list[Checkpoint]:
        """The kept checkpoints that are properly signed, by size."""
        if self._outside.key is not None and self._outside.key not in state.keys:
            raise self._found.stop(0, "the ledger is of another key than the one given")
        good: list[Checkpoint] = []
        for size, note, armour in stored:
            try:
                public = state.keys.at(size)
                found = checkpoint.parse(note, public, armour)
                if found.size != size or found.origin != state.origin:
                    raise NoteError("it is of another size or ledger than where it stands")
                if sshsig.verify(armour, found.text, checkpoint.NAMESPACE) != sshsig.ed25519_blob(public):
                    raise NoteError("its SSHSIG is by another key")
                good.append(found)
            except (NoteError, sshsig.SignatureError) as error:
                text = error.message if isinstance(error, NoteError) else f"its SSHSIG: {error}"
                self._found.bad(max(size - 1, 0), f"the checkpoint at {size}: {text}")
        if not good:
            raise self._found.stop(None, "there is no signed checkpoint")
        return good

    def _head_file(self, state: Walk, newest: Checkpoint, data: bytes | None) -> Checkpoint | None:
        if not self._source.has_head_file:
            return None
        found = layout.parse_head(data, state.keys.at)[0] if data is not None else None
        if found is None:
            if newest.size == 1:
                self._found.torn = "the head file was not written yet"
            else:
                self._found.bad(None, "the head file is missing, or not signed by the ledger's key")
        elif found.origin != state.origin:
            self._found.bad(None, "the head file is of another ledger")
            found = None
        elif found.size > newest.size:
            lost = f"entries {newest.size} to {found.size - 1} are missing: the head file was signed over {found.size}"
            self._found.bad(newest.size, lost)
        elif found.size < newest.size and not self._source.live:
            self._found.torn = f"the head file is {newest.size - found.size} entries behind"
        return found

    def _sizes(self, state: Walk, signed: list[Checkpoint], on_disk: Checkpoint | None) -> None:
        """Do the signed roots fit the tree, and does it end where the newest says?"""
        size, good = state.form.tree.size, 0
        for each in [*signed, *([on_disk] if on_disk else [])]:
            if each.size > size:
                self._found.bad(size, f"entries {size} to {each.size - 1} are missing: they were signed")
            elif state.form.roots[each.size] != each.root:
                self._found.bad(good, f"entries {good} to {each.size - 1} are not those that were signed")
                return
            good = max(good, each.size) if each.size <= size else good
        if size > signed[-1].size:
            self._found.bad(signed[-1].size, f"entry {signed[-1].size} is beyond the signed head")

    def _claims(self, state: Walk) -> None:
        """Were the heads that went to anchors those of this ledger?"""
        for each in state.claims:
            if each.size <= state.form.tree.size and state.root_at(each.size) != each.root:
                self._found.bad(each.seq, f"the head over {each.size} entries that was anchored is not this ledger's")

    def _rotations(self, state: Walk, signed: set[int]) -> None:
        """Each key but the last signed the head that ends with the announcement of the next."""
        for size in state.keys.rotations:
            if self._source.has_head_file and size not in signed:
                self._found.bad(size - 1, f"the checkpoint at {size}, the last of its key, is missing")

    def _segments(self, state: Walk, rows: list[SegmentRow]) -> None:
        found = state.form.segments
        if [row.number for row in rows] != [each.number for each in found]:
            self._found.bad(None, "the segments are not those of the ledger")
            return
        if not all(row.sealed for row in rows[:-1]):
            self._found.bad(None, "an open segment stands before another one")
        for row, each in zip(rows, found, strict=True):
            try:
                if (row.entries, row.sha256) != (each.entries, each.sha256):
                    raise Violation("it is not what its entries give")
                digests = {b"sha512": each.sha512, b"sha256": bytes.fromhex(each.sha256)}
                blob = sshsig.ed25519_blob(state.keys.at(each.end))
                if sshsig.verify_digests(row.sshsig, digests, NAMESPACE) != blob:
                    raise Violation("signed by another key")
                file = self._source.flat_file(each.number) if row.sealed else None
                if file is not None and file != (each.sha256, row.sshsig):
                    raise Violation("its file is not the one that was signed")
            except (Violation, sshsig.SignatureError) as error:
                self._found.bad(None, f"segment {each.number}, from entry {each.first}: {error}")

    def _leftovers(self, state: Walk) -> None:
        """Nothing may be there that no entry speaks of."""
        for seq, name in self._source.payload_names():
            if (seq, name) not in state.contents.payloads:
                self._found.bad(seq, f"payload {name!r} belongs to no entry")
        for seq in self._source.chunk_seqs():
            if seq not in state.contents.chunks:
                self._found.bad(seq, f"chunk {seq} belongs to no entry")
        if not self._source.live and not state.tombs.any and self._source.tail():
            self._found.torn = self._found.torn or "a pack has a tail that was never committed"

    def _report(self, state: Walk | None, newest: Checkpoint | None) -> Report:
        self._found.notes += [*state.rules.notes, *state.tombs.notes] if state else []
        size = state.form.tree.size if state else 0
        verdict, message, seq, anchored = Verdict.OK, "", None, None
        if self._found.problems:
            verdict = Verdict.TAMPER
            first = min(self._found.problems, key=lambda each: (each.seq is None, each.seq or 0))
            message, seq = first.message, first.seq
        elif self._outside.any and state is not None:
            verdict, message, seq, anchored = self._anchored(state)
        if verdict is Verdict.OK and self._found.torn:
            verdict, message = Verdict.TORN, f"{self._found.torn}; nothing acknowledged is lost, opening mends it"
        if not self._outside.any and self._outside.key is None and not self._found.problems:
            self._found.note("checked against itself only: give an anchor or the log's public key from elsewhere")
        if not (self._source.has_payloads and self._source.has_chunks):
            self._found.note("the bundle has no payloads or recordings: their commitments were not opened")
        if verdict is Verdict.OK:
            message = f"{size} entries, {len(state.sessions) if state else 0} sessions, every signature good"
        gone = state.tombs if state else None
        if gone is not None and gone.any:
            self._found.note(
                f"taken out, and said so: frames of {len(gone.redacted)} chunks and {len(gone.forgotten)} contents"
                f" redacted, {gone.deleted} recordings deleted at the end of their time"
            )
        return Report(
            verdict=verdict,
            message=message,
            seq=seq,
            entries=size,
            sessions=len(state.sessions) if state else 0,
            head=newest.anchor if newest else "",
            origin=state.origin if state else "",
            key=public_line(state.keys.current if state else self._first_key) if self._first_key else "",
            anchored=anchored,
            problems=tuple(self._found.problems),
            notes=tuple(self._found.notes),
            redacted=len(gone.redacted) + len(gone.forgotten) if gone is not None else 0,
            deleted=gone.deleted if gone is not None else 0,
        )

    def _anchored(self, state: Walk) -> tuple[Verdict, str, int | None, int]:
        """Verdict, message, first bad entry, and the number of entries that are vouched for."""
        outside, size, good = self._outside, state.form.tree.size, 0
        vouched = [Vouched(*outside.anchor, "the anchor")] if outside.anchor else []
        if outside.witness is not None:
            vouched += witnessed(state.claims, state.origin, outside.witness)
        if outside.copies is not None:
            kept = Copies(outside.copies, state.origin)
            vouched += kept.heads(state.origin, state.keys, self._found.notes)
            other = kept.differing(state.form.segments[: state.form.full])
            if other is not None:
                return Verdict.FORK, f"segment {other.number} is another one than its copy", other.first, good
        for each in sorted(vouched, key=lambda each: each.size):
            if each.size > size:
                return Verdict.ROLLBACK, f"the ledger has {size} entries; {each.what} was of {each.size}", size, good
            if each.size and state.root_at(each.size) != each.root:
                said = f"entries {good} to {each.size - 1} are another history than that of {each.what}"
                return Verdict.FORK, said, good, good
            good = each.size
        after = f"{size - good} entries since the last anchor, of which nothing from elsewhere knows"
        if (outside.fresh is not None and size - good > outside.fresh) or (outside.witness is not None and not good):
            return Verdict.UNANCHORED, after, good, good
        if size > good and (outside.witness is not None or outside.copies is not None):
            self._found.note(after)
        return Verdict.OK, "", None, good


__all__ = ["Problem", "RecorderError", "Report", "Verdict", "exit_status", "verify"]
