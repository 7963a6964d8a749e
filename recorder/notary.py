"""Who signs: everything that one commit leads to, and only what extends what was signed before.

Theory of operation. A notary is told where the ledger stands (`resume`), and from then on gets the bytes of the entries
of each commit, in order: it is asked first and answers later, so that the disk can work meanwhile. It builds the tree
and the flat files over them itself, and signs the results: it cannot be talked into a root or a file hash that does not
follow from the entries. `Clerk` does it in this process, with a key at hand (`init`, administration without a daemon,
tests); `recorder.signer` has one in a process of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from recorder.checkpoint import Checkpoint
from recorder.entry import leaf_hash
from recorder.keys import LedgerKey
from recorder.merkle import Frontier
from recorder.schema import SegmentRow
from recorder.segments import NAMESPACE, Segment, Segments


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a ledger stands: the tree and the hashes up to its last segment, and that segment's entries."""

    origin: str
    number: int = 0
    """Of the last segment."""
    first: int = 0
    """Of its entries."""
    previous: str = ""
    """SHA-256 (hex) of the segment before it."""
    peaks: tuple[bytes, ...] = ()
    """Of the tree over the entries before `first` (merkle.Frontier)."""
    entries: tuple[bytes, ...] = ()
    """Of the last segment."""
    sealed: bool = False
    """It takes no more entries."""
    head: str = ""
    """The newest signed note; empty for a ledger that is just being made."""


@dataclass(frozen=True, slots=True)
class Sealed:
    """What was signed."""

    head: Checkpoint
    segments: tuple[SegmentRow, ...]
    """Those that the entries have filled, and the open one."""


class Notary(Protocol):
    """One signer of one ledger. The calls raise RecorderError."""

    @property
    def public(self) -> bytes:
        """The key that signs next, 32 bytes."""

    @property
    def extends(self) -> int:
        """Size of the head that the store must extend; 0: any."""

    def resume(self, standing: Standing, proof: Sequence[bytes]) -> None:
        """Go on from there; `proof` is the consistency of its head with `extends`. Once, before `seal`."""

    def ask(self, entries: Sequence[bytes], *, close: bool = False) -> None:
        """Have signed what these entries lead to; with `close` the open segment ends with them. `answer` follows."""

    def answer(self) -> Sealed:
        """What was asked for last, signed; once."""

    def close(self, *, committed: bool = False) -> None:
        """Let go of the key; `committed`: what was signed last is durable in the store. Idempotent."""


class Successor(Notary, Protocol):
    """A notary that is about to sign a ledger which another one signs as yet."""

    def prove(self, origin: str, previous: str) -> tuple[str, str]:
        """Its key's line, and the proof that it wants to be the ledger's next (recorder.keyring)."""


class Clerk:
    """A notary with the key at hand."""

    def __init__(self, key: LedgerKey) -> None:
        self.key = key
        self.tree = Frontier()
        self._flat = Segments("")
        self._asked: tuple[Sequence[bytes], bool] = (), False

    @property
    def public(self) -> bytes:
        """As Notary."""
        return self.key.public

    @property
    def extends(self) -> int:
        """As Notary."""
        return 0

    def resume(self, standing: Standing, proof: Sequence[bytes] = ()) -> None:
        """As Notary. Raises ValueError for a standing that contradicts itself."""
        self.tree = Frontier(standing.first, standing.peaks)
        self._flat = Segments(standing.origin, standing.number, standing.first, standing.previous)
        for data in standing.entries:
            self.tree.append(leaf_hash(data))
            self._flat.append(data)
        if standing.sealed and self._flat.current().entries:
            self._flat.close()

    def ask(self, entries: Sequence[bytes], *, close: bool = False) -> None:
        """As Notary."""
        self._asked = entries, close

    def answer(self) -> Sealed:
        """As Notary."""
        (entries, close), self._asked = self._asked, ((), False)
        return self.seal(entries, close=close)

    def seal(self, entries: Sequence[bytes], *, close: bool = False) -> Sealed:
        """Sign what these entries lead to; with `close` the open segment ends with them."""
        rows = []
        for data in entries:
            self.tree.append(leaf_hash(data))
            full = self._flat.append(data)
            if full is not None:
                rows.append(self._row(full, sealed=True))
        if self._flat.current().entries:
            rows.append(self._row(self._flat.close() if close else self._flat.current(), sealed=close))
        head = self.key.seal(self._flat.origin, self.tree.size, self.tree.root())
        return Sealed(head, tuple(rows))

    def _row(self, segment: Segment, *, sealed: bool) -> SegmentRow:
        armour = self.key.sshsig(segment.sha512, NAMESPACE)
        return SegmentRow(segment.number, segment.entries, int(sealed), segment.sha256, armour)

    def close(self, *, committed: bool = False) -> None:
        """As Notary."""
