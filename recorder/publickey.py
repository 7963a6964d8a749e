"""Ed25519 public keys as lines of text. Pure."""

from __future__ import annotations

import base64

from recorder import sshsig
from recorder.errors import KeyFileError


def public_line(public: bytes) -> str:
    """`ssh-ed25519 base64` of 32 raw bytes."""
    return f"ssh-ed25519 {base64.b64encode(sshsig.ed25519_blob(public)).decode()}"


def public_bytes(line: str) -> bytes:
    """The 32 raw bytes of an `ssh-ed25519` line. Raises KeyFileError."""
    try:
        blob = sshsig.key_blob(line)
    except sshsig.SignatureError as error:
        raise KeyFileError(str(error)) from None
    if blob[:-32] != sshsig.ed25519_blob(bytes(32))[:-32] or len(blob) != 51:
        raise KeyFileError("not an Ed25519 public key")
    return blob[-32:]
