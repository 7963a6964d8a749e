"""The ledger as clients ask for it: its head, proofs that it was only extended, its lines. Pure."""

from __future__ import annotations

import msgspec

from bastion.control.wire.base import Call


class LedgerLine(msgspec.Struct, frozen=True, kw_only=True):
    """One entry of the ledger as stored."""

    seq: int
    leaf: str
    entry: bytes
    """The canonical JSON bytes."""


class RotationProof(msgspec.Struct, frozen=True, kw_only=True):
    """One change of the ledger's key: recorder.proof.RotationProof."""

    entry: bytes
    checkpoint: str
    inclusion: list[bytes]
    consistency: list[bytes]


class HeadProof(msgspec.Struct, frozen=True, kw_only=True):
    """That a head extends an earlier one: recorder.proof.Proof. The client checks it and believes nothing else."""

    checkpoint: str
    genesis: bytes
    genesis_inclusion: list[bytes]
    rotations: list[RotationProof]
    consistency: list[bytes]


class LedgerHead(Call, frozen=True, kw_only=True, tag="ledger-head"):
    """-> str: the signed checkpoint, a C2SP note."""


class ProveHead(Call, frozen=True, kw_only=True, tag="prove-head"):
    """-> HeadProof: that the newest head extends the one of `size` entries; 0 when there is none to extend."""

    size: int = 0


class ListLedger(Call, frozen=True, kw_only=True, tag="list-ledger"):
    """-> list[LedgerLine] with seq > after, at most `limit` (and at most 1,000).

    Entries are sent as they are; whoever shows them covers what looks like a secret. `reveal`: it will not be covered,
    of one entry, which an entry notes.
    """

    after: int = -1
    limit: int = 200
    reveal: bool = False
