from __future__ import annotations

import posixpath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bastion.sftp import names

paths = st.binary(max_size=60).map(lambda data: data.replace(b"\0", b"/"))


@pytest.mark.parametrize(
    ("path", "whole", "flat"),
    [
        (b"x", b"/home/a/x", b"/home/a/x"),
        (b".", b"/home/a", b"/home/a"),
        (b"./x//y/.", b"/home/a/x/y", b"/home/a/x/y"),
        (b"..", b"/home/a/..", b"/home"),
        (b"/a/../../b", b"/a/../../b", b"/b"),
        (b"//etc///passwd", b"/etc/passwd", b"/etc/passwd"),
        (b"/", b"/", b"/"),
    ],
)
def test_paths_become_absolute_and_lexical(path: bytes, whole: bytes, flat: bytes) -> None:
    assert names.absolute(path, b"/home/a") == whole
    assert names.lexical(whole) == flat


@given(paths, paths)
def test_shown_is_printable_and_injective(one: bytes, other: bytes) -> None:
    assert all(" " <= char <= "~" for char in names.shown(one))
    assert (names.shown(one) == names.shown(other)) is (one == other)


@given(paths)
def test_lexical_is_what_posix_says_and_settles(path: bytes) -> None:
    flat = names.lexical(names.absolute(path, b"/h"))
    assert flat == posixpath.normpath(b"/" + names.absolute(path, b"/h").lstrip(b"/"))
    assert names.settled(flat) or names.wrong(flat)


@pytest.mark.parametrize("path", [b"", b"a", b"a/b", b"/a/../b", b"/a//b", b"/a/", b"/a/.", b"//a", b"/a\0b"])
def test_what_is_not_settled(path: bytes) -> None:
    assert not names.settled(path)


def test_limits_at_their_edges() -> None:
    longest = b"/d" * 2047 + b"/"
    assert len(longest) == names.PATH_LIMIT
    assert not names.wrong(longest)
    assert names.wrong(longest + b"d")
    assert not names.wrong(b"n" * names.NAME_LIMIT)
    assert names.wrong(b"n" * (names.NAME_LIMIT + 1))
    assert names.wrong(b"")
    assert names.wrong(b"a\0")


@given(paths)
def test_split_and_join_are_each_others(path: bytes) -> None:
    flat = names.lexical(names.absolute(path, b"/h"))
    directory, name = names.split(flat)
    assert names.join(directory, name) == flat or not name
    assert names.below(flat, directory)


def test_below_is_no_prefix_of_text() -> None:
    assert names.below(b"/a/b", b"/a")
    assert names.below(b"/a", b"/a")
    assert names.below(b"/a", b"/")
    assert not names.below(b"/ab", b"/a")
