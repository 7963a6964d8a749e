"""Files of a store directory, and the two plain ones among them: the lock and the head.

    ledger.sqlite3 (-wal, -shm)   entries, payloads, checkpoints, where the chunks lie and their keys
    chunks-000001.pack …          ciphertext of recordings, appended by all sessions, nothing else in it
    head                          the newest signed checkpoint, outside SQLite
    segments/seg-000000.jsonl …   sealed segments with their signatures: copies, for stock tools and other hosts
    lock                          held by the one process that writes

The head is there because SQLite alone hides loss: a WAL that was cut loses committed rows while `integrity_check` still
says ok. It is one file of two slots, written in turn and synced in place: a write that a crash tears leaves the other
slot, and one fdatasync is a quarter of the time of write, fsync, rename, fsync of the directory. No checksum: the
signature in the note is one. A reader takes the slot with the larger size among those that the key signed.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from recorder import checkpoint
from recorder.checkpoint import NOTE_LIMIT, Checkpoint
from recorder.errors import NoteError, StoreBusy

DATABASE, HEAD, LOCK, SEGMENTS = "ledger.sqlite3", "head", "lock", "segments"
SLOT = NOTE_LIMIT
"""Bytes of one slot of the head: a page, so that one write does not touch the other."""
LOCK_TRIES = 25
"""Attempts at the lock, 20 ms apart: `verify` takes it shared for a moment to see whether a daemon runs."""


def pack_path(directory: Path, number: int) -> Path:
    """Where the chunks of that pack lie."""
    return directory / f"chunks-{number:06d}.pack"


def pack_numbers(directory: Path) -> list[int]:
    """The packs that are there, in order."""
    stems = (path.name[len("chunks-") : -len(".pack")] for path in directory.glob("chunks-*.pack"))
    return sorted(int(stem) for stem in stems if stem.isascii() and stem.isdigit())


def lock(directory: Path) -> int:
    """Take the store for writing; the descriptor holds it. Raises StoreBusy or OSError."""
    fd = os.open(directory / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    for left in reversed(range(LOCK_TRIES)):
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return fd
        except BlockingIOError:
            if left:
                time.sleep(0.02)
    os.close(fd)
    raise StoreBusy(f"another process writes to {directory}", "one daemon a store; stop the other one first")


def in_use(directory: Path) -> bool:
    """Does a process hold the store for writing? False where that cannot be told."""
    try:
        fd = os.open(directory / LOCK, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    finally:
        os.close(fd)
    return False


class HeadFile:
    """The head, open for writing."""

    def __init__(self, directory: Path, slot: int) -> None:
        self._fd = os.open(directory / HEAD, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        self._slot = slot
        with contextlib.suppress(OSError):  # a full disk is found by the write itself
            os.posix_fallocate(self._fd, 0, 2 * SLOT)

    def write(self, head: Checkpoint) -> None:
        """Durable when it returns. Raises OSError.

        If we crash here: this slot is torn or old, the other one holds the head before, and the database, which has
        been committed, the new one. Opening finds the head one group behind and writes it again.
        """
        data = head.note.encode()
        if os.pwrite(self._fd, data.ljust(SLOT, b"\0"), self._slot * SLOT) != SLOT:
            raise OSError("short write of the head")
        os.fdatasync(self._fd)
        self._slot = 1 - self._slot

    def close(self) -> None:
        """Idempotent."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def claims(data: bytes) -> list[tuple[int, Checkpoint]]:
    """Slots of a head file that hold a note, and what it claims, unchecked."""
    return [(number, found) for number, note in _slots(data) if (found := _claimed(note)) is not None]


def claimed_sizes(data: bytes) -> set[int]:
    """Sizes that the head file speaks of, unchecked."""
    return {found.size for _, found in claims(data)}


def parse_head(data: bytes, key_at: Callable[[int], bytes]) -> tuple[Checkpoint | None, int]:
    """The head that the key of its size signed (None if there is none), and the slot to write next."""
    best, slot = None, 0
    for number, note in _slots(data):
        claimed = _claimed(note)
        if claimed is None:
            continue
        try:
            found = checkpoint.parse(note, key_at(claimed.size))
        except NoteError:
            continue
        if best is None or found.size > best.size:
            best, slot = found, 1 - number
    return best, slot


def _slots(data: bytes) -> Iterator[tuple[int, str]]:
    for number in (0, 1):
        with contextlib.suppress(UnicodeDecodeError):
            yield number, data[number * SLOT : (number + 1) * SLOT].rstrip(b"\0").decode()


def _claimed(note: str) -> Checkpoint | None:
    try:
        return checkpoint.read(note)[0]
    except NoteError:
        return None
