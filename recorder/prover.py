"""Proofs out of a store, for recorder.proof and for witnesses. Reads only; may be used from several threads."""

from __future__ import annotations

import threading
from collections.abc import Iterable

from recorder.checkpoint import Checkpoint
from recorder.errors import StoreDamaged
from recorder.proof import Proof, RotationProof
from recorder.reader import Reader
from recorder.tree import Tree


class Prover:
    """Of one store. The first proof after a start reads every leaf; see recorder.tree."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._tree = Tree(self._leaves)
        self._guard = threading.Lock()

    def _leaves(self, first: int, end: int) -> Iterable[bytes]:
        return self._reader.leaves(first, end)

    def consistency(self, old_size: int, size: int) -> list[bytes]:
        """That the first `old_size` of `size` entries are a prefix; empty for nothing. Raises StoreDamaged."""
        if not 0 < old_size < size:
            return []
        with self._guard:
            try:
                return self._tree.consistency(old_size, size)
            except IndexError:
                raise StoreDamaged("entries are missing from the store") from None

    def head(self, old_size: int) -> Proof:
        """The newest head, and that the one of `old_size` was a prefix. Raises StoreDamaged."""
        reader = self._reader
        head = reader.checkpoint()
        with self._guard:
            try:
                inclusion = self._tree.inclusion(0, head.size)
            except IndexError:
                raise StoreDamaged("entries are missing from the store") from None
        rotations = [self._rotation(seq, head) for seq in reader.rotations(head.size)]
        consistency = self.consistency(old_size, head.size)
        return Proof(head.note, reader.entry(0).bytes, inclusion, rotations, consistency)

    def _rotation(self, seq: int, head: Checkpoint) -> RotationProof:
        note = next((note for size, note, _ in self._reader.checkpoints() if size == seq + 1), None)
        if note is None:
            raise StoreDamaged("the last head of a key is missing", seq=seq)
        with self._guard:
            inclusion = self._tree.inclusion(seq, seq + 1)
        return RotationProof(self._reader.entry(seq).bytes, note, inclusion, self.consistency(seq + 1, head.size))
