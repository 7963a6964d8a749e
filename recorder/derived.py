"""What was rendered of recordings, in files: keyframes, lines, markers. Derived, rebuildable, never trusted.

One file a session in a directory of its own beside the store, named by a hash of the session's id, so that it tells
nothing by itself. In it stands one record for each chunk, in order:

    "ABd1" | lengths of three parts, u32 each | part | part | part      keys, lines, markers
    part = nonce (12) | AES-256-GCM of zstd of JSON

under the chunk's derived key (spine.py), with the session, the chunk's number and the part's name as associated data.
A search decrypts the lines only, a seek the keyframes of one chunk.

If we crash while writing, the last record is cut short: reading stops before it, and writing goes on there. What does
not decrypt (a shredded or redacted chunk, an edited file, another format) counts as not there, with all that follows,
and is rendered again. To rebuild everything, delete the directory.

Beside it `NAME.stop` says from which chunk on a recording is not rendered, and why: see indexer.py. That is all that a
hostile recording can bring about here; the recording itself is not touched.
"""

from __future__ import annotations

import hashlib
import json
import os
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import zstandard
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from recorder.rendering import Part
from recorder.spine import Spine

MAGIC = b"ABd1"
PARTS = ("keys", "lines", "markers")
PLAIN_LIMIT = 64 << 20
"""Bytes that one part unpacks to at most: the lines of a 1 MiB chunk are 8 Mi characters at most, of 4 bytes."""
PART_LIMIT = 64 << 20
"""Bytes of one part in the file."""
DIRECTORY = "derived"
"""Beside the store."""
_HEADER = struct.Struct(">4s3I")
_NONCE = 12


def name_of(session: str) -> str:
    """Of a session's file."""
    return hashlib.sha256(session.encode()).hexdigest()[:32]


class Derived:
    """One session's file, read. Nothing in it makes this raise: what is wrong is not there."""

    def __init__(self, directory: Path | None, spine: Spine) -> None:
        self._spine = spine
        self.path = directory / name_of(spine.session) if directory is not None else None
        self._places: list[tuple[int, tuple[int, ...]]] = []
        self._end = 0

    @property
    def end(self) -> int:
        """Where the last whole record ends."""
        return self._end

    def refresh(self) -> int:
        """Look for more records; how many there are. None is looked into."""
        try:
            if self.path is None:
                return 0
            with self.path.open("rb", buffering=0) as file:
                size = os.fstat(file.fileno()).st_size
                if size < self._end:
                    self._forget()
                while self._end + _HEADER.size <= size:
                    magic, *lengths = _HEADER.unpack(os.pread(file.fileno(), _HEADER.size, self._end))
                    end = self._end + _HEADER.size + sum(lengths)
                    if magic != MAGIC or max(lengths) > PART_LIMIT or end > size:
                        break
                    self._places.append((self._end + _HEADER.size, tuple(lengths)))
                    self._end = end
        except (OSError, struct.error):
            self._forget()
        return min(len(self._places), len(self._spine.links))

    def _forget(self) -> None:
        self._places, self._end = [], 0

    def load(self, number: int, part: str) -> Any:
        """A part of the record of that chunk; None when it cannot be had."""
        packed = self._open(number, part)
        try:
            plain = zstandard.ZstdDecompressor().decompress(packed, max_output_size=PLAIN_LIMIT) if packed else b""
            return json.loads(plain) if plain else None
        except (ValueError, zstandard.ZstdError, MemoryError, RecursionError):
            return None

    def _open(self, number: int, part: str) -> bytes | None:
        which = PARTS.index(part)
        if not 0 <= number < min(len(self._places), len(self._spine.links)) or self.path is None:
            return None
        at, lengths = self._places[number]
        try:
            with self.path.open("rb", buffering=0) as file:
                data = os.pread(file.fileno(), lengths[which], at + sum(lengths[:which]))
            about = context(self._spine.session, number, part)
            return AESGCM(self._spine.links[number].key).decrypt(data[:_NONCE], data[_NONCE:], about)
        except (OSError, ValueError, InvalidTag, MemoryError):
            self._forget()  # it may have been written anew: the next look finds where
            return None

    def whole(self) -> int:
        """How many records from the first on decrypt, every part of them; the end of the file is set to theirs."""
        count, places = self.refresh(), self._places
        sound = next((n for n in range(count) if any(self._open(n, part) is None for part in PARTS)), count)
        self._places, self._end = places[:sound], places[sound][0] - _HEADER.size if sound < len(places) else self._end
        if not self._places:
            self._end = 0
        return sound

    def lines(self) -> Iterator[tuple[int, int, str]]:
        """Of all records: (number, moment, text); what comes later under a number replaces what it had."""
        for number in range(self.refresh()):
            value = self.load(number, "lines")
            if value is None:
                return
            yield from map(tuple, value["lines"])

    def markers(self) -> Iterator[tuple[int, str]]:
        """Of all records: (moment, text)."""
        for number in range(self.refresh()):
            value = self.load(number, "markers")
            if value is None:
                return
            yield from ((at, text) for _, at, text in value["markers"])

    def stopped(self) -> tuple[int, str] | None:
        """From which chunk on it is not rendered, and why."""
        try:
            value = json.loads(_stop_path(self.path).read_bytes()) if self.path is not None else None
            return (int(value["chunk"]), str(value["why"])[:200]) if value else None
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            return None


def record(session: str, number: int, key: bytes, part: Part) -> bytes:
    """One chunk's record."""
    contents = (
        {"keys": [[key.frame, key.screen] for key in part.keys], "end": part.end},
        {"lines": part.lines, "cut": part.cut},
        {"markers": part.markers, "sizes": part.sizes},
    )
    sealed = [_seal(key, value, context(session, number, name)) for name, value in zip(PARTS, contents, strict=True)]
    return _HEADER.pack(MAGIC, *map(len, sealed)) + b"".join(sealed)


def context(session: str, number: int, part: str) -> bytes:
    """Associated data. A session has no line feed in it."""
    return f"agent-bastion derived 1\n{session}\n{number}\n{part}".encode()


def _seal(key: bytes, value: object, about: bytes) -> bytes:
    plain = json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")
    nonce = os.urandom(_NONCE)
    return nonce + AESGCM(key).encrypt(nonce, zstandard.ZstdCompressor(level=3).compress(plain), about)


def _stop_path(path: Path) -> Path:
    return path.with_name(f"{path.name}.stop")


def stop(path: Path, chunk: int, why: str) -> None:
    """Note that a recording is not rendered from that chunk on. Raises OSError."""
    fresh = path.with_name(f"{path.name}.stop.{os.getpid()}")
    fresh.unlink(missing_ok=True)
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "w") as file:
        json.dump({"chunk": chunk, "why": why}, file)
    fresh.replace(_stop_path(path))
