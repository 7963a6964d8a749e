"""What a verifier reads from: a store directory, or an exported bundle. Read-only, and trusts nothing that it reads."""

from __future__ import annotations

import base64
import binascii
import hashlib
import itertools
import json
import re
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext
from pathlib import Path
from typing import Any, Protocol

from recorder import layout
from recorder.errors import NotAStore, RecorderError, StoreDamaged
from recorder.form import Page
from recorder.readstore import ReadStore
from recorder.schema import TOMBSTONES, PayloadRow, SegmentRow, pending
from recorder.segments import file_name

LINE_LIMIT = 16 << 20
"""Bytes of one line in a bundle: a payload of 8 MiB in base64, with room."""


SMALL = 16 << 10
"""Bytes of a payload that is read with its page, of which there are at most PAGE times some; larger ones one by one."""
END = 1 << 53
"""A number that no entry has."""
PAGE = 128
"""Entries that are read at once: their bytes, and what is made of them, stay in a core's cache. With 512 a page takes
half as long again."""


class Source(Protocol):
    """Where a ledger is read from. Every method raises StoreDamaged when something cannot be read."""

    has_payloads: bool
    has_chunks: bool
    has_head_file: bool
    live: bool
    """A daemon writes to it just now."""

    def snapshot(self) -> AbstractContextManager[None]: ...
    def checking(self, problems: list[str]) -> AbstractContextManager[None]:
        """While the block runs, check the file itself; what is wrong with it is in `problems` at the block's end."""

    def genesis(self) -> bytes | None: ...
    def pages(self, end: int = END, first: int = 0) -> Iterator[Page]:
        """All entries from `first` on and below `end`, in order. With `first` of 0 also what is numbered below."""

    def raw_pages(self, end: int, first: int = 0) -> Iterator[list[bytes]]:
        """Their bytes alone, in pages of the same entries, where all of them are there."""

    def size(self) -> int:
        """How many entries there seem to be, unchecked."""

    def payloads(self, first: int, end: int) -> dict[tuple[int, str], PayloadRow]:
        """Those of the entries [first, end), without large ones."""

    def payload(self, seq: int, name: str) -> PayloadRow | None: ...
    def payload_names(self) -> Iterator[tuple[int, str]]: ...
    def chunk(self, seq: int) -> tuple[bytes, bytes] | None: ...
    def chunk_seqs(self) -> list[int]: ...
    def checkpoints(self) -> list[tuple[int, str, str]]: ...
    def segments(self) -> list[SegmentRow]: ...
    def flat_file(self, number: int) -> tuple[str, str] | None:
        """SHA-256 and signature of a segment's file, where the store keeps one."""

    def head_file(self) -> bytes | None: ...
    def tail(self) -> bool: ...
    def disturbed(self) -> bool: ...
    def shredded(self) -> bool:
        """Was something redacted or deleted since this was opened? What is missing may then be missing rightly."""

    def close(self) -> None: ...


def open_source(path: Path) -> Source:
    """A store or a bundle. Raises RecorderError."""
    if (path / layout.DATABASE).exists():
        return StoreSource(path)
    if (path / "seg-000000.jsonl").is_file():
        return BundleSource(path)
    raise NotAStore(f"{path} holds neither a store nor an exported bundle")


class StoreSource:
    """A store directory; a daemon may be writing to it."""

    has_payloads = has_chunks = has_head_file = True

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self.live = layout.in_use(directory)
        self._head = _read(directory / layout.HEAD)  # before the snapshot: it must not be newer than what it is held to
        self._still = not self.live and not pending(directory / layout.DATABASE)
        self._state = self._stat()
        self._store = ReadStore.open(directory, immutable=self._still)
        self._stone = self._store.newest_of(TOMBSTONES)

    def disturbed(self) -> bool:
        """Was it read as a file that nobody writes, and somebody did?"""
        return self._still and (self._state != self._stat() or layout.in_use(self._directory))

    def shredded(self) -> bool:
        try:
            with closing(ReadStore.open(self._directory, immutable=False)) as store:
                return store.newest_of(TOMBSTONES) != self._stone
        except RecorderError:
            return False

    def _stat(self) -> tuple[int, int]:
        status = (self._directory / layout.DATABASE).stat()
        return status.st_size, status.st_mtime_ns

    def snapshot(self) -> AbstractContextManager[None]:
        return self._store.snapshot()

    @contextmanager
    def checking(self, problems: list[str]) -> Iterator[None]:
        def check() -> None:
            try:
                with closing(ReadStore.open(self._directory, immutable=self._still)) as store:
                    problems.extend(store.problems())
            except RecorderError as error:
                problems.append(error.message)

        thread = threading.Thread(target=check, name="integrity check")
        thread.start()
        try:
            yield
        finally:
            thread.join()

    def genesis(self) -> bytes | None:
        row = self._store.entry(0)
        return row.bytes if row else None

    def pages(self, end: int = END, first: int = 0) -> Iterator[Page]:
        for rows in self._store.pages(first, end, PAGE):
            yield Page([row[-1] for row in rows], rows)

    def raw_pages(self, end: int, first: int = 0) -> Iterator[list[bytes]]:
        return self._store.raw_pages(first, end, PAGE)

    def size(self) -> int:
        return self._store.size()

    def payloads(self, first: int, end: int) -> dict[tuple[int, str], PayloadRow]:
        return {row[:2]: row for row in self._store.payloads(first, end, SMALL)}

    def payload(self, seq: int, name: str) -> PayloadRow | None:
        return self._store.payload(seq, name)

    def payload_names(self) -> Iterator[tuple[int, str]]:
        return self._store.payload_names()

    def chunk(self, seq: int) -> tuple[bytes, bytes] | None:
        row = self._store.chunk(seq)
        return (self._store.ciphertext(row), row.key) if row else None

    def chunk_seqs(self) -> list[int]:
        return self._store.chunk_seqs()

    def checkpoints(self) -> list[tuple[int, str, str]]:
        return self._store.checkpoints()

    def segments(self) -> list[SegmentRow]:
        return self._store.segments()

    def flat_file(self, number: int) -> tuple[str, str] | None:
        path = self._directory / layout.SEGMENTS / file_name(number)
        try:
            with path.open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
            return digest, path.with_name(f"{path.name}.sig").read_text("ascii")
        except FileNotFoundError:
            return None
        except (OSError, UnicodeError) as error:
            raise StoreDamaged(f"{path.name} cannot be read: {error}") from None

    def head_file(self) -> bytes | None:
        return self._head

    def tail(self) -> bool:
        """Is there something in the packs behind the last committed chunk?"""
        ends = self._store.pack_ends()
        for number in layout.pack_numbers(self._directory):
            if layout.pack_path(self._directory, number).stat().st_size > ends.get(number, 0):
                return True
        return False

    def close(self) -> None:
        self._store.close()


class BundleSource:
    """A directory that `ledger export` wrote. Payloads and recordings are in it only where they were asked for."""

    live = has_head_file = False

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._payloads = {
            (row["seq"], row["name"]): PayloadRow(row["seq"], row["name"], row["salt"], row["data"])
            for row in _lines(directory / "payloads.jsonl", {"seq": int, "name": str, "salt": bytes, "data": bytes})
        }
        self._chunks = {
            row["seq"]: (row["offset"], row["length"], row["key"])
            for row in _lines(directory / "chunks.jsonl", {"seq": int, "offset": int, "length": int, "key": bytes})
        }
        self.has_payloads = (directory / "payloads.jsonl").exists()
        self.has_chunks = (directory / "chunks.jsonl").exists()

    def snapshot(self) -> AbstractContextManager[None]:
        return nullcontext()

    def checking(self, problems: list[str]) -> AbstractContextManager[None]:
        return nullcontext()

    def _files(self) -> list[Path]:
        return sorted(
            path for path in self._directory.glob("seg-*.jsonl") if re.fullmatch(r"seg-[0-9]{6,}\.jsonl", path.name)
        )

    def genesis(self) -> bytes | None:
        return next(self._entries(), None)

    def _entries(self) -> Iterator[bytes]:
        """The lines, without the first of each file: what that must be follows from the entries and is hashed."""
        for path in self._files():
            try:
                with path.open("rb") as file:
                    file.readline(LINE_LIMIT)
                    while line := file.readline(LINE_LIMIT):
                        yield line.removesuffix(b"\n")
            except OSError as error:
                raise StoreDamaged(f"{path.name} cannot be read: {error.strerror}") from None

    def pages(self, end: int = END, first: int = 0) -> Iterator[Page]:
        for entries in self.raw_pages(end, first):
            yield Page(entries)

    def raw_pages(self, end: int, first: int = 0) -> Iterator[list[bytes]]:
        entries = itertools.islice(self._entries(), first, end)
        while page := list(itertools.islice(entries, PAGE)):
            yield page

    def size(self) -> int:
        return self.checkpoints()[0][0]

    def payloads(self, first: int, end: int) -> dict[tuple[int, str], PayloadRow]:
        return self._payloads

    def payload(self, seq: int, name: str) -> PayloadRow | None:
        return self._payloads.get((seq, name))

    def payload_names(self) -> Iterator[tuple[int, str]]:
        return iter(self._payloads)

    def chunk(self, seq: int) -> tuple[bytes, bytes] | None:
        if seq not in self._chunks:
            return None
        offset, length, key = self._chunks[seq]
        try:
            with (self._directory / "chunks.pack").open("rb") as file:
                file.seek(offset)
                return file.read(length), key
        except (OSError, ValueError, OverflowError) as error:
            raise StoreDamaged(f"chunks.pack cannot be read: {error}", seq=seq) from None

    def chunk_seqs(self) -> list[int]:
        return sorted(self._chunks)

    def checkpoints(self) -> list[tuple[int, str, str]]:
        """The one that the bundle has. Its size stands in its second line; the signature is checked by the caller."""
        note, armour = self._text("checkpoint"), self._text("checkpoint.txt.sig")
        if not note.startswith(self._text("checkpoint.txt") + "\n"):
            raise StoreDamaged("checkpoint.txt is not the text of checkpoint")
        size = note.split("\n", 2)[1] if note.count("\n") > 2 else ""
        if not re.fullmatch(r"[0-9]{1,16}", size, re.ASCII):
            raise StoreDamaged("checkpoint is no checkpoint")
        return [(int(size), note, armour)]

    def segments(self) -> list[SegmentRow]:
        """What the files are, by their own names; hashes follow from their bytes."""
        rows = []
        for path in self._files():
            data = _read(path) or b""
            number = int(path.name[4:-6])
            digest = hashlib.sha256(data).hexdigest()
            rows.append(SegmentRow(number, data.count(b"\n") - 1, 1, digest, self._text(path.name + ".sig")))
        return rows

    def flat_file(self, number: int) -> tuple[str, str] | None:
        return None  # the files are what is read

    def head_file(self) -> bytes | None:
        return None

    def tail(self) -> bool:
        return False

    def disturbed(self) -> bool:
        return False

    def shredded(self) -> bool:
        return False

    def close(self) -> None:
        pass

    def _text(self, name: str) -> str:
        data = _read(self._directory / name)
        if data is None:
            raise StoreDamaged(f"the bundle has no {name}")
        try:
            return data.decode()
        except UnicodeDecodeError:
            raise StoreDamaged(f"{name} is no text") from None


def _read(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except OSError:
        return None


def _lines(path: Path, form: dict[str, type]) -> Iterator[dict[str, Any]]:
    """Lines of JSON objects of that form; bytes are base64. Nothing when there is no such file."""
    if not path.exists():
        return
    try:
        with path.open("rb") as file:
            while line := file.readline(LINE_LIMIT):
                row = json.loads(line)
                if not isinstance(row, dict) or row.keys() != form.keys():
                    raise ValueError("other fields")
                for name, kind in form.items():
                    if type(row[name]) is not (str if kind is bytes else kind):
                        raise ValueError(f"{name} is malformed")
                    if kind is bytes:
                        row[name] = base64.b64decode(row[name], validate=True)
                yield row
    except (OSError, ValueError, RecursionError, binascii.Error) as error:
        raise StoreDamaged(f"{path.name} cannot be read: {error}") from None
