"""The body of `add-checkpoint` (C2SP tlog-witness): written by a ledger, read by a witness. Pure.

old SIZE LF  base64(HASH) LF …  LF  CHECKPOINT NOTE
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Sequence
from dataclasses import dataclass

from recorder.checkpoint import NOTE_LIMIT

PROOF_LIMIT = 63
"""Hashes of a consistency proof, as tlog-witness has it."""
BODY_LIMIT = 32 + PROOF_LIMIT * 45 + 4 * NOTE_LIMIT
"""Bytes of a body: a ledger's note is at most NOTE_LIMIT bytes of text, which may be characters of several."""
PATH = "/add-checkpoint"
SIZE_TYPE = "text/x.tlog.size"
"""Content-Type of an answer 409."""

_OLD = re.compile(r"old (0|[1-9][0-9]{0,15})", re.ASCII)


class BodyError(ValueError):
    """The body is not of this form."""


@dataclass(frozen=True, slots=True)
class Submission:
    """What a ledger asks to have cosigned."""

    old_size: int
    proof: tuple[bytes, ...]
    note: str


def encode(old_size: int, proof: Sequence[bytes], note: str) -> bytes:
    """The body."""
    lines = [f"old {old_size}", *(base64.b64encode(each).decode() for each in proof), "", note]
    return "\n".join(lines).encode()


def decode(body: bytes) -> Submission:
    """The submission. Raises BodyError, and nothing else."""
    if len(body) > BODY_LIMIT:
        raise BodyError("too long")
    try:
        text = body.decode()
    except UnicodeDecodeError:
        raise BodyError("not UTF-8") from None
    head, gap, note = text.partition("\n\n")
    first, *lines = head.split("\n")
    old = _OLD.fullmatch(first)
    if old is None or not gap or len(lines) > PROOF_LIMIT:
        raise BodyError("not an old size, a proof and a checkpoint")
    proof = []
    for line in lines:
        try:
            raw = base64.b64decode(line, validate=True)
        except (binascii.Error, ValueError):
            raise BodyError("a line of the proof is not base64") from None
        if len(raw) != 32:
            raise BodyError("a line of the proof is no hash")
        proof.append(raw)
    return Submission(int(old[1]), tuple(proof), note)
