"""tui/live.py"""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bastion.control import wire
from tui.live import BACKLOG, COLUMNS_LIMIT, ROWS_LIMIT, SCROLLBACK, STEP, Live
from tui.words import plain

KINDS = ["output", "stderr", "input", "resize", "marker", "exit", "unheard of"]


def fed(*frames: tuple[str, bytes], columns: int = 80) -> Live:
    live = Live(columns)
    for at, (kind, data) in enumerate(frames):
        live.add(wire.FrameInfo(at=at, kind=kind, data=data))
    while live.work():
        pass
    return live


def test_streams_are_apart_and_newlines_return() -> None:
    live = fed(("output", b"one\ntwo\n"), ("stderr", b"oops\n"), ("output", b"three"))
    assert live.out.lines() == ["one", "two", "three"]
    assert live.err.lines() == ["oops"]


def test_a_pty_has_its_size_and_moves_as_it_says() -> None:
    live = fed(("resize", b"40x10"), ("output", b"one\ntwo\r\nthree"))
    assert live.pty
    assert live.out.lines() == ["one", "   two", "three"]
    assert (live.out.screen.columns, live.out.screen.lines) == (40, 10)


@pytest.mark.parametrize("size", [b"", b"x", b"0x0", b"80", b"-1x5", b"80x24x1", b"\xff", "٣x٣".encode()])
def test_a_size_that_is_none_is_ignored(size: bytes) -> None:
    assert not fed(("resize", size)).pty


def test_the_largest_size() -> None:
    live = fed(("resize", b"99999999x99999999"))
    assert (live.out.screen.columns, live.out.screen.lines) == (COLUMNS_LIMIT, ROWS_LIMIT)


def test_markers_and_ends_are_noted_safely() -> None:
    live = fed(("marker", b"approved r-1\x1b[2J"), ("exit", b"3"), ("unheard of", b"x"))
    assert [words for _, words in live.notes] == ["marker approved r-1⟨ESC⟩[2J", "exit 3", "unheard of x"]


def test_control_sequences_never_come_out() -> None:
    live = fed(("output", b"a\x1b[31mb\x1b]0;title\x07c\x1b[2;2Hd"), ("stderr", "x\u202ey\n".encode()))
    for line in live.out.lines() + live.err.lines():
        assert line == plain(line)
        assert "\x1b" not in line


def test_a_fast_session_is_skipped_and_counted_and_ends_right() -> None:
    live = Live(80)
    block = b"x" * 70 + b"\n"
    for number in range(20_000):
        live.add(wire.FrameInfo(at=number, kind="output", data=block))
    live.add(wire.FrameInfo(at=20_000, kind="output", data=b"the end\n"))
    assert live.out.total == 20_000 * 71 + 8
    assert live.out.waiting_bytes <= BACKLOG
    assert live.out.skipped == live.out.total - live.out.waiting_bytes
    while live.work():
        pass
    assert live.out.lines()[-1] == "the end"


def test_one_frame_larger_than_the_backlog_is_skipped_not_kept() -> None:
    live = fed(("output", b"y" * (BACKLOG + 1)), ("output", b"end"))
    assert live.out.skipped == BACKLOG + 1
    assert live.out.lines() == ["end"]


@given(st.lists(st.tuples(st.sampled_from(KINDS), st.binary(max_size=200)), max_size=20))
def test_anything_is_shown_or_counted(frames: list[tuple[str, bytes]]) -> None:
    live = fed(*frames)
    assert live.out.total == sum(len(data) for kind, data in frames if kind == "output")
    assert live.input_bytes == sum(len(data) for kind, data in frames if kind == "input")
    assert live.out.waiting_bytes == live.err.waiting_bytes == 0
    assert len(live.out.lines()) <= max(SCROLLBACK, ROWS_LIMIT)


def test_a_step_is_bounded() -> None:
    live = Live(80)
    live.add(wire.FrameInfo(at=0, kind="output", data=b"z" * (STEP + 1)))
    assert live.work()
    assert live.out.waiting_bytes == 1
    assert not live.work()
