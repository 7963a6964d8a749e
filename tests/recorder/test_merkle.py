from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recorder import merkle
from recorder.entry import leaf_hash

PUBLISHED = json.loads((Path(__file__).parents[1] / "vectors/rfc6962/proofs.json").read_text())
NODES = json.loads((Path(__file__).parents[1] / "vectors/rfc6962/nodes.json").read_text())
LEAVES = [leaf_hash(bytes.fromhex(data)) for data in PUBLISHED["leaves"]]


def test_published_roots() -> None:
    tree = merkle.Frontier()
    assert tree.root().hex() == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    for leaf, root in zip(LEAVES, PUBLISHED["roots"], strict=True):
        tree.append(leaf)
        assert tree.root().hex() == root


@pytest.mark.parametrize("case", PUBLISHED["inclusion"])
def test_published_inclusion_proofs(case: dict[str, Any]) -> None:
    index, size, proof = case["index"], case["size"], [bytes.fromhex(each) for each in case["proof"]]
    assert merkle.inclusion_proof(LEAVES[:size], index) == proof
    assert merkle.check_inclusion(LEAVES[index], index, size, proof, bytes.fromhex(PUBLISHED["roots"][size - 1]))


@pytest.mark.parametrize("case", PUBLISHED["consistency"])
def test_published_consistency_proofs(case: dict[str, Any]) -> None:
    old, size, proof = case["old"], case["size"], [bytes.fromhex(each) for each in case["proof"]]
    old_root, root = (bytes.fromhex(PUBLISHED["roots"][each - 1]) for each in (old, size))
    assert merkle.consistency_proof(LEAVES[:size], old) == proof
    assert merkle.check_consistency(old, old_root, size, root, proof)


def node(of: list[Any], hashes: list[bytes]) -> bytes:
    """A node of tests/vectors/rfc6962/nodes.json."""
    if isinstance(of[0], list):
        result = node(of[0], hashes)
        for left in of[1:]:
            result = merkle.node_hash(node(left, hashes), result)
        return result
    level, index = of
    return recursive_root(hashes[index << level : (index + 1) << level])


@pytest.mark.parametrize("kind", ["inclusion", "consistency"])
def test_published_shapes(kind: str) -> None:
    hashes = leaves(128)
    for one, other, nodes in NODES[kind]:
        expected = [node(each, hashes) for each in nodes]
        if kind == "inclusion":
            assert merkle.inclusion_proof(hashes[:one], other) == expected, (one, other)
        else:
            assert merkle.consistency_proof(hashes[:other], one) == expected, (one, other)


def leaves(count: int) -> list[bytes]:
    return [leaf_hash(str(number).encode()) for number in range(count)]


def recursive_root(hashes: list[bytes]) -> bytes:
    """RFC 6962 section 2.1, word for word."""
    if len(hashes) == 1:
        return hashes[0]
    at = 1
    while at * 2 < len(hashes):
        at *= 2
    return merkle.node_hash(recursive_root(hashes[:at]), recursive_root(hashes[at:]))


@given(st.integers(1, 130))
def test_frontier_is_the_recursive_definition(count: int) -> None:
    assert merkle.root(leaves(count)) == recursive_root(leaves(count))


@given(st.integers(1, 70), st.data())
def test_inclusion(count: int, data: st.DataObject) -> None:
    index = data.draw(st.integers(0, count - 1))
    hashes = leaves(count)
    proof = merkle.inclusion_proof(hashes, index)
    root = merkle.root(hashes)
    assert merkle.check_inclusion(hashes[index], index, count, proof, root)
    assert not merkle.check_inclusion(leaf_hash(b"other"), index, count, proof, root)
    assert not merkle.check_inclusion(hashes[index], index, count, [*proof, root], root)
    if proof:
        assert not merkle.check_inclusion(hashes[index], index, count, proof[:-1], root)
    other = data.draw(st.integers(0, count - 1))
    if other != index:
        assert not merkle.check_inclusion(hashes[index], other, count, proof, root)


@given(st.integers(1, 70), st.data())
def test_consistency(count: int, data: st.DataObject) -> None:
    size = data.draw(st.integers(1, count))
    hashes = leaves(count)
    old, new = merkle.root(hashes[:size]), merkle.root(hashes)
    proof = merkle.consistency_proof(hashes, size)
    assert merkle.check_consistency(size, old, count, new, proof)
    assert not merkle.check_consistency(size, leaf_hash(b"other"), count, new, proof)
    assert not merkle.check_consistency(size, old, count, leaf_hash(b"other"), proof)
    assert not merkle.check_consistency(size, old, count, new, [*proof, old])


def test_no_proof_for_what_is_not_there() -> None:
    with pytest.raises(IndexError):
        merkle.inclusion_proof(leaves(3), 3)
    with pytest.raises(IndexError):
        merkle.consistency_proof(leaves(3), 4)
    assert not merkle.check_consistency(0, merkle.EMPTY_ROOT, 3, merkle.root(leaves(3)), [])
    assert not merkle.check_inclusion(leaves(1)[0], 3, 3, [], leaves(1)[0])


def test_frontier_resumes() -> None:
    tree = merkle.Frontier()
    for leaf in leaves(11):
        tree.append(leaf)
    twin = tree.copy()
    tree.append(leaves(12)[11])
    assert tree.root() == merkle.root(leaves(12))
    assert twin.root() == merkle.root(leaves(11))
    with pytest.raises(ValueError, match="peaks"):
        merkle.Frontier(3, [b""])
