"""The signed head of the ledger: C2SP tlog-checkpoint in a C2SP signed-note, and an SSHSIG over the same text. Pure.

    ORIGIN LF SIZE LF base64(ROOT) LF          the text; this is what both signatures cover
    LF
    — ORIGIN base64(key id || signature) LF    signed-note: key id is SHA-256(ORIGIN LF 0x01 PUBLIC KEY)[:4]

The name of the note's key is the origin. The SSHSIG (namespace `checkpoint@agent-bastion`) stands apart, so that stock
`ssh-keygen -Y verify` can check the text without knowing C2SP.

An *anchor* is what a person keeps elsewhere: `SIZE:ROOT`, the root in hex, one word. It binds every entry before SIZE.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from recorder.entry import INTEGER_LIMIT
from recorder.errors import NoteError

NAMESPACE = "checkpoint@agent-bastion"
"""SSHSIG namespace."""
NOTE_LIMIT = 4096
"""Bytes of a note. Ours have about 250; the rest is room for cosignatures of witnesses."""
_ED25519 = b"\x01"
"""Signature type of signed-note for Ed25519."""
_ANCHOR = re.compile(r"(0|[1-9][0-9]{0,15}):([0-9a-f]{64})", re.ASCII)


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What a head says, and the note that says it."""

    origin: str
    size: int
    """Number of entries."""
    root: bytes
    note: str
    """The whole signed note."""
    sshsig: str = ""
    """Armoured SSHSIG over `text`; empty where only the note is at hand."""

    @property
    def text(self) -> bytes:
        """The signed part."""
        return body(self.origin, self.size, self.root)

    @property
    def anchor(self) -> str:
        """`SIZE:ROOT` for `verify --head`."""
        return f"{self.size}:{self.root.hex()}"


def body(origin: str, size: int, root: bytes) -> bytes:
    """The text of a checkpoint (C2SP tlog-checkpoint, without extension lines)."""
    return f"{origin}\n{size}\n{base64.b64encode(root).decode()}\n".encode()


def key_id(origin: str, public: bytes) -> bytes:
    """C2SP signed-note: the first 4 bytes of SHA-256(name LF type public)."""
    return hashlib.sha256(origin.encode() + b"\n" + _ED25519 + public).digest()[:4]


def verifier_key(origin: str, public: bytes) -> str:
    """C2SP signed-note `vkey`: what other implementations of tlog-checkpoint take to check ours."""
    return f"{origin}+{key_id(origin, public).hex()}+{base64.b64encode(_ED25519 + public).decode()}"


def sealed(origin: str, size: int, root: bytes, public: bytes, signature: bytes, sshsig: str = "") -> Checkpoint:
    """A checkpoint from the raw Ed25519 signature over `body(...)`."""
    mark = base64.b64encode(key_id(origin, public) + signature).decode()
    note = body(origin, size, root).decode() + f"\n— {origin} {mark}\n"
    return Checkpoint(origin, size, root, note, sshsig)


def parse(note: str, public: bytes, sshsig: str = "") -> Checkpoint:
    """Read a note and check that the key (32 bytes) signed it under the note's own origin.

    Signatures of others (witnesses) are ignored, as signed-note demands. Raises NoteError.
    """
    found, marks = read(note, sshsig)
    wanted = key_id(found.origin, public)
    for name, raw in marks:
        if name == found.origin and raw[:4] == wanted:
            try:
                Ed25519PublicKey.from_public_bytes(public).verify(raw[4:], found.text)
            except InvalidSignature:
                raise NoteError("its signature is wrong") from None
            return found
    raise NoteError("not signed by the ledger's key")


def read(note: str, sshsig: str = "") -> tuple[Checkpoint, list[tuple[str, bytes]]]:
    """What a note claims, unchecked, and its signatures: name, and key id with signature. Raises NoteError."""
    if len(note) > NOTE_LIMIT:
        raise NoteError("a note of more than 4 KiB")
    text, gap, rest = note.rpartition("\n\n")
    lines = text.split("\n")
    if not gap or not rest.endswith("\n") or len(lines) != 3:
        raise NoteError("not a signed checkpoint")
    origin, size_text, root_text = lines
    if not re.fullmatch(r"0|[1-9][0-9]{0,15}", size_text, re.ASCII) or int(size_text) > INTEGER_LIMIT:
        raise NoteError("its size is no number")
    root = _base64(root_text)
    if len(root) != 32 or not origin or "+" in origin or any(c.isspace() for c in origin):
        raise NoteError("its origin or root is malformed")
    marks = []
    for line in rest[:-1].split("\n"):
        dash, _, tail = line.partition(" ")
        name, _, mark = tail.partition(" ")
        if dash != "—" or not name or not mark:
            raise NoteError("a malformed signature line")
        marks.append((name, _base64(mark)))
    return Checkpoint(origin, int(size_text), root, note, sshsig), marks


def parse_anchor(text: str) -> tuple[int, bytes]:
    """Size and root of an anchor. Raises NoteError."""
    match = _ANCHOR.fullmatch(text.strip())
    if match is None:
        raise NoteError("not an anchor", "SIZE:ROOT, as `ledger head` prints it last")
    return int(match[1]), bytes.fromhex(match[2])


def _base64(text: str) -> bytes:
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise NoteError("not base64") from None
    if base64.b64encode(data).decode() != text:
        raise NoteError("base64 in another form than the usual one")
    return data
