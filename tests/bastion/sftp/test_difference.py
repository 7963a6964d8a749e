from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bastion.sftp.difference import LINES_LIMIT, SIDE_LIMIT, compare

texts = st.lists(st.sampled_from(["a", "b", "listen 80", "", "@@ -1 +1 @@", "--- x", "+++ y", "é"]), max_size=12).map(
    lambda lines: "\n".join(lines).encode()
)


def patched(old: bytes, lines: tuple[bytes, ...]) -> bytes:
    """What `patch` would make of it: an own, simple reading of the unified form."""
    source = old.split(b"\n")
    ended = source[-1] == b""
    if ended:
        source.pop()
    out: list[bytes] = []
    at = 0
    newline = ended
    for line in lines:
        if found := re.fullmatch(rb"@@ -(\d+)(?:,(\d+))? \+(\d+)(?:,(\d+))? @@", line):
            start = int(found[1]) - (0 if found[2] == b"0" else 1)
            out += source[at:start]
            at = start
        elif line.startswith(b"\\"):
            pass
        else:
            sign, text = line[:1], line[1:]
            if sign in b" -":
                assert source[at] == text
                at += 1
            if sign in b" +":
                out.append(text)
    rest = source[at:]
    del newline
    return b"\n".join(out + rest)


@given(texts, texts)
def test_a_difference_leads_from_one_to_the_other(old: bytes, new: bytes) -> None:
    found = compare(old, new)
    assert not found.hidden
    assert patched(old, found.lines) == new.removesuffix(b"\n")
    assert bool(found.lines) is (old != new)


def test_a_missing_last_newline_is_said() -> None:
    assert compare(b"a\n", b"a").lines == (b"@@ -1 +1 @@", b"-a", b"+a", b"\\ no newline at the end")


def test_new_and_removed_files() -> None:
    assert compare(None, b"a\nb\n").lines == (b"@@ -0,0 +1,2 @@", b"+a", b"+b")
    assert compare(b"a\n", None).lines == (b"@@ -1 +0,0 @@", b"-a")


def test_lines_count_from_the_beginning_of_the_file() -> None:
    old = [b"%d" % number for number in range(100)]
    new = [*old[:50], b"x", *old[51:]]
    lines = compare(b"\n".join(old) + b"\n", b"\n".join(new) + b"\n").lines
    assert lines[0] == b"@@ -48,7 +48,7 @@"
    assert b"-50" in lines
    assert b"+x" in lines


@pytest.mark.parametrize("data", [b"\0", b"a\xff\n", b"\x80"])
def test_what_is_not_text_is_not_shown(data: bytes) -> None:
    assert compare(None, data).hidden == "not text"
    assert compare(data, b"a").hidden == "not text"


def test_limits_at_their_edges() -> None:
    assert not compare(None, b"a" * SIDE_LIMIT).hidden
    assert "KiB" in compare(None, b"a" * (SIDE_LIMIT + 1)).hidden
    assert not compare(None, b"\n" * LINES_LIMIT).hidden
    assert "lines" in compare(None, b"\n" * (LINES_LIMIT + 1)).hidden


def test_a_carriage_return_is_content() -> None:
    assert compare(b"a\n", b"a\rb\n").lines == (b"@@ -1 +1 @@", b"-a", b"+a\rb")
