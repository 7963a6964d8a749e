"""The ledger as flat files, `seg-NNNNNN.jsonl`, that stock tools can walk. Pure.

A segment ends with its SPANth entry, at the latest an hour after its first one (the writer sees to that), and with an
entry that announces a new log key. Its first line names the segment before it by the SHA-256 of that whole file; then
come the entries, one a line, exactly their bytes:

    {"first":1024,"origin":"bastion.example/9c41ab12","previous":"…","segment":1,"v":1}
    {"actor":…
    …

Each has a detached SSHSIG by the ledger's key over the file, namespace `segment@agent-bastion`: one when it is sealed,
and one for the last, still open segment with every commit. So the signature of the last file and `sha256sum` bind the
whole history, without knowing RFC 6962, and nothing need be signed when a bundle is exported.

SSHSIG signs a hash of the message, so a running hash is all that the signer keeps.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass

SPAN = 1024
"""Entries in a segment, at most."""
NAMESPACE = "segment@agent-bastion"


@dataclass(frozen=True, slots=True)
class Segment:
    """A segment file as of some entry."""

    number: int
    first: int
    """Number of its first entry."""
    entries: int
    sha256: str
    """Of the file, hex: what the next one's first line names."""
    sha512: bytes
    """Of the file: what its SSHSIG signs."""

    @property
    def end(self) -> int:
        """Number of the entry behind its last one: the size of the tree that it ends with."""
        return self.first + self.entries


def first_line(origin: str, number: int, first: int, previous: str) -> bytes:
    """The line in front of the entries, with its line feed; canonical JSON. `previous` is empty in segment 0."""
    fields = {"first": first, "origin": origin, "previous": previous, "segment": number, "v": 1}
    return json.dumps(fields, sort_keys=True, separators=(",", ":")).encode() + b"\n"


def file_name(number: int) -> str:
    """Of that segment."""
    return f"seg-{number:06d}.jsonl"


class Segments:
    """Running hashes over the flat files, from the beginning of one on."""

    def __init__(self, origin: str, number: int = 0, first: int = 0, previous: str = "") -> None:
        self.origin = origin
        self._begin(number, first, previous)

    def _begin(self, number: int, first: int, previous: str) -> None:
        line = first_line(self.origin, number, first, previous)
        self._sha256, self._sha512 = hashlib.sha256(line), hashlib.sha512(line)
        self._number, self._first, self._entries = number, first, 0
        self.previous = previous
        """SHA-256 (hex) of the segment before the open one."""
        self._waiting: list[bytes] = []  # hashed at once when somebody asks: a third of the time

    def append(self, entry: bytes) -> Segment | None:
        """Add one entry's bytes; the segment, if that filled it."""
        self._waiting.append(entry)
        self._entries += 1
        return self.close() if self._entries == SPAN else None

    def fill(self, entries: list[bytes]) -> Segment:
        """Add these, of which there is at least one, and end the segment; as `append` and `close`, in one go."""
        self._waiting += entries
        self._entries += len(entries)
        return self.close()

    def close(self) -> Segment:
        """End the open segment, which has entries; the next entry begins another."""
        done = self.current()
        self._begin(done.number + 1, done.end, done.sha256)
        return done

    def current(self) -> Segment:
        """The open segment as it stands; it may have no entry yet."""
        if self._waiting:
            lines = b"\n".join((*self._waiting, b""))
            self._sha256.update(lines)
            self._sha512.update(lines)
            self._waiting.clear()
        return Segment(self._number, self._first, self._entries, self._sha256.hexdigest(), self._sha512.digest())
