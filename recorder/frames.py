"""Frames of a recording, as values and as bytes. Pure.

A frame is what one direction carried at one time. As bytes, all integers big-endian:

    at_us u64 | kind u8 | length u32 | salt 16 bytes | data

`at_us` counts from the beginning of the recording, not from the frame before, so that a chunk can be read alone. The
salt is inside, because the chunk commits to its frames one by one (`leaf` over salt and the rest): a frame can later
be taken out, with its salt, while the chunk's root still holds and the frame's content cannot be guessed from its hash.
What is left of it is a stub, told by the highest bit of the kind; `length` is that of the data that was there:

    at_us u64 | kind u8 + 128 | length u32 | leaf 32 bytes

Coalescing: bytes of one kind that follow each other within WINDOW_US of the first become one frame, until it has
`limit` bytes. A person cannot see 10 ms, and a shell echoes single bytes. What is larger is cut, never reordered.
"""

from __future__ import annotations

import hashlib
import os
import struct
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from recorder.errors import FrameError

WINDOW_US = 10_000
"""Microseconds within which bytes become one frame."""
TERMINAL_FRAME = 4096
"""Bytes in one frame of a terminal: what one read of a Linux pty gives at most."""
STREAM_FRAME = 32 * 1024
"""Bytes in one frame of a command's streams: the largest SSH packet that every implementation must take (RFC 4253 6.1).
A frame is what is redacted, so it should be small."""
BULK_FRAME = 256 * 1024
"""Bytes in one frame of a bulk stream, where so much comes within WINDOW_US: each frame costs a hash of its own."""
SALT_BYTES = 16

KINDS: Final[tuple[str, ...]] = ("output", "input", "resize", "marker", "exit", "stderr")
"""The number of a kind on disk is its place here: append only."""
STREAMS: Final = frozenset({"output", "input", "stderr"})
"""Kinds whose data is a byte stream, so that neighbours may be joined and split."""
_NUMBER: Final[dict[str, int]] = {kind: number for number, kind in enumerate(KINDS)}
_HEADER: Final = struct.Struct(">QBI")
_OVERHEAD: Final = _HEADER.size + SALT_BYTES
_GONE: Final = 0x80
"""In the kind's byte: a stub."""
_STUB: Final = _HEADER.size + 32
KEPT: Final = frozenset({"resize", "exit"})
"""Kinds that are never redacted: a replay needs them, and a target's program has no say in them but by their size."""


@dataclass(frozen=True, slots=True)
class Frame:
    """What happened at one time."""

    at_us: int
    """Microseconds since the recording began."""
    kind: str
    """One of KINDS. `resize` data is `COLUMNSxROWS`, `marker` UTF-8 text, `exit` the status in digits."""
    data: bytes
    gone: bool = False
    """It was redacted, and `data` says so."""


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
    """Frames and leaf hashes of what `encode` made, or `redact` left. Raises FrameError for anything else."""
    frames: list[Frame] = []
    leaves: list[bytes] = []
    for frame, leaf, _ in _walk(data):
        frames.append(frame)
        leaves.append(leaf)
    return frames, leaves


def redact(data: bytes, numbers: Collection[int]) -> bytes:
    """What `encode` made, with stubs in the place of the frames of these numbers (from 0). Those that are stubs
    already, and those of KEPT, stay as they are. Raises FrameError."""
    parts: list[bytes] = []
    for number, (frame, leaf, raw) in enumerate(_walk(data)):
        if number in numbers and not frame.gone and frame.kind not in KEPT:
            parts += (_HEADER.pack(frame.at_us, _NUMBER[frame.kind] | _GONE, len(frame.data)), leaf)
        else:
            parts.append(raw)
    return b"".join(parts)


def _walk(data: bytes) -> Iterator[tuple[Frame, bytes, bytes]]:
    """Frame, leaf and bytes, one after another. Raises FrameError."""
    at = 0
    while at < len(data):
        if len(data) - at < _OVERHEAD:
            raise FrameError("frames cut short")
        header = data[at : at + _HEADER.size]
        at_us, number, length = _HEADER.unpack(header)
        if number & ~_GONE >= len(KINDS):
            raise FrameError(f"frame kind {number} is not known here")
        end = at + (_STUB if number & _GONE else _OVERHEAD + length)
        if end > len(data):
            raise FrameError("frames cut short")
        if number & _GONE:
            frame = Frame(at_us, KINDS[number & ~_GONE], b"[redacted: %d bytes]" % length, gone=True)
            yield frame, data[at + _HEADER.size : end], data[at:end]
        else:
            salt, body = data[at + _HEADER.size : at + _OVERHEAD], data[at + _OVERHEAD : end]
            yield Frame(at_us, KINDS[number], body), _leaf(header, salt, body), data[at:end]
        at = end


def encoded_size(frames: int, data: int) -> int:
    """Bytes that so many frames with so many bytes of data take."""
    return frames * _OVERHEAD + data


def _leaf(header: bytes, salt: bytes, data: bytes) -> bytes:
    """SHA-256(0x00 || salt || header || data): the salted commitment, with the header inside it."""
    digest = hashlib.sha256(b"\x00" + salt + header)
    digest.update(data)
    return digest.digest()
