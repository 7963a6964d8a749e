"""The chunks of one recording in order, and the key of what is derived from each.

The key for what was made of chunk n is a hash over the keys and entries of all chunks up to n: a screen shows what
came before, so whoever deletes one chunk's key (that is how a recording is shredded) makes everything that was derived
from it, there and later, unreadable with it. A chunk that was written anew, with another key, gives other keys from
there on.
"""

from __future__ import annotations

import hashlib
from bisect import bisect_right
from dataclasses import dataclass

from recorder.entry import Entry
from recorder.errors import StoreDamaged
from recorder.frames import Frame
from recorder.reader import Reader

PURPOSE = b"agent-bastion derived 1"
"""Counts up with every change of what is rendered or how it is kept."""


@dataclass(frozen=True, slots=True)
class Link:
    """One chunk."""

    entry: Entry
    first: int
    """Number of its first frame in the recording."""
    frames: int
    from_us: int
    to_us: int
    size: int
    """Bytes before compression."""
    key: bytes
    """For what is derived from it."""


class Spine:
    """As far as the recording is durable; `refresh` takes what has come since."""

    def __init__(self, session: str) -> None:
        self.session = session
        self.links: list[Link] = []

    def refresh(self, reader: Reader) -> bool:
        """Is there more than before? Raises StoreDamaged or Missing at the chunk that cannot be had."""
        known = len(self.links)
        after = self.links[-1].entry.seq if self.links else -1
        for entry in reader.entries(after, types=("recording.chunk",), session=self.session):
            facts = reader.facts(entry)
            last = self.links[-1] if self.links else None
            if facts.first != (last.first + last.frames if last else 0) or facts.number != len(self.links):
                raise StoreDamaged(f"a chunk is missing before entry {entry.seq}", seq=entry.seq)
            before = last.key if last else hashlib.sha256(b"\x02" + PURPOSE + self.session.encode()).digest()
            key = hashlib.sha256(b"\x03" + before + reader.chunk_key(entry) + bytes.fromhex(entry.leaf)).digest()
            self.links.append(Link(entry, facts.first, facts.frames, facts.from_us, facts.to_us, facts.plain, key))
        return len(self.links) > known

    @property
    def frames(self) -> int:
        """In all."""
        return self.links[-1].first + self.links[-1].frames if self.links else 0

    @property
    def until_us(self) -> int:
        """The time of the last frame."""
        return self.links[-1].to_us if self.links else 0

    def chunk_of(self, frame: int) -> int:
        """Number of the chunk that holds that frame; the last where there is none."""
        return max(0, bisect_right(self.links, frame, key=lambda link: link.first) - 1)

    def chunk_at(self, at_us: int) -> int:
        """Number of the last chunk that begins by then."""
        return max(0, bisect_right(self.links, at_us, key=lambda link: link.from_us) - 1)

    def read(self, reader: Reader, number: int) -> list[Frame]:
        """The frames of a chunk, checked. Raises StoreDamaged or Missing."""
        return reader.chunk(self.links[number].entry)
