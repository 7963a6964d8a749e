from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recorder import merkle
from recorder.entry import leaf_hash

VECTORS = [
    b"",
    b"\x00",
    b"\x10",
    b"\x20\x21",
    b"\x30\x31",
    b"\x40\x41\x42\x43",
    b"\x50\x51\x52\x53\x54\x55\x56\x57",
    b"\x60\x61\x62\x63\x64\x65\x66\x67\x68\x69\x6a\x6b\x6c\x6d\x6e\x6f",
]
"""Inputs of the test vectors that the Certificate Transparency implementations share."""

ROOTS = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]


def test_published_roots() -> None:
    tree = merkle.Frontier()
    assert tree.root().hex() == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    for data, root in zip(VECTORS, ROOTS, strict=True):
        tree.append(leaf_hash(data))
        assert tree.root().hex() == root


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
