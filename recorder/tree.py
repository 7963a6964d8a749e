"""Proofs out of a tree that is on disk, in O(log n) and little memory. Pure, but for what `leaves` reads.

Theory of operation. Subtrees of TILE leaves are perfect and never change again once they are full: their roots, and
those of all perfect trees above, are kept (64 bytes for every TILE leaves, 250 KiB for a million). What a proof needs
below them is hashed from the leaves when it is asked for: at most two tiles of them. The first proof after a start
reads every leaf once; after that only what is new.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from recorder import merkle
from recorder.merkle import node_hash

TILE = 256
"""Leaves in a tile, as in C2SP tlog-tiles."""
_HEIGHT = 8
"""log2 of TILE."""

Leaves = Callable[[int, int], Iterable[bytes]]
"""Leaf hashes from the first number up to, and without, the second."""


class Tree:
    """What is known of a tree that only grows."""

    def __init__(self, leaves: Leaves) -> None:
        self._leaves = leaves
        self._levels: list[list[bytes]] = [[]]
        """Roots of the full tiles, then of the perfect trees over two of them, and so on."""

    def inclusion(self, index: int, size: int) -> list[bytes]:
        """That the tree of `size` leaves has the one at `index`. Raises IndexError, and what `leaves` raises."""
        self._grow(size)
        return merkle.inclusion_path(self._span, index, size)

    def consistency(self, old_size: int, size: int) -> list[bytes]:
        """That the tree of `old_size` leaves is a prefix of that of `size`. Raises IndexError."""
        self._grow(size)
        return merkle.consistency_path(self._span, old_size, size)

    def root(self, size: int) -> bytes:
        """Root over the first `size` leaves."""
        self._grow(size)
        return self._span(0, size) if size else merkle.EMPTY_ROOT

    def _grow(self, size: int) -> None:
        """Know every full tile of a tree of that size. If reading fails, what is known so far stays."""
        known = len(self._levels[0])
        for tile in range(known, size // TILE):
            hashes = list(self._leaves(tile * TILE, (tile + 1) * TILE))
            if len(hashes) != TILE:
                raise IndexError("the tree has fewer leaves")
            self._add(merkle.root(hashes))

    def _add(self, tile: bytes) -> None:
        self._levels[0].append(tile)
        for height, level in enumerate(self._levels):
            if len(level) & 1:
                return
            if height + 1 == len(self._levels):
                self._levels.append([])
            self._levels[height + 1].append(node_hash(level[-2], level[-1]))

    def _span(self, first: int, end: int) -> bytes:
        """Root of leaves [first, end): a perfect tree, or the ragged right edge of one."""
        count = end - first
        if count <= TILE:
            hashes = list(self._leaves(first, end))
            if len(hashes) != count:
                raise IndexError("the tree has fewer leaves")
            return merkle.root(hashes)
        if count & (count - 1) == 0 and first % count == 0:
            height = count.bit_length() - 1
            return self._levels[height - _HEIGHT][first >> height]
        at = first + (1 << (count - 1).bit_length() - 1)
        return node_hash(self._span(first, at), self._span(at, end))
