"""Opening is recovery: what a store holds is compared with what was signed, before anything is added to it.

The tree is built again from the stored bytes and compared with the newest checkpoint and with the head file. A head
file that is behind is a crash between COMMIT and its sync. Anything else that does not fit is StoreDamaged.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from recorder import checkpoint, layout
from recorder import entry as entries
from recorder.checkpoint import Checkpoint
from recorder.entry import Entry
from recorder.errors import EntryError, NoteError, StoreDamaged, StoreFailed
from recorder.keys import LedgerKey, public_bytes
from recorder.merkle import Frontier
from recorder.readstore import ReadStore
from recorder.segments import Segments


@dataclass(frozen=True, slots=True)
class Recovered:
    """What a ledger goes on from."""

    tree: Frontier
    flat: Segments
    last: Entry
    head: Checkpoint
    slot: int
    """Of the head file, to be written next."""
    behind: bool
    """The head file does not hold `head` and must be written."""


def recover(directory: Path, key: LedgerKey) -> Recovered:
    """Check a store, under its lock, against its signatures. Raises RecorderError.

    Every stored entry is hashed, so that nothing is appended to, and signed with, a history that was changed. What
    only `verify` checks: payloads, chunks, causes and votes.
    """
    reader = ReadStore.open(directory)
    try:
        genesis = reader.entry(0)
        if genesis is None:
            raise StoreDamaged("the store has no first entry", seq=0)
        log_key = entries.decode(genesis.bytes).body.get("log_key")
        if public_bytes(str(log_key)) != key.public:
            raise StoreFailed("the key is not the one of this store", f"the store wants {log_key}")
        newest = reader.head()
        if newest is None:
            raise StoreDamaged("the store has no signed checkpoint")
        head = _parse_head(newest[1], newest[2], key)
        tree, flat, last, wanted = Frontier(), Segments(head.origin), genesis, {head.size: head.root}
        found, slot = _head_file(directory, key, head)
        if found is not None:
            wanted.setdefault(found.size, found.root)
        for row in reader.entries(page=1024):
            if row.seq != tree.size:
                raise StoreDamaged(f"entry {tree.size} is missing", seq=tree.size)
            leaf = entries.leaf_hash(row.bytes)
            if leaf != row.leaf:
                raise StoreDamaged(f"entry {row.seq} was changed", seq=row.seq)
            tree.append(leaf)
            flat.append(row.bytes)
            last = row
            if tree.size in wanted and tree.root() != wanted[tree.size]:
                raise StoreDamaged(f"the first {tree.size} entries are not those that were signed")
        if tree.size != head.size:
            what = "is signed by no checkpoint" if tree.size > head.size else "is missing"
            seq = min(tree.size, head.size)
            raise StoreDamaged(f"entry {seq} {what}", seq=seq)
        expected, found_chunk = reader.last_chunk()
        if expected != found_chunk:
            raise StoreDamaged("a recorded chunk has lost its row", seq=expected)
        behind = found is None or found.size < head.size
        return Recovered(tree, flat, entries.decode(last.bytes), head, slot, behind)
    except EntryError as error:
        raise StoreDamaged(f"an entry cannot be read: {error.message}") from None
    finally:
        reader.close()


def _parse_head(note: str, sshsig: str, key: LedgerKey) -> Checkpoint:
    try:
        return checkpoint.parse(note, key.public, sshsig)
    except NoteError as error:
        raise StoreDamaged(f"the newest checkpoint: {error.message}") from None


def _head_file(directory: Path, key: LedgerKey, head: Checkpoint) -> tuple[Checkpoint | None, int]:
    """The head file's checkpoint, checked against the database's; None only right after the creation."""
    try:
        found, slot = layout.read_head(directory, key.public)
    except FileNotFoundError:
        found, slot = None, 0
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
