"""One chunk of a recording: frames to ciphertext and back. Pure, but for the random key and salts.

    frames -> bytes (recorder.frames) -> zstd level 3 -> AES-256-GCM under a key of the chunk's own

What the `recording.chunk` entry says about it (`Facts`) is enough to check the ciphertext without the key and the
frames with it. The key is used once, so the nonce is constant; it lies in the database and not in the pack: deleting
it shreds the chunk wherever the pack was copied to. The associated data binds the ledger, the session and the chunk's
number, so ciphertext moved elsewhere does not decrypt there.

A chunk from which frames were taken is encrypted anew, under another key; the entry that says so (recorder.tombstones)
has the sizes and the hash of the new ciphertext, and all else still has to give the facts of the first entry.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import zstandard
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from recorder import frames as codec
from recorder import merkle
from recorder.errors import FrameError
from recorder.frames import Frame

PLAIN_LIMIT = 8 << 20
"""Bytes of one chunk before compression: 1 MiB of data is where it closes, and single bytes weigh 30."""
LEVEL = 3
_NONCE = bytes(12)
_HASH = re.compile("[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Facts:
    """The body of a `recording.chunk` entry."""

    number: int
    """Counts the chunks of the session from 0."""
    first: int
    """Number of its first frame within the session."""
    frames: int
    from_us: int
    to_us: int
    """Times of the first and last frame."""
    plain: int
    """Bytes before compression."""
    length: int
    """Bytes of ciphertext."""
    sha256: str
    """Of the ciphertext."""
    root: str
    """RFC 6962 root over the salted leaves of the frames."""

    def body(self) -> dict[str, Any]:
        """As it stands in the entry."""
        return {name: getattr(self, name) for name in Facts.__slots__}


def facts_of(body: Mapping[str, Any]) -> Facts:
    """The facts that an entry's body states. Raises FrameError."""
    try:
        facts = Facts(**{field.name: body[field.name] for field in fields(Facts)})
    except KeyError as error:
        raise FrameError(f"the entry lacks {error}") from None
    numbers = (facts.number, facts.first, facts.frames, facts.from_us, facts.to_us, facts.plain, facts.length)
    if not all(type(value) is int and value >= 0 for value in numbers):
        raise FrameError("the entry's numbers make no sense")
    hashes = (facts.sha256, facts.root)
    if not all(type(value) is str and _HASH.fullmatch(value) for value in hashes) or facts.plain > PLAIN_LIMIT:
        raise FrameError("the entry's hashes or sizes make no sense")
    return facts


def seal(
    frames: Sequence[Frame], *, origin: str, session: str, number: int, first: int, compressor: Any
) -> tuple[Facts, bytes, bytes]:
    """Facts, ciphertext and key of these frames; `compressor` is a `zstandard.ZstdCompressor`."""
    plain, leaves = codec.encode(frames)
    key = os.urandom(32)
    cipher = AESGCM(key).encrypt(_NONCE, compressor.compress(plain), _context(origin, session, number))
    facts = Facts(
        number=number,
        first=first,
        frames=len(frames),
        from_us=frames[0].at_us,
        to_us=frames[-1].at_us,
        plain=len(plain),
        length=len(cipher),
        sha256=hashlib.sha256(cipher).hexdigest(),
        root=merkle.root(leaves).hex(),
    )
    return facts, cipher, key


def chain(before: bytes, digest: str) -> bytes:
    """A hash (hex) chained behind those of the chunks before; the first has nothing before it."""
    return hashlib.sha256(before + bytes.fromhex(digest)).digest()


def check_cipher(facts: Facts, cipher: bytes) -> None:
    """Is this the ciphertext that the entry commits to? Raises FrameError."""
    if len(cipher) != facts.length or hashlib.sha256(cipher).hexdigest() != facts.sha256:
        raise FrameError("the ciphertext is not the one that was signed")


def unseal(
    facts: Facts, cipher: bytes, key: bytes, *, origin: str, session: str, gone: frozenset[int] = frozenset()
) -> list[Frame]:
    """The frames, checked against everything that the facts say. Raises FrameError.

    `gone`: which of them, counted from 0, are stubs, but for those of kinds that stay; no others may be.
    """
    plain = _opened(facts, cipher, key, origin, session)
    frames, leaves = codec.decode(plain)
    if len(plain) != facts.plain or len(frames) != facts.frames or merkle.root(leaves).hex() != facts.root:
        raise FrameError("its frames are not those that were signed")
    if not frames or frames[0].at_us != facts.from_us or frames[-1].at_us != facts.to_us:
        raise FrameError("its times are not those that were signed")
    if any(frame.gone is not (number in gone and frame.kind not in codec.KEPT) for number, frame in enumerate(frames)):
        raise FrameError("other frames are missing from it than were redacted")
    return frames


def reseal(
    facts: Facts, cipher: bytes, key: bytes, numbers: Collection[int], *, origin: str, session: str
) -> tuple[Facts, bytes, bytes]:
    """The same chunk without these frames (counted from 0): its facts now, ciphertext and key. Raises FrameError."""
    plain = codec.redact(_opened(facts, cipher, key, origin, session), numbers)
    new = os.urandom(32)
    packed = zstandard.ZstdCompressor(level=LEVEL).compress(plain)
    sealed = AESGCM(new).encrypt(_NONCE, packed, _context(origin, session, facts.number))
    sha256 = hashlib.sha256(sealed).hexdigest()
    return replace(facts, plain=len(plain), length=len(sealed), sha256=sha256), sealed, new


def _opened(facts: Facts, cipher: bytes, key: bytes, origin: str, session: str) -> bytes:
    check_cipher(facts, cipher)
    try:
        packed = AESGCM(key).decrypt(_NONCE, cipher, _context(origin, session, facts.number))
        if zstandard.frame_content_size(packed) != facts.plain:  # which is bounded; a larger one would be allocated
            raise FrameError("it does not decompress to the size that was signed")
        return zstandard.ZstdDecompressor().decompress(packed)
    except (InvalidTag, ValueError):
        raise FrameError("it does not decrypt as this chunk of this session") from None
    except (zstandard.ZstdError, MemoryError):
        raise FrameError("it does not decompress") from None


def _context(origin: str, session: str, number: int) -> bytes:
    """Associated data. Neither an origin nor a session has a line feed in it."""
    return f"agent-bastion chunk 1\n{origin}\n{session}\n{number}".encode()
