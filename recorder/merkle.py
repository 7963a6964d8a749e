"""The Merkle tree of RFC 6962 section 2.1 (RFC 9162 section 2.1) over leaf hashes. Pure.

Theory of operation. A tree of n leaves is split at the largest power of two below n. So its left parts are perfect
trees, one for each bit of n; their roots, largest first, are the *frontier*. Adding a leaf merges equal sizes, as
binary addition carries. The root folds the frontier from the right. Both cost O(log n), and n hashes in all.

    leaf  SHA-256(0x00 || entry)          node  SHA-256(0x01 || left || right)          empty tree  SHA-256()
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence

EMPTY_ROOT = hashlib.sha256().digest()
"""Root of a tree without leaves (RFC 6962 section 2.1)."""


def node_hash(left: bytes, right: bytes) -> bytes:
    """Hash of an inner node."""
    return hashlib.sha256(b"\x01" + left + right).digest()


class Frontier:
    """A tree that only grows; keeps O(log n) hashes."""

    __slots__ = ("_peaks", "size")

    def __init__(self, size: int = 0, peaks: Iterable[bytes] = ()) -> None:
        self.size = size
        self._peaks = list(peaks)
        if len(self._peaks) != size.bit_count():
            raise ValueError("a tree of that size has another number of peaks")

    @property
    def peaks(self) -> tuple[bytes, ...]:
        """Roots of the perfect trees that it consists of, the largest first."""
        return tuple(self._peaks)

    def copy(self) -> Frontier:
        """The same tree, to be grown apart."""
        return Frontier(self.size, self._peaks)

    def append(self, leaf: bytes) -> None:
        """Add one leaf hash."""
        carry, size, peaks = leaf, self.size, self._peaks
        while size & 1:
            carry = hashlib.sha256(b"\x01" + peaks.pop() + carry).digest()
            size >>= 1
        peaks.append(carry)
        self.size += 1

    def extend(self, leaves: Sequence[bytes]) -> None:
        """Add leaf hashes: as `append` one by one, and twice as fast for many, a level at a time."""
        at, sha256 = 0, hashlib.sha256
        while at < len(leaves):
            # the largest perfect tree that begins at this size and is wholly in `leaves`
            left = len(leaves) - at
            count = 1 << left.bit_length() - 1
            if self.size:
                count = min(count, self.size & -self.size)
            level = list(leaves[at : at + count])
            while len(level) > 1:
                level = [
                    sha256(b"\x01" + one + other).digest() for one, other in zip(level[::2], level[1::2], strict=True)
                ]
            carry, merged = level[0], count
            while self.size & merged:
                carry = sha256(b"\x01" + self._peaks.pop() + carry).digest()
                self.size -= merged
                merged <<= 1
            self._peaks.append(carry)
            self.size += merged
            at += count

    def root(self) -> bytes:
        """The root of the tree as it stands."""
        if not self._peaks:
            return EMPTY_ROOT
        result = self._peaks[-1]
        for peak in reversed(self._peaks[:-1]):
            result = node_hash(peak, result)
        return result


def root(leaves: Iterable[bytes]) -> bytes:
    """Root over these leaf hashes."""
    tree = Frontier()
    for leaf in leaves:
        tree.append(leaf)
    return tree.root()


def _split(size: int) -> int:
    """The largest power of two below `size`, which is at least 2."""
    return 1 << (size - 1).bit_length() - 1


Span = Callable[[int, int], bytes]
"""Root of the leaves from the first number up to, and without, the second: what a proof is put together from."""


def span_of(leaves: Sequence[bytes]) -> Span:
    """A Span over leaf hashes that are all at hand; O(n) a root. recorder.tree has one for large trees."""
    return lambda first, end: root(leaves[first:end])


def inclusion_path(span: Span, index: int, size: int) -> list[bytes]:
    """PATH(index, D[size]) of RFC 6962 section 2.1.1: the sibling hashes, lowest first. Raises IndexError."""
    if not 0 <= index < size:
        raise IndexError("no such leaf")
    path, first, end = [], 0, size
    while end - first > 1:
        at = first + _split(end - first)
        if index < at:
            path.append(span(at, end))
            end = at
        else:
            path.append(span(first, at))
            first = at
    return path[::-1]


def consistency_path(span: Span, old_size: int, size: int) -> list[bytes]:
    """PROOF(old_size, D[size]) of RFC 6962 section 2.1.2: that the first are a prefix. Raises IndexError."""
    if not 0 < old_size <= size:
        raise IndexError("no such prefix")
    path, first, end, whole = [], 0, size, True
    while end != old_size:
        at = first + _split(end - first)
        if old_size <= at:
            path.append(span(at, end))
            end = at
        else:
            path.append(span(first, at))
            first, whole = at, False
    return ([] if whole else [span(first, end)]) + path[::-1]


def inclusion_proof(leaves: Sequence[bytes], index: int) -> list[bytes]:
    """`inclusion_path` over leaf hashes at hand. Raises IndexError."""
    return inclusion_path(span_of(leaves), index, len(leaves))


def consistency_proof(leaves: Sequence[bytes], size: int) -> list[bytes]:
    """`consistency_path` over leaf hashes at hand. Raises IndexError."""
    return consistency_path(span_of(leaves), size, len(leaves))


def check_inclusion(leaf: bytes, index: int, size: int, proof: Sequence[bytes], expected: bytes) -> bool:
    """RFC 9162 section 2.1.3.2: does the tree of `size` leaves with this root have the leaf at `index`?"""
    if not 0 <= index < size:
        return False
    node, last, result = index, size - 1, leaf
    for sibling in proof:
        if last == 0:
            return False
        if node & 1 or node == last:
            result = node_hash(sibling, result)
            while not node & 1 and node:
                node, last = node >> 1, last >> 1
        else:
            result = node_hash(result, sibling)
        node, last = node >> 1, last >> 1
    return last == 0 and result == expected


def check_consistency(old_size: int, old_root: bytes, size: int, new_root: bytes, proof: Sequence[bytes]) -> bool:
    """RFC 9162 section 2.1.4.2: is the tree (old_size, old_root) a prefix of (size, new_root)?"""
    if not 0 < old_size <= size:
        return False
    if old_size == size:
        return not proof and old_root == new_root
    path = list(proof)
    if old_size & (old_size - 1) == 0:
        path.insert(0, old_root)
    if not path:
        return False
    node, last = old_size - 1, size - 1
    while node & 1:
        node, last = node >> 1, last >> 1
    old = new = path[0]
    for sibling in path[1:]:
        if last == 0:
            return False
        if node & 1 or node == last:
            old, new = node_hash(sibling, old), node_hash(sibling, new)
            while not node & 1 and node:
                node, last = node >> 1, last >> 1
        else:
            new = node_hash(new, sibling)
        node, last = node >> 1, last >> 1
    return last == 0 and old == old_root and new == new_root
