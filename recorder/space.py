"""The place on the disk of ciphertext that no row names any more, given back. Crash-safe because it writes nothing.

Chunks that were redacted or deleted have lost their keys with the entry that says so (recorder.store). What lies in the
packs is noise from then on; here its blocks go back to the file system:

    a pack in which nothing lives      its file is removed
    between and behind living chunks   a hole is punched (fallocate(2)): offsets stay, the blocks are free, it reads as
                                       zeros

Both look at the rows and at nothing else, change no row, and can be done again and again: whatever a crash leaves, the
next run finds. The two newest packs keep their files, and what is behind their last committed chunk: there the writer
may be at work. A reader that began before can find zeros where a chunk was: it looks at the rows again
(recorder.reader, recorder.verify). File systems that cannot punch holes keep the blocks until the whole pack is gone.

Not protected: blocks that a file system or a disk gave back can still be read by whoever has the disk. It is ciphertext
without a key, but for the key itself, whose old page had its own place (in the WAL, in a snapshot, in a backup).
"""

from __future__ import annotations

import contextlib
import ctypes
import os
from dataclasses import dataclass
from pathlib import Path

from recorder import layout
from recorder.readstore import ReadStore

BLOCK = 4096
"""Bytes: holes begin and end at blocks of the file system, and this is what ext4 and XFS have."""
KEPT = 2
"""Packs that keep their files: one commit fills at most the rest of one and begins the next."""
_KEEP_SIZE, _PUNCH_HOLE = 1, 2
"""linux/falloc.h"""


@dataclass(frozen=True, slots=True)
class Freed:
    """What a run gave back."""

    bytes: int
    files: int
    whole: bool
    """False: the file system cannot punch holes, and some space stays taken."""


def free(directory: Path) -> Freed:
    """Give back what can be given back. Raises StoreDamaged, StoreFailed; a file that cannot be changed is left."""
    store = ReadStore.open(directory)
    try:
        living = store.living()
    finally:
        store.close()
    numbers = layout.pack_numbers(directory)
    freed, files, whole = 0, 0, True
    for number in numbers:
        path, spans = layout.pack_path(directory, number), living.get(number, [])
        with contextlib.suppress(OSError):
            before = _blocks(path)
            older = number in numbers[:-KEPT]
            if older and not spans:
                path.unlink()
                freed, files = freed + before, files + 1
            elif spans:
                size = path.stat().st_size
                spans = [*spans, (size, size)] if older else spans
                whole = _punch(path, spans) and whole
                freed += max(0, before - _blocks(path))
    return Freed(freed, files, whole)


def _blocks(path: Path) -> int:
    """Bytes that the file takes on the disk."""
    return path.stat().st_blocks * 512


def _punch(path: Path, spans: list[tuple[int, int]]) -> bool:
    """Holes between the spans [start, end), which are in order. False where the file system cannot. Raises OSError."""
    gaps, at = [], 0
    for start, end in spans:
        first, last = -(-at // BLOCK) * BLOCK, start // BLOCK * BLOCK
        if last > first:
            gaps.append((first, last - first))
        at = max(at, end)
    if not gaps:
        return True
    libc = ctypes.CDLL(None, use_errno=True)
    fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        for offset, length in gaps:
            mode = ctypes.c_int(_PUNCH_HOLE | _KEEP_SIZE)
            if libc.fallocate64(fd, mode, ctypes.c_int64(offset), ctypes.c_int64(length)) != 0:
                return False
    finally:
        os.close(fd)
    return True
