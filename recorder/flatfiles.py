"""Sealed segments as files beside the store, so that stock tools and copies to other hosts need nothing of SQLite.

    STORE/segments/seg-000000.jsonl      the segment (recorder.segments), never changed once it is there
    STORE/segments/seg-000000.jsonl.sig  its SSHSIG

They are copies: whatever is missing is written again from the store, and `verify` compares those that are there. If we
crash between the two files, the signature stands alone, and the next run writes both.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import BinaryIO

from recorder import layout
from recorder.checkpoint import read
from recorder.errors import StoreDamaged, StoreFailed
from recorder.keys import sync_directory
from recorder.readstore import ReadStore
from recorder.schema import SegmentRow
from recorder.segments import Segment, Segments, file_name, first_line


def write_segment(store: ReadStore, flat: Segments, row: SegmentRow, file: BinaryIO) -> Segment:
    """Write the segment `row`, with which `flat` is due, and give what was written. Raises OSError, StoreDamaged."""
    due = flat.current()
    previous = flat.previous
    file.write(first_line(flat.origin, due.number, due.first, previous))
    full = None
    for entry in store.entries(after=due.first - 1, limit=row.entries):
        file.write(entry.bytes + b"\n")
        full = flat.append(entry.bytes)
    return full or flat.close()


def write_missing(directory: Path) -> int:
    """Write the files of sealed segments that are not there; how many. Raises StoreDamaged, StoreFailed."""
    store = ReadStore.open(directory)
    try:
        rows = [row for row in store.segments() if row.sealed]
        head = store.head()
        out = directory / layout.SEGMENTS
        out.mkdir(mode=0o700, exist_ok=True)
        missing = [row for row in rows if not (out / file_name(row.number)).exists()]
        if head is None or not missing:
            return 0
        origin, first = read(head[1])[0].origin, 0
        wanted = {row.number for row in missing}
        previous = ""
        for row in rows:
            if row.number in wanted:
                _write(store, out, Segments(origin, row.number, first, previous), row)
            first, previous = first + row.entries, row.sha256
        sync_directory(out)
        return len(missing)
    except OSError as error:
        raise StoreFailed(f"a segment cannot be written: {error}") from None
    finally:
        store.close()


def _write(store: ReadStore, out: Path, flat: Segments, row: SegmentRow) -> None:
    path = out / file_name(row.number)
    making = out / f".{path.name}.making"
    making.unlink(missing_ok=True)
    with os.fdopen(os.open(making, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "wb") as file:
        found = write_segment(store, flat, row, file)
        file.flush()
        os.fsync(file.fileno())
    if (row.entries, row.sha256) != (found.entries, found.sha256):
        making.unlink()
        raise StoreDamaged(f"segment {row.number} is not the one that was signed", seq=found.first)
    signature = path.with_name(f"{path.name}.sig")
    signature.unlink(missing_ok=True)
    with os.fdopen(os.open(signature, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "wb") as file:
        file.write(row.sshsig.encode())
        file.flush()
        os.fsync(file.fileno())
    making.rename(path)
