from __future__ import annotations

import re
import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recorder.paint import Painter, safe
from recorder.screen import Screen

OWN = re.compile(r"\x1b\[(?:[0-9]{1,3};[0-9]{1,3}H|[0-9;]+m|\?25[hl])")
"""All that may go to a person's terminal beside characters: our cursor addressing, SGR, the cursor's visibility."""
PIECES = [
    b"\x1b[31;1mred", b"\x1b[48;2;1;2;3m", "漢字".encode(), "\u202e\u200b".encode(), b"\x1b]52;c;aGk=\x07", b"\r\n",
    b"\x1b[6n", b"\x1b[c", b"\x1bP$q\x1b\\", b"\x1b[?1049h", b"\x1b[97;100m", b"\x1b[38;5;99mx", b"\x1b[?25l",
]  # fmt: skip
OUTPUT = st.lists(st.binary(max_size=10) | st.sampled_from(PIECES), max_size=20).map(b"".join)


@given(OUTPUT, st.integers(1, 30), st.integers(1, 10))
@settings(deadline=None)
def test_nothing_but_our_own_sequences_goes_out(data: bytes, columns: int, lines: int) -> None:
    screen = Screen(20, 6)
    screen.feed(data)
    text = OWN.sub("", Painter(columns, lines).paint(screen))
    assert not [char for char in text if unicodedata.category(char) in ("Cc", "Cf", "Cs", "Co", "Cn")]


@given(OUTPUT, OUTPUT)
@settings(deadline=None)
def test_the_painted_terminal_shows_the_screen(first: bytes, second: bytes) -> None:
    """What is painted, fed to another terminal, gives the same cells; in steps too."""
    screen, mirror, painter = Screen(20, 6), Screen(20, 6), Painter(20, 6)
    for data in (first, second):
        screen.feed(data)
        mirror.feed(painter.paint(screen).encode())
        for y in range(6):
            assert [cell._replace(data="") for cell in mirror.row(y)] == [
                cell._replace(data="") for cell in screen.row(y)
            ]
            assert [safe(cell.data) for cell in screen.row(y)] == [cell.data for cell in mirror.row(y)]
        assert mirror.cursor[2] == screen.cursor[2]
        if screen.cursor[2]:
            assert mirror.cursor == screen.cursor


@pytest.mark.parametrize("before", [b"", b"\x1b[1;3H", b"\x1b[0m"])
def test_a_wide_character_survives_a_combining_one(before: bytes) -> None:
    screen, mirror, painter = Screen(20, 6), Screen(20, 6), Painter(20, 6)
    screen.feed("一".encode() + before + "\u0300".encode())
    mirror.feed(painter.paint(screen).encode())
    assert [cell.data for cell in screen.row(0)][:3] == ["一\u0300", "", " "]
    assert mirror.row(0) == screen.row(0)


def test_only_what_changed_is_painted() -> None:
    screen, painter = Screen(20, 6), Painter(20, 6)
    screen.feed(b"one\r\ntwo")
    assert painter.paint(screen).count("H\x1b[0m") == 6
    screen.feed(b"!")
    assert re.findall(r"\x1b\[([0-9]+);1H\x1b\[0m", painter.paint(screen)) == ["2"]


def test_a_screen_that_shrinks_leaves_nothing_behind() -> None:
    screen, mirror, painter = Screen(20, 6), Screen(20, 6), Painter(20, 6)
    screen.feed(b"x" * 120)
    mirror.feed(painter.paint(screen).encode())
    screen.resize(5, 2)
    mirror.feed(painter.paint(screen).encode())
    assert mirror.text() == screen.text() == ["xxxxx", "xxxxx"]
