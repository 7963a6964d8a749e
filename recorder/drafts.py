"""What a ledger is given to write: drafts of entries, and jobs of drafts that go together.

A draft has what its entry says; number, time and chain are the ledger's to give. Payloads go beside the entries: there
stands a commitment, which tells nothing of what it commits to, and a payload can be taken out later without a change of
any entry (recorder.tombstones).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from recorder.entry import Entry, Json, commitment
from recorder.errors import EntryError, RecorderError
from recorder.notary import Successor
from recorder.schema import PayloadRow
from recorder.store import Taking

CAUSE_PREVIOUS = "previous"
"""As a draft's cause: the leaf of the draft before it in the same call."""
PAYLOAD_LIMIT = 8 << 20
"""Bytes of one payload. The largest that the daemon has is a command with 1 MiB of code in base64."""
SALT_BYTES = 16
NOTHING = Taking()


@dataclass(frozen=True, slots=True)
class Draft:
    """An entry to be."""

    type: str
    actor: str
    body: Mapping[str, Json]
    session: str = ""
    request: str = ""
    cause: str = ""
    """Leaf (hex) of the entry that this one answers, or CAUSE_PREVIOUS, or empty."""
    payloads: Mapping[str, bytes] = field(default_factory=dict)
    """Bulk and secrets: stored beside the entry; the body gets `name: {"sha256": commitment, "bytes": length,
    "salt": 16}`; the third tells a commitment from another object that has a hash and a size."""


@dataclass(frozen=True, slots=True)
class Job:
    """What the writer thread is given: drafts that go together, and whom to tell."""

    drafts: tuple[Draft, ...]
    done: Callable[[tuple[Entry, ...]], None]
    failed: Callable[[RecorderError], None]
    chunk: tuple[bytes, bytes] | None = None
    """Ciphertext and key that belong to the first draft."""
    seal: bool = False
    """The group ends with it, and the open segment too. Without drafts, only that."""
    taking: Taking = NOTHING
    """What goes with these drafts."""
    successor: Successor | None = None
    """Who signs from the next group on."""
    patient: bool = False
    """Nobody waits for it."""

    @property
    def weight(self) -> int:
        """Bytes beside the entries."""
        bulk = sum(len(data) for draft in self.drafts for data in draft.payloads.values())
        bulk += sum(len(each.data) for each in self.taking.replaced)
        return bulk + (len(self.chunk[0]) if self.chunk else 0)


def with_payloads(draft: Draft, seq: int) -> tuple[dict[str, Json], list[PayloadRow]]:
    """The body of its entry, which gets this number, with a commitment to each payload; and the rows of these. Raises
    EntryError."""
    body, rows = dict(draft.body), []
    for name, data in draft.payloads.items():
        if len(data) > PAYLOAD_LIMIT:
            raise EntryError(f"payload {name} has {len(data)} bytes; the limit is {PAYLOAD_LIMIT}")
        if name in body:
            raise EntryError(f"{name} is a payload and stands in the body too")
        salt = os.urandom(SALT_BYTES)
        body[name] = {"sha256": commitment(salt, data).hex(), "bytes": len(data), "salt": SALT_BYTES}
        rows.append(PayloadRow(seq, name, salt, bytes(data)))
    return body, rows
