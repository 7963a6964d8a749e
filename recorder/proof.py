"""That a ledger only grew since its last contact: what a bastion answers, and what a client makes of it. Pure.

A client keeps a Pin: the head that it saw last. On each contact it asks for a HeadProof from that size on, and goes on
only if everything holds: entry 0 is the one that the origin names and stands in the tree; each change of keys was
announced under the key before; the head is signed by the key in force; the pinned head is a prefix of it.

Not protected: the first contact, which takes what it is shown (compare the anchor with another one); and a bastion that
stands still and shows an old head to one client only. A witness is for that.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from recorder import checkpoint, strict
from recorder.checkpoint import Checkpoint
from recorder.entry import leaf_hash, origin_of
from recorder.errors import KeyFileError, NoteError
from recorder.keyring import TYPE, Keyring, RotationError
from recorder.merkle import check_consistency, check_inclusion
from recorder.publickey import public_bytes


class ProofError(ValueError):
    """The proof does not hold; the text says what of it."""


@dataclass(frozen=True, slots=True)
class Pin:
    """The last head that was seen of one ledger."""

    origin: str
    size: int
    root: bytes
    genesis: bytes
    """Leaf of entry 0: the origin has only its first 4 bytes."""

    @property
    def anchor(self) -> str:
        """`SIZE:ROOT`."""
        return f"{self.size}:{self.root.hex()}"


class Rotation(Protocol):
    """One change of keys; recorder.proof.RotationProof and bastion.control.wire.RotationProof have these fields."""

    @property
    def entry(self) -> bytes: ...
    @property
    def checkpoint(self) -> str: ...
    @property
    def inclusion(self) -> Sequence[bytes]: ...
    @property
    def consistency(self) -> Sequence[bytes]: ...


class HeadProof(Protocol):
    """What a bastion answers; see RotationProof and Proof for the fields."""

    @property
    def checkpoint(self) -> str: ...
    @property
    def genesis(self) -> bytes: ...
    @property
    def genesis_inclusion(self) -> Sequence[bytes]: ...
    @property
    def rotations(self) -> Sequence[Rotation]: ...
    @property
    def consistency(self) -> Sequence[bytes]: ...


@dataclass(frozen=True, slots=True)
class RotationProof:
    """One change of keys."""

    entry: bytes
    checkpoint: str
    """The head that ends with that entry, a note by the key before."""
    inclusion: list[bytes]
    """Of the entry in that head."""
    consistency: list[bytes]
    """From that head to the one that is proved."""


@dataclass(frozen=True, slots=True)
class Proof:
    """That a head follows from an earlier one."""

    checkpoint: str
    """The newest head, a note."""
    genesis: bytes
    """Entry 0."""
    genesis_inclusion: list[bytes]
    rotations: list[RotationProof]
    """All of them, in order."""
    consistency: list[bytes]
    """From the size that was asked for; empty for size 0."""


def check(proof: HeadProof, pinned: Pin | None) -> tuple[Checkpoint, Keyring, Pin]:
    """The head that is proved, the ledger's keys, and the pin for the next time. Raises ProofError."""
    try:
        claimed, _ = checkpoint.read(proof.checkpoint)
        first = strict.parse(proof.genesis)
        keys = Keyring(public_bytes(str(first.body.get("log_key"))))
        leaf = leaf_hash(proof.genesis)
        if first.seq or first.type != "store.created" or claimed.origin != origin_of(first.origin, leaf.hex()):
            raise ProofError("the head is not of the ledger that entry 0 begins")
        if pinned is not None and (pinned.origin, pinned.genesis) != (claimed.origin, leaf):
            raise ProofError("it is another ledger")
        for each in proof.rotations:
            _rotate(each, keys, claimed)
        head = checkpoint.parse(proof.checkpoint, keys.at(claimed.size))
    except (NoteError, KeyFileError) as error:
        raise ProofError(error.message) from None
    except (strict.NotCanonical, RotationError) as error:
        raise ProofError(str(error)) from None
    if not check_inclusion(leaf, 0, head.size, list(proof.genesis_inclusion), head.root):
        raise ProofError("entry 0 is not in the tree")
    if pinned is not None:
        _extends(proof, pinned, head)
    return head, keys, Pin(head.origin, head.size, head.root, leaf)


def _extends(proof: HeadProof, pinned: Pin, head: Checkpoint) -> None:
    if head.size < pinned.size:
        raise ProofError(f"it shows {head.size} entries and had {pinned.size} before: it was put back")
    if not check_consistency(pinned.size, pinned.root, head.size, head.root, list(proof.consistency)):
        raise ProofError(f"its first {pinned.size} entries are not those that it had before")


def _rotate(step: Rotation, keys: Keyring, head: Checkpoint) -> None:
    claimed, _ = checkpoint.read(step.checkpoint)
    if claimed.size <= max(keys.rotations, default=0) or claimed.size > head.size or claimed.origin != head.origin:
        raise ProofError("a change of keys out of its place")
    turn = checkpoint.parse(step.checkpoint, keys.at(claimed.size))
    row = strict.parse(step.entry)
    if row.type != TYPE or row.seq != turn.size - 1 or row.origin != head.origin:
        raise ProofError("a change of keys that its entry does not announce")
    if not check_inclusion(leaf_hash(step.entry), row.seq, turn.size, list(step.inclusion), turn.root):
        raise ProofError("a change of keys that is not in the tree")
    if not check_consistency(turn.size, turn.root, head.size, head.root, list(step.consistency)):
        raise ProofError("a change of keys that is of another history")
    keys.rotate(row.seq, row.origin, row.body)
