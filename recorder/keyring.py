"""Which key signs a ledger at which size. Pure.

The first key stands in entry 0. A new one is announced by an entry `key.rotated`, and the head that ends with this
entry is the last that the old key signs: from the next size on only the new key counts. So every key is bound to its
range of sizes, and a key that is stolen later cannot speak of earlier entries, nor an old one of later entries.

    {"log_key": NEW, "previous": OLD, "proof": SSHSIG}      both as `ssh-ed25519 base64`

The proof is an SSHSIG of the new key, namespace `rotation@agent-bastion`, over canonical JSON of log_key, origin and
previous: nobody can be named as a ledger's key who does not want it. The entry is the last of its segment, so that
tools that know segments only (`verify.sh`) can change keys at the same place.

Not protected: whoever has a key that is in force can announce another one. Only an anchor from before tells.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from recorder import sshsig
from recorder.errors import KeyFileError
from recorder.publickey import public_bytes

NAMESPACE = "rotation@agent-bastion"
TYPE = "key.rotated"
MARK = b'"type":"key.rotated","v":1}'
"""How the bytes of such an entry end, and those of no other: canonical JSON has no text behind these fields."""


class RotationError(ValueError):
    """The entry announces no key."""


def statement(origin: str, previous: str, log_key: str) -> bytes:
    """What the new key signs."""
    fields = {"log_key": log_key, "origin": origin, "previous": previous}
    return json.dumps(fields, sort_keys=True, separators=(",", ":")).encode()


class Keyring:
    """The keys of one ledger, as far as its entries were read."""

    def __init__(self, first: bytes) -> None:
        self._from: list[tuple[int, bytes]] = [(0, first)]

    def __contains__(self, public: object) -> bool:
        return any(public == key for _, key in self._from)

    @property
    def current(self) -> bytes:
        """The key that signs next, 32 bytes."""
        return self._from[-1][1]

    @property
    def rotations(self) -> list[int]:
        """Sizes of the heads that end with the announcement of a key."""
        return [size - 1 for size, _ in self._from[1:]]

    def at(self, size: int) -> bytes:
        """The key that signs a head of that size."""
        return next(key for first, key in reversed(self._from) if first <= size)

    def rotate(self, seq: int, origin: str, body: Mapping[str, Any]) -> None:
        """Take the entry `seq`, which is a `key.rotated`. Raises RotationError."""
        log_key, previous, proof = (body.get(name) for name in ("log_key", "previous", "proof"))
        if not (isinstance(log_key, str) and isinstance(previous, str) and isinstance(proof, str)):
            raise RotationError("a change of keys without keys or proof")
        try:
            new, old = public_bytes(log_key), public_bytes(previous)
            signer = sshsig.verify(proof, statement(origin, previous, log_key), NAMESPACE)
        except (KeyFileError, sshsig.SignatureError) as error:
            raise RotationError(f"the change of keys: {error}") from None
        if signer != sshsig.ed25519_blob(new):
            raise RotationError("the new key does not prove itself")
        if old != self.current:
            raise RotationError("a change of keys that does not begin with the key in force")
        if new in self:
            raise RotationError("a key is never used twice")
        self._from.append((seq + 2, new))
