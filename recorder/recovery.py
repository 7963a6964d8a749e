"""Opening is recovery: what a store holds is compared with what was signed, before anything is added to it.

The tree, the flat files and the keys are built again from the stored bytes and compared with the newest checkpoint, the
rows of the segments and the head file. A head file that is behind is a crash between COMMIT and its sync. Anything else
that does not fit is StoreDamaged.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from pathlib import Path

from recorder import checkpoint, layout
from recorder import entry as entries
from recorder.checkpoint import Checkpoint
from recorder.entry import Entry
from recorder.errors import EntryError, KeyFileError, NoteError, StoreDamaged, StoreFailed
from recorder.keyring import MARK, Keyring, RotationError
from recorder.keys import public_bytes, public_line
from recorder.merkle import Frontier
from recorder.notary import Standing
from recorder.readstore import ReadStore
from recorder.schema import SegmentRow
from recorder.segments import Segment, Segments
from recorder.tombstones import DELETED
from recorder.tree import Tree

LEAVES_PAGE = 1 << 16
"""Leaves that are read at once: 2 MiB."""


@dataclass(frozen=True, slots=True)
class Recovered:
    """What a ledger goes on from."""

    standing: Standing
    last: Entry
    segment_began: int
    """Wall time of the first entry of the open segment, microseconds; 0 where none is open."""
    head: Checkpoint
    slot: int
    """Of the head file, to be written next."""
    behind: bool
    """The head file does not hold `head` and must be written."""


def recover(directory: Path, public: bytes) -> Recovered:
    """Check a store, under its lock, against its signatures; the next head is to be signed by the key `public`.

    Every stored entry is hashed, so that nothing is appended to, and signed with, a history that was changed. What
    only `verify` checks: payloads, chunks, causes and votes. Raises RecorderError.
    """
    reader = ReadStore.open(directory)
    try:
        row, newest = reader.entry(0), reader.head()
        if row is None:
            raise StoreDamaged("the store has no first entry", seq=0)
        if newest is None:
            raise StoreDamaged("the store has no signed checkpoint")
        genesis = entries.decode(row.bytes)
        keys = Keyring(public_bytes(str(genesis.body.get("log_key"))))
        on_disk = _head_file(directory)
        walked = _Walk(entries.origin_of(genesis.origin, genesis.leaf), keys, reader.segments())
        walked.read(reader, {newest[0], *layout.claimed_sizes(on_disk)})
        head = _parse_head(newest, keys)
        if keys.current != public:
            raise StoreFailed("the key is not the one of this store", f"the store wants {public_line(keys.current)}")
        walked.compare(head)
        found, slot = _compare(on_disk, keys, head)
        for each in (head, *([found] if found else [])):
            if walked.roots.get(each.size) != each.root:
                raise StoreDamaged(f"the first {each.size} entries are not those that were signed")
        expected, found_chunk = reader.last_chunk()
        if expected != found_chunk and not _deleted(reader, expected, found_chunk):
            raise StoreDamaged("a recorded chunk has lost its row", seq=expected)
        standing = walked.standing(head)
        began = 0 if standing.sealed else entries.decode(standing.entries[0]).t
        behind = found is None or found.size < head.size
        return Recovered(standing, entries.decode(standing.entries[-1]), began, head, slot, behind)
    except EntryError as error:
        raise StoreDamaged(f"an entry cannot be read: {error.message}") from None
    except KeyFileError as error:
        raise StoreDamaged(f"entry 0 names no key: {error.message}", seq=0) from None
    finally:
        reader.close()


def standing_of(directory: Path, extends: int) -> tuple[Standing, list[bytes]]:
    """Where a store stands whose entries were checked before, and that it extends its head of that size: for a notary
    that takes over while it is written. Between two commits. Raises StoreDamaged."""
    reader = ReadStore.open(directory)
    try:
        rows, newest = reader.segments(), reader.head()
        if newest is None or not rows:
            raise StoreDamaged("the store has no signed checkpoint")
        first, tree = sum(row.entries for row in rows[:-1]), Frontier()
        for at in range(0, first, LEAVES_PAGE):
            tree.extend(reader.leaves(at, min(at + LEAVES_PAGE, first)))
        entries_ = tuple(row.bytes for row in reader.entries(after=first - 1))
        previous = rows[-2].sha256 if len(rows) > 1 else ""
        origin = checkpoint.read(newest[1])[0].origin
        sealed = bool(rows[-1].sealed)
        standing = Standing(origin, rows[-1].number, first, previous, tree.peaks, entries_, sealed, newest[1])
        return standing, _proof(reader, extends, newest[0])
    finally:
        reader.close()


def extending(directory: Path, extends: int, size: int) -> list[bytes]:
    """That the store's head, of `size`, extends an earlier one (consistency, RFC 6962 section 2.1.2); empty where there
    is nothing to prove, or no way to."""
    if not 0 < extends < size:
        return []
    reader = ReadStore.open(directory)
    try:
        return _proof(reader, extends, size)
    finally:
        reader.close()


def _proof(reader: ReadStore, extends: int, size: int) -> list[bytes]:
    return Tree(reader.leaves).consistency(extends, size) if 0 < extends < size else []


def _deleted(reader: ReadStore, expected: int, found: int) -> bool:
    """Does an entry say that the last recorded chunk went at the end of its time?"""
    row = reader.entry(expected)
    if row is None or found > expected or row.session is None:
        return False
    return any(True for _ in reader.entries(after=expected, limit=1, types=(DELETED,), session=row.session))


class _Walk:
    """One pass over the entries. Which key signed what is known at its end only, so signatures are looked at then."""

    def __init__(self, origin: str, keys: Keyring, rows: list[SegmentRow]) -> None:
        self.roots: dict[int, bytes] = {}
        """Root at each size that was wanted."""
        self._keys, self._rows = keys, rows
        self._ends = set(itertools.accumulate(row.entries for row in rows))
        self._tree, self._flat = Frontier(), Segments(origin)
        self._segments: list[Segment] = []
        self._begin: tuple[tuple[bytes, ...], list[bytes]] = ((), [])
        """Peaks before the last segment, and its entries."""

    def read(self, reader: ReadStore, wanted: set[int]) -> None:
        """Raises StoreDamaged, EntryError."""
        tree, new = self._tree, True
        for row in reader.entries(page=1024):
            if row.seq != tree.size:
                raise StoreDamaged(f"entry {tree.size} is missing", seq=tree.size)
            leaf = entries.leaf_hash(row.bytes)
            if leaf != row.leaf:
                raise StoreDamaged(f"entry {row.seq} was changed", seq=row.seq)
            if new:
                self._begin = (tree.peaks, [])
            self._begin[1].append(row.bytes)
            tree.append(leaf)
            full = self._flat.append(row.bytes)
            new = full is not None or tree.size in self._ends
            if new:
                self._segments.append(full or self._flat.close())
            if tree.size in wanted:
                self.roots[tree.size] = tree.root()
            if row.bytes.endswith(MARK):
                said = entries.decode(row.bytes)
                try:
                    self._keys.rotate(row.seq, said.origin, said.body)
                except RotationError as error:
                    raise StoreDamaged(f"entry {row.seq}: {error}", seq=row.seq) from None

    def compare(self, head: Checkpoint) -> None:
        """Do the entries end where the head says, in the segments that there are? Raises StoreDamaged."""
        size = self._tree.size
        if size != head.size:
            what = "is signed by no checkpoint" if size > head.size else "is missing"
            seq = min(size, head.size)
            raise StoreDamaged(f"entry {seq} {what}", seq=seq)
        found = [(each.number, each.entries, each.sha256) for each in self._segments]
        if self._flat.current().entries or found != [(row.number, row.entries, row.sha256) for row in self._rows]:
            raise StoreDamaged("the segments are not those of the ledger")
        if not all(row.sealed for row in self._rows[:-1]):
            raise StoreDamaged("an open segment stands before another one")

    def standing(self, head: Checkpoint) -> Standing:
        """What a notary goes on from; after `compare`."""
        last, (peaks, data) = self._segments[-1], self._begin
        previous = self._segments[-2].sha256 if last.number else ""
        sealed = bool(self._rows[-1].sealed)
        return Standing(head.origin, last.number, last.first, previous, peaks, tuple(data), sealed, head.note)


def _parse_head(row: tuple[int, str, str], keys: Keyring) -> Checkpoint:
    try:
        return checkpoint.parse(row[1], keys.at(row[0]), row[2])
    except NoteError as error:
        raise StoreDamaged(f"the newest checkpoint: {error.message}") from None


def _head_file(directory: Path) -> bytes:
    try:
        return (directory / layout.HEAD).read_bytes()
    except FileNotFoundError:
        return b""


def _compare(data: bytes, keys: Keyring, head: Checkpoint) -> tuple[Checkpoint | None, int]:
    """The head file's checkpoint, checked against the database's; None only right after the creation."""
    found, slot = layout.parse_head(data, keys.at)
    if found is None:
        if head.size == 1:  # a crash within `create`, between its commit and its head
            return None, slot
        raise StoreDamaged("the head file is missing or not signed by the ledger's key")
    if found.origin != head.origin:
        raise StoreDamaged("the head file is of another ledger")
    if found.size > head.size:
        raise StoreDamaged(
            f"entries {head.size} to {found.size - 1} are missing: the head file was signed over {found.size}",
            seq=head.size,
        )
    return found, slot
