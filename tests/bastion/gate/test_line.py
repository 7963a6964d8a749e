"""The line editor: what can be typed, what is refused, and that a screen shows what the line holds."""

from __future__ import annotations

import unicodedata

import pyte
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bastion.gate.line import (
    BELL,
    CONTROLS,
    HISTORY_LIMIT,
    LINE_LIMIT,
    SEQUENCES,
    Editor,
    Entered,
    Pressed,
    is_text,
)


def typed(data: bytes, editor: Editor | None = None) -> list[Entered | Pressed]:
    """Everything that came out of these bytes."""
    editor = editor or Editor()
    editor.prompt("$ ")
    found: list[Entered | Pressed] = []
    while data:
        fed = editor.feed(data)
        data = fed.rest
        if fed.typed is not None:
            found.append(fed.typed)
            editor.prompt("$ ")
    return found


def lines(data: bytes) -> list[str]:
    return [each.text for each in typed(data) if isinstance(each, Entered)]


@pytest.mark.parametrize("end", [b"\r", b"\n", b"\r\n"])
def test_enter_is_one_whatever_it_is_made_of(end: bytes) -> None:
    assert lines(b"true" + end + b"touch X" + end) == ["true", "touch X"]


def test_a_lone_newline_behind_a_line_is_a_line_of_its_own() -> None:
    assert lines(b"a\r\r\nb\n\nc\r") == ["a", "", "b", "", "c"]


REFUSED = [
    b"\x00", b"\x12", b"\x16", b"\x0f", b"\x1e", b"\t", b"\x1a", b"\x1c", b"\x85", b"\x9b2K", b"\xc2\x85",
    b"\xc2\x9b1A", b"\xff\xfe", b"\xc0\x8a", b"\xe0\x80\x8a", b"\xed\xa0\x80", b"\xf4\x90\x80\x80",
    "\u2028".encode(), "\u2029".encode(), "\u202e".encode(), "\u2066".encode(), "\u200b".encode(),
    "\u200d".encode(), "\ufeff".encode(), "\u00ad".encode(), "\ue000".encode(), "\u0378".encode(),
    "\ufe0f".encode(), "\U000e0041".encode(), "\U000e0100".encode(), "\u3164".encode(), "\u115f".encode(),
    "\u034f".encode(), "\u180e".encode(), "\ufffd".encode(), "\ufdd0".encode(), "\U0010ffff".encode(),
]  # fmt: skip


@pytest.mark.parametrize("data", REFUSED, ids=lambda data: data.hex())
def test_refused_with_a_bell_and_without_a_trace(data: bytes) -> None:
    editor = Editor()
    editor.prompt("$ ")
    fed = editor.feed(b"ab" + data + b"c")
    assert fed.echo.endswith(BELL)
    assert fed.typed is None
    kept = data.decode("ascii", "ignore") if data == b"\x9b2K" else ""
    assert editor.text == "ab" + kept.replace("\x9b", "") + ("1A" if data == b"\xc2\x9b1A" else "") + "c"


def test_readline_and_terminal_tricks_are_text_or_nothing() -> None:
    assert lines(b"\x12touch\r") == ["touch"]
    assert lines(b"touch X\x16\r") == ["touch X"]
    assert lines(b"touch X\t\x0f\r") == ["touch X"]
    assert lines(b"true\x00; touch X\r") == ["true; touch X"]
    assert lines(b"true\xc0\x8atouch X\r") == ["truetouch X"]
    assert lines(b"!touch\r") == ["!touch"]


@given(st.text())
def test_whatever_is_in_a_line_can_be_seen(text: str) -> None:
    for line in lines(text.encode(errors="ignore") + b"\r"):
        for char in line:
            assert unicodedata.category(char)[0] != "C"
            assert is_text(char)


@pytest.mark.parametrize(
    ("data", "line"),
    [
        (b"ac\x1b[Db\r", "abc"),
        (b"bc\x01a\x05d\r", "abcd"),
        (b"ac\x1bODb\x1b[Fd\x1b[Hx\r", "xabcd"),
        (b"abX\x7fc\x08d\r", "abd"),
        (b"abX\x1b[D\x1b[3~c\r", "abc"),
        (b"abX\x1b[D\x04c\r", "abc"),
        (b"one two\x17three\r", "one three"),
        (b"one two\x01\x0bx\x19\r", "xone two"),
        (b"one two\x15x\r", "x"),
        (b"a\x1b[1;5Cb\x1bxc\r", "abc"),
        (b"a\x1b[99999999999999999999999999Ab\r", "a99999999999Ab"),
        (b"ls\x1b", ""),
    ],
)
def test_editing(data: bytes, line: str) -> None:
    assert (lines(data) or [""])[0] == line


def test_a_paste_hides_no_line() -> None:
    assert lines(b"\x1b[200~true\ntouch X\n\x1b[201~\r") == ["true", "touch X", ""]
    assert lines(b"\x1b[200~true; touch X\r") == ["true; touch X"]
    assert lines(b"\x1b[200~a\tb\x1b[201~\tc\r") == ["a\tbc"]


def test_a_tab_is_shown() -> None:
    editor = Editor()
    editor.prompt("$ ")
    assert b"a^Ib" in editor.feed(b"\x1b[200~a\tb").echo


def test_keys_that_are_no_text() -> None:
    assert typed(b"abc\x03d\r") == [Pressed("^C"), Entered("d")]
    assert typed(b"\x04") == [Pressed("^D")]
    editor = Editor()
    editor.program(echo=True)
    assert editor.feed(b"abc\x1a").typed == Pressed("^Z")
    assert editor.feed(b"abc\x1c").typed == Pressed("^\\")


def test_history_goes_back_and_forth_and_keeps_what_was_begun() -> None:
    editor = Editor()
    for line in ("one", "two", "two", " "):
        editor.remember(line)
    up, down = b"\x1b[A", b"\x1b[B"
    for keys, line in [
        (up, "two"),
        (up + up, "one"),
        (up + up + up, "one"),
        (b"dra" + up + down + b"ft", "draft"),
        (up + b"!", "two!"),
    ]:
        assert typed(keys + b"\r", editor) == [Entered(line)]


def test_a_line_of_several_comes_back_as_one() -> None:
    editor = Editor()
    editor.remember("cat <<E\n$(touch X)\nE")
    assert typed(b"\x1b[A\r", editor) == [Entered("cat <<E\n$(touch X)\nE")]


def test_limits() -> None:
    editor = Editor()
    editor.prompt("$ ")
    assert BELL not in editor.feed(b"x" * LINE_LIMIT).echo
    assert editor.feed(b"x").echo.endswith(BELL)
    assert editor.feed("é".encode()).echo.endswith(BELL)
    assert len(editor.text) == LINE_LIMIT
    for number in range(HISTORY_LIMIT + 5):
        editor.remember(f"n{number}")
    assert typed(b"\x1b[A" * (HISTORY_LIMIT + 50) + b"\r", editor) == [Entered("n5")]


def test_a_recalled_line_longer_than_the_limit_takes_nothing_more() -> None:
    editor = Editor()
    editor.remember("y" * (LINE_LIMIT + 10))
    assert typed(b"\x1b[Azz\r", editor) == [Entered("y" * (LINE_LIMIT + 10))]


@pytest.mark.parametrize("columns", [0, 1, 2, 80, 2**32 - 1, -1])
def test_any_width_a_client_claims(columns: int) -> None:
    editor = Editor(columns)
    editor.prompt("agent@web-1:~$ ")
    assert editor.feed("wide 漢字 line".encode() * 9 + b"\x1b[D\x01\r").typed == Entered("wide 漢字 line" * 9)


def test_without_echo_nothing_is_drawn() -> None:
    editor = Editor()
    editor.program(echo=False)
    fed = editor.feed(b"secr\x7fret\x15hunter2\r")
    assert fed.typed == Entered("hunter2")
    assert fed.echo == b"\r\n"


def test_a_cooked_line_only_grows_and_shrinks_at_its_end() -> None:
    editor = Editor()
    editor.program(echo=True)
    fed = editor.feed("ab漢\x7f\x1b[D\x1b[Ac\r".encode())
    assert fed.typed == Entered("abc")
    assert fed.echo == "ab漢".encode() + b"\b \b\b \b" + b"c\r\n" + BELL


KEYS = [name.encode() for name in CONTROLS] + [b"\x1b" + name.encode() for name in SEQUENCES] + [b"\x04"]
TEXTS = st.text(alphabet="ab cdé\u0301\t", max_size=9).map(str.encode)
TYPING = st.lists(st.one_of(TEXTS, st.sampled_from(KEYS)), max_size=25)


@given(TYPING, st.integers(4, 30), st.lists(st.integers(1, 4), max_size=40))
def test_the_screen_shows_the_line_and_the_cursor_stands_where_it_edits(
    typing: list[bytes], columns: int, cuts: list[int]
) -> None:
    editor = Editor(columns)
    editor.remember("an earlier line that wraps")
    editor.remember("two\nlines")
    screen = pyte.Screen(columns, 60)
    stream = pyte.Stream(screen)
    stream.feed(editor.prompt("a@w:~$ ").decode())
    data = b"".join(typing)
    for cut in [*cuts, len(data)]:
        fed = editor.feed(data[:cut])
        stream.feed(fed.echo.decode().replace("\a", ""))
        if fed.typed is not None:
            return
        data = data[cut:]
    expected = pyte.Screen(columns, 60)
    plain = pyte.Stream(expected)
    shown = ("a@w:~$ " + editor.text).replace("\t", "^I").replace("\n", "\r\n")
    plain.feed(shown)
    assert [line.rstrip() for line in screen.display] == [line.rstrip() for line in expected.display]
    before = editor.text[: editor._cursor]
    cursor = pyte.Screen(columns, 60)
    pyte.Stream(cursor).feed(("a@w:~$ " + before + "x").replace("\t", "^I").replace("\n", "\r\n"))
    if editor._cursor == len(editor.text):  # elsewhere the next character may be a wide one, or none of its own
        assert (screen.cursor.y, screen.cursor.x) == (cursor.cursor.y, cursor.cursor.x - 1)


def test_wide_characters_take_two_cells() -> None:
    """Not at the margin, where pyte, unlike terminals, cuts them."""
    editor = Editor(40)
    screen = pyte.Screen(40, 5)
    stream = pyte.Stream(screen)
    for data in (editor.prompt("$ "), editor.feed("漢字kanji\x1b[D\x01漢\x05\x7f\x7f".encode()).echo):
        stream.feed(data.decode())
    assert screen.display[0].replace(" ", "") == "$漢漢字kan"
    assert screen.cursor.x == 2 + 6 + 3


@given(st.binary(max_size=200), st.lists(st.integers(1, 7)))
def test_any_split_of_the_bytes_gives_the_same(data: bytes, cuts: list[int]) -> None:
    whole = typed(data)
    editor = Editor()
    editor.prompt("$ ")
    found: list[Entered | Pressed] = []
    for cut in [*cuts, len(data)]:
        piece, data = data[:cut], data[cut:]
        while piece:
            fed = editor.feed(piece)
            piece = fed.rest
            if fed.typed is not None:
                found.append(fed.typed)
                editor.prompt("$ ")
    assert found == whole
