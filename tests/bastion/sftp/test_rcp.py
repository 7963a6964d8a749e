"""Lines of scp's old protocol: whatever comes, one type of error or a line that means what it says."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bastion.sftp import rcp

names = st.binary(min_size=1, max_size=255).filter(lambda name: not rcp.wrong(name))
modes = st.integers(0, 0o7777)
lines = st.one_of(
    st.builds(rcp.Copy, modes, st.integers(0, rcp.SIZE_LIMIT), names),
    st.builds(rcp.Enter, modes, names),
    st.just(rcp.Leave()),
    st.builds(rcp.Times, st.integers(0, rcp.TIME_LIMIT), st.integers(0, rcp.TIME_LIMIT)),
    st.builds(rcp.Failure, st.binary(max_size=50).filter(lambda text: b"\n" not in text), st.booleans()),
)


@given(lines)
def test_what_is_sent_is_what_is_understood(line: rcp.Line) -> None:
    sent = rcp.encode(line)
    assert sent.endswith(b"\n")
    assert sent.count(b"\n") == 1
    assert rcp.parse(sent[:-1]) == line


@given(st.one_of(st.binary(max_size=300), st.from_regex(rb"\A[CDTE\x01\x02][0-7 ]{0,12}[0-9 ]{0,22}.{0,9}\Z")))
@example(b"C0644 1 ..")
@example(b"D0755 0 a/b")
@example(b"C0644 1 a\nb")
@example(b"C00644 1 a")
@example(b"C0648 1 a")
@example(b"C0644 99999999999999999999 a")
@example(b"C0644 9999999999999999999 a")
@example(b"T4294967296 0 0 0")
@example(b"T0 1000000 0 0 ")
@example(b"E ")
@example(b"")
def test_anything_is_a_line_or_malformed(line: bytes) -> None:
    try:
        found = rcp.parse(line)
    except rcp.Malformed:
        return
    if isinstance(found, rcp.Copy | rcp.Enter):
        assert b"/" not in found.name
        assert found.name not in (b"", b".", b"..")
        assert 0 <= found.mode <= 0o7777
    if isinstance(found, rcp.Copy):
        assert 0 <= found.size <= rcp.SIZE_LIMIT


@pytest.mark.parametrize(("size", "fits"), [(rcp.SIZE_LIMIT, True), (rcp.SIZE_LIMIT + 1, False)])
def test_sizes_to_the_edge(size: int, fits: bool) -> None:
    line = b"C0644 %d a" % size
    if fits:
        assert rcp.parse(line) == rcp.Copy(0o644, size, b"a")
    else:
        with pytest.raises(rcp.Malformed):
            rcp.parse(line)


def test_names_to_the_edge() -> None:
    assert rcp.wrong(b"n" * 255) == ""
    assert rcp.wrong(b"n" * 256)


def test_a_sentence_is_one_harmless_line() -> None:
    assert rcp.sentence("a\nb\x1b[31m\u202e") == b"a\\x0ab\\x1b[31m\\xe2\\x80\\xae"
    assert len(rcp.sentence("\n" * 9999)) <= rcp.LINE_LIMIT
