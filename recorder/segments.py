"""The ledger as flat files, `seg-NNNNNN.jsonl`, that stock tools can walk. Pure.

A segment has SPAN entries; the last one has what there is so far. Its first line names the segment before it by the
SHA-256 of that whole file; then come the entries, one a line, exactly their bytes:

    {"first":1024,"origin":"bastion.example/9c41ab12","previous":"…","segment":1,"v":1}
    {"actor":…
    …

Each has a detached SSHSIG by the ledger's key over the file, namespace `segment@agent-bastion`: one when it is full,
and one for the last, still open segment with every commit. So the signature of the last file and `sha256sum` bind the
whole history, without knowing RFC 6962, and nothing need be signed when a bundle is exported.

SSHSIG signs a hash of the message, so a running hash is all that the writer keeps; the files are not stored.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass

SPAN = 1024
"""Entries in a full segment."""
NAMESPACE = "segment@agent-bastion"


@dataclass(frozen=True, slots=True)
class Segment:
    """A segment file as of some entry."""

    number: int
    entries: int
    sha256: str
    """Of the file, hex: what the next one's first line names."""
    sha512: bytes
    """Of the file: what its SSHSIG signs."""


def first_line(origin: str, number: int, previous: str) -> bytes:
    """The line in front of the entries, with its line feed; canonical JSON. `previous` is empty in segment 0."""
    fields = {"first": number * SPAN, "origin": origin, "previous": previous, "segment": number, "v": 1}
    return json.dumps(fields, sort_keys=True, separators=(",", ":")).encode() + b"\n"


def file_name(number: int) -> str:
    """Of that segment, in a bundle."""
    return f"seg-{number:06d}.jsonl"


class Segments:
    """Running hashes over the flat files."""

    def __init__(self, origin: str) -> None:
        self.origin = origin
        self._number = self._entries = 0
        self._begin("")

    def _begin(self, previous: str) -> None:
        line = first_line(self.origin, self._number, previous)
        self._sha256, self._sha512 = hashlib.sha256(line), hashlib.sha512(line)
        self._entries = 0
        self._waiting: list[bytes] = []  # hashed at once when somebody asks: a third of the time

    def append(self, entry: bytes) -> Segment | None:
        """Add one entry's bytes; the segment, if that filled it."""
        self._waiting.append(entry)
        self._entries += 1
        if self._entries < SPAN:
            return None
        full = self.current()
        self._number += 1
        self._begin(full.sha256)
        return full

    def current(self) -> Segment:
        """The open segment as it stands; it may have no entry yet."""
        if self._waiting:
            lines = b"\n".join((*self._waiting, b""))
            self._sha256.update(lines)
            self._sha512.update(lines)
            self._waiting.clear()
        return Segment(self._number, self._entries, self._sha256.hexdigest(), self._sha512.digest())
