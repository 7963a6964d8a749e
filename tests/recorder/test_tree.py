"""Proofs from tiles are those that the leaves give, at every edge of a tile."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recorder import merkle
from recorder.entry import leaf_hash
from recorder.tree import TILE, Tree

LEAVES = [leaf_hash(str(number).encode()) for number in range(5 * TILE + 3)]


def tree() -> Tree:
    return Tree(lambda first, end: LEAVES[first:end])


EDGES = sorted({1, 2, 3, TILE - 1, TILE, TILE + 1, 2 * TILE - 1, 2 * TILE, 3 * TILE, 4 * TILE + 1, len(LEAVES)})


@pytest.mark.parametrize("size", EDGES)
def test_at_the_edges_of_tiles(size: int) -> None:
    growing = tree()
    assert growing.root(size) == merkle.root(LEAVES[:size])
    for old in (each for each in EDGES if each <= size):
        assert growing.consistency(old, size) == merkle.consistency_proof(LEAVES[:size], old)
        assert growing.inclusion(old - 1, size) == merkle.inclusion_proof(LEAVES[:size], old - 1)


@settings(max_examples=25)
@given(st.lists(st.integers(1, len(LEAVES)), min_size=1, max_size=4), st.data())
def test_it_grows_in_any_steps(sizes: list[int], data: st.DataObject) -> None:
    growing = tree()
    for size in sizes:  # smaller trees may be asked for after larger ones
        old = data.draw(st.integers(1, size))
        proof = growing.consistency(old, size)
        assert merkle.check_consistency(old, merkle.root(LEAVES[:old]), size, merkle.root(LEAVES[:size]), proof)


def test_it_reads_each_full_tile_once() -> None:
    asked: list[tuple[int, int]] = []

    def leaves(first: int, end: int) -> Iterator[bytes]:
        asked.append((first, end))
        return iter(LEAVES[first:end])

    growing = Tree(leaves)
    growing.consistency(5, len(LEAVES))
    asked.clear()
    growing.consistency(4 * TILE, len(LEAVES))
    assert sum(end - first for first, end in asked) <= 2 * TILE


def test_what_is_not_there() -> None:
    with pytest.raises(IndexError):
        tree().consistency(1, len(LEAVES) + TILE)
    with pytest.raises(IndexError):
        tree().inclusion(3, 3)
    assert tree().root(0) == merkle.EMPTY_ROOT
