from __future__ import annotations

import itertools
import time

import pyte
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recorder import escapes, grid, terminal
from recorder.screen import Screen

PIECES = st.sampled_from(
    [
        b"hello", b"\r\n", b"\n", b"\t", b"\b", b"\x1b[31m", b"\x1b[0m", b"\x1b[2J", b"\x1b[H", b"\x1b[5;9H", b"\x1b[K",
        b"\x1b[1K", b"\x1b[1J", b"\x1b[?1049h", b"\x1b[?1049l", b"\x1b[?25l", b"\x1b7", b"\x1b8", b"\x1bM", b"\x1bD",
        b"\x1b[3L", b"\x1b[2M", b"\x1b[4P", b"\x1b[4@", b"\x1b[2;5r", b"\x1b[r", b"\x1b[?6h", b"\x1b[?7l", b"\x1b[4h",
        b"\x1b[38;5;200m", b"\x1b[48;2;1;2;3m", b"\x1b[4:3m", b"\x1b(0", b"\x1b(B", b"\x0e", b"\x0f", b"\x1bc",
        "äöü漢字".encode(), "e\u0301".encode(), "\u202e".encode(), "👩\u200d💻".encode(), b"\xff\xfe",
        b"\x1bPbody\x1b\\", b"\x1b_apc\x1b\\", b"\xc2\x9b5C", b"\x1b[", b"\x1b", b"\x1b[3", b"\xe6\xbc", b"\x1b[?4m",
        b"\x1b]0;title\x07", b"\x1b[9d", b"\x1b[99J", b"\x1b[7K", b"\x1bH", b"\x1b[3g", b"a" * 200,
        b"x\x1b[5b", b"\x1b[b", b"\x1b[999999b", b"\x1b[2S", b"\x1b[2T", b"\x1b[2Z", b"\x1b[3I", b"\x1b#8", b"\x1b[44m",
        b"\x1b[?47h", b"\x1b[?47l", b"\x1b[20h", b"\x1b[s", b"\x1b[u", b"\x1b[X", b"\x1b[3A", b"\x1b[3B", b"\x1b[?6l",
    ]
)  # fmt: skip
OUTPUT = st.lists(PIECES | st.binary(max_size=12), max_size=40).map(b"".join)
SIZES = st.tuples(st.integers(1, 30), st.integers(1, 12))


def shown(data: bytes, columns: int = 20, lines: int = 5, *, newline: bool = False) -> list[str]:
    screen = Screen(columns, lines, newline=newline)
    screen.feed(data)
    return screen.text()


@given(OUTPUT, SIZES, st.booleans())
def test_no_bytes_raise_and_the_screen_keeps_its_size(data: bytes, size: tuple[int, int], newline: bool) -> None:
    screen = Screen(*size, newline=newline)
    screen.feed(data)
    assert (screen.columns, screen.lines) == size
    assert len(screen.text()) <= size[1]
    assert all(len(screen.row(y)) == size[0] for y in range(size[1]))
    column, line, _ = screen.cursor
    assert 0 <= column < size[0]
    assert 0 <= line < size[1]


@given(OUTPUT, OUTPUT, st.lists(st.integers(0, 400), max_size=6))
def test_it_does_not_matter_how_the_bytes_are_cut(first: bytes, second: bytes, cuts: list[int]) -> None:
    data = first + second
    whole, parts = Screen(20, 6), Screen(20, 6)
    whole.feed(data)
    edges = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    for begin, end in itertools.pairwise(edges):
        parts.feed(data[begin:end])
    one, other = whole.keyframe(), parts.keyframe()
    assert one == other


@given(st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=200), st.integers(2, 30))
def test_the_fast_path_is_pyte(text: str, columns: int) -> None:
    ours, theirs = grid.Page(columns, 5), pyte.Screen(columns, 5)
    for page in (ours, theirs):
        page.select_graphic_rendition(1, 31)
        page.draw(text)
    assert ours.buffer == theirs.buffer
    assert (ours.cursor.x, ours.cursor.y) == (theirs.cursor.x, theirs.cursor.y)


class TestWhatAProgramShows:
    def test_plain(self) -> None:
        assert shown(b"one\r\ntwo\r\n") == ["one", "two"]
        assert shown(b"one\ntwo", newline=False) == ["one", "   two"]
        assert shown(b"one\ntwo", newline=True) == ["one", "two"]
        assert shown(b"a" * 25) == ["a" * 20, "a" * 5]
        assert shown(b"\n".join(b"%d" % n for n in range(9)), newline=True) == ["4", "5", "6", "7", "8"]

    def test_alternate_screen(self) -> None:
        screen = Screen(20, 5)
        screen.feed(b"shell$ vi\r\n\x1b[?1049h\x1b[Hfile")
        assert screen.text() == ["file"]
        screen.feed(b"\x1b[?1049l")
        assert screen.text() == ["shell$ vi"]
        screen.feed(b"next")
        assert screen.text() == ["shell$ vi", "next"]

    def test_alternate_screen_and_resize(self) -> None:
        screen = Screen(20, 5)
        screen.feed(b"0\r\n1\r\n2\r\n3\r\n4\x1b[?1049h")
        screen.resize(10, 2)
        screen.feed(b"\x1b[?1049l")
        assert screen.text() == ["3", "4"]
        assert screen.cursor[1] < 2

    def test_a_smaller_screen_loses_its_empty_end_first(self) -> None:
        screen, gone = Screen(20, 6), list[str]()
        screen.on_scroll(gone.append)
        screen.feed(b"0\r\n1\r\n2")
        screen.resize(20, 4)
        assert (screen.text(), gone, screen.cursor) == (["0", "1", "2"], [], (1, 2, True))
        screen.resize(20, 2)
        assert (screen.text(), gone, screen.cursor) == (["1", "2"], ["0"], (1, 1, True))

    def test_wide_and_combining(self) -> None:
        assert shown("漢字ab".encode()) == ["漢字ab"]
        assert shown("e\u0301x".encode()) == ["éx"]
        assert shown("漢\rx".encode()) == ["x"]
        assert shown("漢\x1b[2Gx".encode()) == [" x"]

    def test_what_cannot_be_seen_is_made_visible(self) -> None:
        assert shown("a\u202eb\u200bc\u2066d".encode()) == ["a�b�c�d"]
        assert shown("a\ufe0fb".encode()) == ["ab"]
        assert shown("a\ufe0f\ufe0f\ufe0fb".encode()) == ["a��b"]

    def test_strings_do_not_leak(self) -> None:
        for begin in (b"\x1b]0;", b"\x1bP", b"\x1b_", b"\x1b^", b"\x1bX", b"\xc2\x90", b"\xc2\x9d"):
            assert shown(begin + b"hidden\x1b\\seen") == ["seen"]
        assert shown(b"\x1b]0;title\x07seen") == ["seen"]
        assert shown(b"\x1bPbody\x07more\x1b\\seen") == ["seen"]
        assert shown(b"\x1b]0;title\x18seen") == ["seen"]

    def test_saved_cursor(self) -> None:
        assert shown(b"ab\x1b7cd\x1b8X\x1b8Y") == ["abYd"]
        assert len(Screen.restore(_fed(b"\x1b7" * 1000).keyframe())._page.savepoints) == 1

    def test_colours(self) -> None:
        cell = _fed(b"\x1b[38:2::1:2:3;4:3mx").row(0)[0]
        assert (cell.fg, cell.underscore) == ("010203", True)
        assert _fed(b"\x1b[38;2;999;0;0mx").row(0)[0].fg == "ff0000"
        assert _fed(b"\x1b[38;5;999mx").row(0)[0].data == "x"

    def test_scrolled_lines_are_told(self) -> None:
        screen, gone = Screen(10, 2, newline=True), list[str]()
        screen.on_scroll(gone.append)
        screen.feed(b"a\nb\nc\n\n\nd")
        assert gone == ["a", "b", "c", ""]
        screen.feed(b"\x1b[?1049h1\n2\n3\n4\x1b[?1049l")
        assert len(gone) == 4, "the alternate screen has no history"

    def test_dirty_lines(self) -> None:
        screen = Screen(10, 4)
        screen.take_dirty()
        screen.feed(b"\x1b[3;1Hx")
        assert 2 in screen.take_dirty()
        assert screen.take_dirty() == set()


def _fed(data: bytes) -> Screen:
    screen = Screen(20, 5)
    screen.feed(data)
    return screen


HOSTILE = {
    "vim on Debian 12": b"\x1b[?4m\x1b[>4;2m\x1b[?1m",
    "5,000 digits": b"\x1b[" + b"9" * 5000 + b"C" + b"\x1b[38;5;" + b"9" * 5000 + b"m",
    "combining": b"a" + "\u0301".encode() * 200_000,
    "5 MB OSC": b"\x1b]0;" + b"x" * 5_000_000 + b"\x07",
    "5 MB DCS": b"\x1bP" + b"x" * 5_000_000 + b"\x1b\\",
    "OSC without end": b"\x1b]0;" + b"x" * 1_000_000,
    "CSI without end": b"\x1b[" + b";" * 1_000_000,
    "many CSI": b"\x1b[9999L\x1b[9999M" * 5_000,
    "erase": b"\x1b[41m" + b"\x1b[2J\x1b[J\x1b[1J" * 5_000,
    "insert": b"\x1b[9999@\x1b[9999P" * 5_000,
    "line feeds": b"\n" * 3_000_000,
    "saved cursors": b"\x1b7" * 200_000,
    "tabs": b"\x1bH\t" * 50_000,
    "ESC": b"\x1b" * 1_000_000,
    "REP": b"x\x1b[999999b" * 10_000,
    "DECALN": b"\x1b#8" * 10_000,
    "regions": b"\x1b[2;9999r\x1b[9999S\x1b[9999T\x1b[r\x1b[9999S" * 2_000,
    "tab stops": b"\x1bH\x1b[C" * 10_000 + b"\x1b[9999I\x1b[9999Z" * 5_000,
    "combining on one cell again and again": b"\x1b[1;2Hx\r\x1b[C" + "\u0301\u0302\u0303\u0304".encode() * 20_000,
    "strings in strings": b"\x1bP\x1b]\x1b_\x1b^\x1bX" * 50_000,
    "screens": b"\x1b[?1049h\x1b[?1049l" * 10_000,
    "attributes": b"".join(b"\x1b[38;2;%d;%d;%dmx" % (n % 256, n // 256, 7) for n in range(50_000)),
    "invalid UTF-8": b"\xff\xc0\xe6" * 20_000,
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_output_takes_bounded_time(name: str) -> None:
    """Each in a small part of what pyte alone takes, where that ends at all; the bound has room for a slow machine."""
    screen = Screen(120, 40)
    began = time.process_time()
    screen.feed(HOSTILE[name])
    screen.feed(b"\x1b\\\x1b[m\x1b[2J\x1b[Hstill here")
    assert time.process_time() - began < 8
    assert screen.text()[0].startswith("still here")


def test_limits_at_their_edges() -> None:
    limit = escapes.CSI_LIMIT
    inside = b"\x1b[" + b"0" * (limit - 1) + b"5" + b"C" + b"x"
    assert shown(inside) == ["     x"]
    assert shown(b"\x1b[" + b"0" * limit + b"5" + b"C" + b"x") == ["x"], "longer ones are skipped whole"
    assert escapes.number("9999") == 9999
    assert escapes.number("10000") == escapes.NUMBER_LIMIT
    assert escapes.number("0" * 300 + "7") == 7
    most = "a" + "\u0300\u0301\u0302\u0303\u0304\u0305"
    assert len(_fed(most.encode()).row(0)[0].data) <= 1 + grid.COMBINING_LIMIT
    screen = Screen(10_000, 10_000)
    assert (screen.columns, screen.lines) == (terminal.COLUMNS_LIMIT, terminal.LINES_LIMIT)
    screen.resize(0, -3)
    assert (screen.columns, screen.lines) == (1, 1)
