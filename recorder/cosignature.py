"""Cosignatures of witnesses over a checkpoint: C2SP tlog-cosignature v1 (Ed25519) and verifier keys. Pure.

    — NAME base64(key id || timestamp || signature) LF      key id is SHA-256(NAME LF 0x04 PUBLIC KEY)[:4]

What is signed: `cosignature/v1`, `time SECONDS`, then the text of the checkpoint. A witness is known by its verifier
key `NAME+KEY ID+base64(0x04 || PUBLIC KEY)`. What a cosignature says: at that time this was the largest head of that
origin that the witness had seen, and it extends all that it saw before.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from recorder.checkpoint import Checkpoint
from recorder.errors import NoteError

_TYPE = b"\x04"
NAME = re.compile(r"[!-*,-~]{1,100}", re.ASCII)
"""Names of witnesses here: printable ASCII without space and plus (signed-note allows more)."""
LINES_LIMIT = 16
"""Lines read of one answer: signed-note's minimum."""


@dataclass(frozen=True, slots=True)
class Witness:
    """Who is trusted to cosign."""

    name: str
    public: bytes
    """32 bytes."""

    @property
    def key_id(self) -> bytes:
        """4 bytes."""
        return hashlib.sha256(self.name.encode() + b"\n" + _TYPE + self.public).digest()[:4]

    @property
    def verifier_key(self) -> str:
        """What others are told: signed-note's vkey."""
        return f"{self.name}+{self.key_id.hex()}+{base64.b64encode(_TYPE + self.public).decode()}"


def parse_verifier_key(text: str) -> Witness:
    """The witness that a vkey names. Raises NoteError."""
    name, _, rest = text.strip().partition("+")
    mark, _, key = rest.partition("+")
    try:
        raw = base64.b64decode(key, validate=True)
    except (binascii.Error, ValueError):
        raw = b""
    if not NAME.fullmatch(name) or raw[:1] != _TYPE or len(raw) != 33:
        raise NoteError("not the key of a witness", "NAME+8 hex digits+base64, as `bastion witness init` prints it")
    found = Witness(name, raw[1:])
    if found.key_id.hex() != mark or found.verifier_key != text.strip():
        raise NoteError("the key of the witness is misspelt: its name, number and key do not fit")
    return found


def message(checkpoint_text: bytes, seconds: int) -> bytes:
    """What a witness signs."""
    return b"cosignature/v1\ntime %d\n%s" % (seconds, checkpoint_text)


def cosign(witness: Witness, sign: Callable[[bytes], bytes], checkpoint_text: bytes, seconds: int) -> str:
    """The signature line, with its line feed."""
    raw = witness.key_id + seconds.to_bytes(8, "big") + sign(message(checkpoint_text, seconds))
    return f"— {witness.name} {base64.b64encode(raw).decode()}\n"


def verify(lines: str, head: Checkpoint, witness: Witness) -> tuple[str, int]:
    """The line of this witness over that head, and its time (seconds since the epoch). Raises NoteError.

    Lines of others are ignored, as signed-note demands.
    """
    for line in lines.split("\n")[:LINES_LIMIT]:
        dash, name, mark, *more = [*line.split(" "), "", "", ""]
        if dash != "—" or name != witness.name or any(more):
            continue
        try:
            raw = base64.b64decode(mark, validate=True)
        except (binascii.Error, ValueError):
            continue
        if raw[:4] != witness.key_id or len(raw) != 76:
            continue
        seconds = int.from_bytes(raw[4:12], "big")
        try:
            Ed25519PublicKey.from_public_bytes(witness.public).verify(raw[12:], message(head.text, seconds))
        except InvalidSignature:
            raise NoteError(f"the cosignature of {witness.name} is wrong") from None
        if seconds >= 1 << 63:
            raise NoteError(f"the cosignature of {witness.name} has no time")
        return line + "\n", seconds
    raise NoteError(f"not cosigned by {witness.name}")
