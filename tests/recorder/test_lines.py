from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recorder import lines as rendering
from recorder.frames import Frame
from recorder.lines import lines


def out(at: int, data: bytes) -> Frame:
    return Frame(at, "output", data)


TERMINAL = Frame(0, "resize", b"20x3")


def test_a_line_that_grows_is_one_line_when_it_is_complete() -> None:
    frames = [TERMINAL, out(1, b"$ "), out(2, b"l"), out(3, b"s"), out(4, b"\r\na  b"), out(5, b"\r\n$ ")]
    assert lines(frames).lines == [(3, "$ ls"), (4, "a  b"), (5, "$")]


def test_lines_keep_their_moment_when_they_scroll_away() -> None:
    frames = [TERMINAL, *(out(number, b"line %d\r\n" % number) for number in range(1, 9))]
    assert lines(frames).lines == [(number, f"line {number}") for number in range(1, 9)]


def test_what_was_overwritten_is_found() -> None:
    frames = [TERMINAL, out(1, b"10 %"), out(2, b"\r20 %"), out(3, b"\x1b[2J\x1b[Hcleared")]
    assert lines(frames).lines == [(1, "10 %"), (2, "20 %"), (3, "cleared")]


def test_the_alternate_screen_is_found_and_the_main_one_stays() -> None:
    frames = [TERMINAL, out(1, b"main"), out(2, b"\x1b[?1049h\x1b[Hsecret file"), out(3, b"\x1b[?1049l")]
    found = lines(frames).lines
    assert (2, "secret file") in found
    assert (1, "main") in found


def test_an_exec_has_long_lines_and_markers() -> None:
    long = b"x" * 150
    found = lines([Frame(0, "marker", b"r-1 cat log"), out(5, long + b"\nnext\n"), Frame(6, "stderr", b"oops")])
    assert [text for _, text in found.lines] == [long.decode(), "next", "oops"]
    assert found.markers == [(0, "r-1 cat log")]
    assert found.whole


def test_the_limit_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rendering, "BYTES_LIMIT", 10)
    assert lines([out(0, b"x" * 10), Frame(1, "exit", b"0")]).whole
    cut = lines([out(0, b"x" * 10), out(1, b"\nhidden"), Frame(2, "marker", b"r-2 late")])
    assert (cut.whole, [text for _, text in cut.lines], cut.markers) == (False, ["x" * 10], [(2, "r-2 late")])
    monkeypatch.setattr(rendering, "BYTES_LIMIT", 1 << 20)
    monkeypatch.setattr(rendering, "TEXT_LIMIT", 4)
    assert lines([out(0, b"abcd\n")]).whole
    assert not lines([out(0, b"abcde\n")]).whole


@settings(deadline=None)
@given(st.lists(st.tuples(st.sampled_from(["output", "stderr", "resize", "marker", "input"]), st.binary(max_size=80))))
def test_no_bytes_make_it_raise_or_go_back_in_time(parts: list[tuple[str, bytes]]) -> None:
    found = lines([Frame(at, kind, data) for at, (kind, data) in enumerate(parts)]).lines
    assert [at for at, _ in found] == sorted(at for at, _ in found)


def test_hostile_output_takes_linear_time() -> None:
    began = time.monotonic()
    for data in (
        b"\x1b[" + b"9" * 5000 + b"A",
        "a\u0301".encode() + "\u0301".encode() * 50_000,
        b"\x1bP" + b"x" * 500_000,
    ):
        lines([out(0, data)])
    assert time.monotonic() - began < 20
