"""The lines of recordings, kept so that a search need not render them again. Derived, rebuildable, never trusted.

One file a session, in a directory of its own beside the store, named by the SHA-256 of the session's id. Its bytes are
zstd, then AES-256-GCM under a key that is made from the keys of all the session's chunks and this format's name:

- who deletes a chunk's key (that is how a recording is shredded) makes the file unreadable with it;
- a chunk more, or another renderer, gives another key: a stale file does not open, and is written anew;
- nobody can change a file so that it opens and says something else.

Whatever is wrong with a file or the directory, the answer is to render again. To rebuild everything, delete the
directory. If we crash while writing, a temporary file is left, and nobody reads it.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from pathlib import Path

import zstandard
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from recorder import lines as rendering
from recorder.lines import Lines
from recorder.reader import Reader

FORMAT = b"agent-bastion lines 1"
"""Counts up with every change of what is rendered or how it is kept."""
PLAIN_LIMIT = 4 * rendering.TEXT_LIMIT
"""Bytes that a file may unpack to: the kept characters as JSON in UTF-8, and their times."""
_NONCE = 12


class TextIndex:
    """The files in one directory, made when first needed; without one (None) everything is rendered each time."""

    def __init__(self, reader: Reader, directory: Path | None) -> None:
        self._reader = reader
        self._directory = directory

    def kept(self, session: str) -> Lines | None:
        """What is kept of a session's recording as it is now, if it is."""
        key = self._reader.text_key(session, FORMAT)
        return self._load(session, key) if key is not None else None

    def of(self, session: str) -> Lines:
        """The lines of a session. Raises StoreDamaged or Missing as far as the recording cannot be read."""
        key = self._reader.text_key(session, FORMAT)
        if key is None:
            return Lines()
        found = self._load(session, key)
        if found is None:
            found = rendering.lines(self._reader.frames(session))
            with contextlib.suppress(OSError):
                self._save(session, key, found)
        return found

    def _path(self, session: str) -> Path | None:
        return self._directory / hashlib.sha256(session.encode()).hexdigest()[:32] if self._directory else None

    def _load(self, session: str, key: bytes) -> Lines | None:
        path = self._path(session)
        if path is None:
            return None
        try:
            with path.open("rb") as file:
                data = file.read(PLAIN_LIMIT)
            packed = AESGCM(key).decrypt(data[:_NONCE], data[_NONCE:], FORMAT)
            plain = zstandard.ZstdDecompressor().decompress(packed, max_output_size=PLAIN_LIMIT)
            value = json.loads(plain)
        except (OSError, ValueError, InvalidTag, zstandard.ZstdError):
            return None
        return Lines([(at, text) for at, text in value[0]], [(at, text) for at, text in value[1]], value[2])

    def _save(self, session: str, key: bytes, found: Lines) -> None:
        path = self._path(session)
        if path is None:
            return
        plain = json.dumps([found.lines, found.markers, found.whole], ensure_ascii=False).encode("utf-8", "replace")
        nonce = os.urandom(_NONCE)
        data = nonce + AESGCM(key).encrypt(nonce, zstandard.ZstdCompressor(3).compress(plain), FORMAT)
        path.parent.mkdir(mode=0o700, exist_ok=True)
        fresh = path.with_name(f"{path.name}.{os.getpid()}")
        try:
            with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "wb") as file:
                file.write(data)
            fresh.replace(path)
        except OSError:
            fresh.unlink(missing_ok=True)
            raise
