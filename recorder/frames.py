"""Frames of a recording, as values and as bytes. Pure.

A frame is what one direction carried at one time. As bytes, all integers big-endian:

    at_us u64 | kind u8 | length u32 | salt 16 bytes | data

`at_us` counts from the beginning of the recording, not from the frame before, so that a chunk can be read alone. The
salt is inside, because the chunk commits to its frames one by one (`leaf` over salt and the rest): a frame can later
be taken out, with its salt, while the chunk's root still holds and the frame's content cannot be guessed from its hash.

Coalescing: bytes of one kind that follow each other within WINDOW_US of the first become one frame, until it has
`limit` bytes. A person cannot see 10 ms, and a shell echoes single bytes. What is larger is cut, never reordered.
"""

from __future__ import annotations

import hashlib
import os
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from recorder.errors import FrameError

WINDOW_US = 10_000
"""Microseconds within which bytes become one frame."""
TERMINAL_FRAME = 4096
"""Bytes in one frame of a terminal: what one read of a Linux pty gives at most."""
BULK_FRAME = 32 * 1024
"""Bytes in one frame of a bulk stream: the largest SSH packet that every implementation must take (RFC 4253 6.1)."""
SALT_BYTES = 16

KINDS: Final[tuple[str, ...]] = ("output", "input", "resize", "marker", "exit", "stderr")
"""The number of a kind on disk is its place here: append only."""
STREAMS: Final = frozenset({"output", "input", "stderr"})
"""Kinds whose data is a byte stream, so that neighbours may be joined and split."""
_NUMBER: Final[dict[str, int]] = {kind: number for number, kind in enumerate(KINDS)}
_HEADER: Final = struct.Struct(">QBI")
_OVERHEAD: Final = _HEADER.size + SALT_BYTES


@dataclass(frozen=True, slots=True)
class Frame:
    """What happened at one time."""

    at_us: int
    """Microseconds since the recording began."""
    kind: str
    """One of KINDS. `resize` data is `COLUMNSxROWS`, `marker` UTF-8 text, `exit` the status in digits."""
    data: bytes


def coalesce(frames: Iterable[Frame], limit: int) -> Iterator[Frame]:
    """Join and cut stream frames to at most `limit` bytes; others pass as they are. Loses and reorders nothing."""
    held: list[bytes] = []
    size = start = 0
    kind = ""
    for frame in frames:
        joins = frame.kind == kind and frame.at_us - start <= WINDOW_US and size + len(frame.data) <= limit
        if held and not joins:
            yield Frame(start, kind, b"".join(held))
            held, size = [], 0
        if frame.kind not in STREAMS:
            yield frame
            kind = ""
        elif len(frame.data) > limit:
            for at in range(0, len(frame.data), limit):
                yield Frame(frame.at_us, frame.kind, frame.data[at : at + limit])
        elif frame.data:
            if not held:
                kind, start = frame.kind, frame.at_us
            held.append(frame.data)
            size += len(frame.data)
    if held:
        yield Frame(start, kind, b"".join(held))


def encode(frames: Iterable[Frame]) -> tuple[bytes, list[bytes]]:
    """The frames as bytes, each with a fresh salt, and the leaf hash of each."""
    parts: list[bytes] = []
    leaves: list[bytes] = []
    for frame in frames:
        header = _HEADER.pack(frame.at_us, _NUMBER[frame.kind], len(frame.data))
        salt = os.urandom(SALT_BYTES)
        parts += (header, salt, frame.data)
        leaves.append(_leaf(header, salt, frame.data))
    return b"".join(parts), leaves


def decode(data: bytes) -> tuple[list[Frame], list[bytes]]:
    """Frames and leaf hashes of what `encode` made. Raises FrameError for anything else."""
    frames: list[Frame] = []
    leaves: list[bytes] = []
    at = 0
    while at < len(data):
        if len(data) - at < _OVERHEAD:
            raise FrameError("frames cut short")
        header = data[at : at + _HEADER.size]
        at_us, number, length = _HEADER.unpack(header)
        if number >= len(KINDS):
            raise FrameError(f"frame kind {number} is not known here")
        if len(data) - at - _OVERHEAD < length:
            raise FrameError("frames cut short")
        salt = data[at + _HEADER.size : at + _OVERHEAD]
        body = data[at + _OVERHEAD : at + _OVERHEAD + length]
        frames.append(Frame(at_us, KINDS[number], body))
        leaves.append(_leaf(header, salt, body))
        at += _OVERHEAD + length
    return frames, leaves


def encoded_size(frames: int, data: int) -> int:
    """Bytes that so many frames with so many bytes of data take."""
    return frames * _OVERHEAD + data


def _leaf(header: bytes, salt: bytes, data: bytes) -> bytes:
    """SHA-256(0x00 || salt || header || data): the salted commitment, with the header inside it."""
    digest = hashlib.sha256(b"\x00" + salt + header)
    digest.update(data)
    return digest.digest()
