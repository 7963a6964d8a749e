"""Screens as keyframes: a screen that is dumped and fed to a fresh one is equal, and nothing else is taken."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recorder import keyframe
from recorder.errors import KeyframeError
from recorder.screen import Screen
from tests.recorder.test_screen import OUTPUT, SIZES


def seen(screen: Screen) -> list[object]:
    """All that a person or later output could tell of a screen, taken from the emulator itself and not from a dump."""
    page, terminal = screen._page, screen._terminal

    def cursor(one: Any) -> tuple[object, ...]:
        return one.x, one.y, one.attrs[1:], bool(one.hidden)

    def rows(some: Any) -> list[object]:
        return [[some[y][x] for x in range(500)] if y in some else None for y in range(page.lines)]

    return [
        (page.columns, page.lines, terminal.newline, terminal.last, terminal.combined),
        rows(page.buffer),
        (rows(terminal.main[0]), cursor(terminal.main[1])) if terminal.main else None,
        cursor(page.cursor),  # x = columns: the next character wraps
        [(cursor(one.cursor), one[1:]) for one in page.savepoints],
        (page.mode, page.margins, page.charset, page.g0_charset, page.g1_charset, page.tabstops),
        screen._parser.state(),
    ]


@given(OUTPUT, OUTPUT, SIZES, st.none() | SIZES)
@settings(deadline=None)
def test_a_keyframe_in_a_fresh_screen_goes_on_the_same(
    before: bytes, after: bytes, size: tuple[int, int], later: tuple[int, int] | None
) -> None:
    """A screen dumped and fed to a fresh screen is equal (asciinema's avt has this property)."""
    screen = Screen(*size)
    screen.feed(before)
    if later:
        screen.resize(*later)
    dumped = screen.keyframe()
    fresh = Screen.restore(json.loads(json.dumps(dumped)))
    assert seen(fresh) == seen(screen)
    assert fresh.keyframe() == dumped
    for each in (screen, fresh):
        each.feed(after)
        each.resize(*size)
        each.feed(b"x\x1b8y\tz\x1b[?1049lw")
    assert seen(fresh) == seen(screen)


STATES = {
    "wraps next": b"a" * 20,
    "wide at the edge": "漢字".encode() * 5,
    "combining": "e\u0301".encode() * 9,
    "half a character": "漢".encode()[:2],
    "half a sequence": b"\x1b[38;5",
    "in a string": b"\x1b]0;tit",
    "alternate": b"\x1b[31mmain\x1b[?1049h\x1b[2;3Hother",
    "saved": b"\x1b[5;5H\x1b[1m\x1b(0\x1b7\x1b(B\x1b[H",
    "margins and origin": b"\x1b[2;4r\x1b[?6h\x1b[2;2H",
    "tabs": b"\x1b[3g\x1b[1;5H\x1bH\r",
    "insert, no wrap, hidden": b"abc\r\x1b[4h\x1b[?7l\x1b[?25l",
    "drawing": b"\x1b(0lqk\x0e",
    "repeats": b"-",
    "background": b"\x1b[44m\x1b[2J\x1b[38;2;1;2;3;9mx",
}


@pytest.mark.parametrize("name", STATES)
def test_each_part_of_the_state(name: str) -> None:
    screen = Screen(20, 5)
    screen.feed(STATES[name])
    fresh = Screen.restore(json.loads(json.dumps(screen.keyframe())))
    assert seen(fresh) == seen(screen)
    blank = Screen(20, 5)
    assert seen(blank) != seen(screen), "the case is no case"


def good() -> dict[str, Any]:
    screen = Screen(20, 5)
    screen.feed(b"\x1b7\x1b[2;4rmain \x1b[31mred\x1b[?1049h" + "漢e\u0301".encode())
    return json.loads(json.dumps(screen.keyframe()))  # type: ignore[no-any-return]


WRONG: list[tuple[str, object]] = [
    ("v", 1), ("v", None), ("size", [0, 5]), ("size", [501, 5]), ("size", [20, 201]), ("size", [20.0, 5]),
    ("size", [True, 5]), ("newline", 1), ("parser", ["NOWHERE", "", "", 0]), ("parser", ["CSI", "x" * 999, "", 0]),
    ("parser", ["GROUND", "", "ff" * 99, 0]), ("parser", ["GROUND", "", "zz", 0]), ("parser", ["GROUND", "", "", 7]),
    ("combined", -1), ("last", "\x1b"), ("last", 7), ("buffer", [[5, 0, " "]]), ("buffer", [[0, 99, " "]]),
    ("buffer", [[0, 0, "\x1b"]]), ("buffer", [[0, 0, " ", [20, 0, ["a"]]]]),
    ("buffer", [[0, 0, " ", [0, 0, ["\u202e"]]]]),
    ("buffer", [[0, 0, " ", [0, 0, ["a" * 9]]]]), ("buffer", [[0, 0, " ", [0, 0, ["a"] * 21]]]), ("buffer", {"a": 1}),
    ("buffer", [[0, 0, " ", [0, 0, [None]]]]), ("buffer", [[0, 0, " "]] * 6), ("main", [[], [0, 0, 99, False]]),
    ("main", 5), ("cursor", [21, 0, 0, False]), ("cursor", [0, 5, 0, False]), ("cursor", [0, 0, 0, 0]),
    ("cursor", [-1, 0, 0, False]), ("saved", [[[0, 0, 0, False], "B", "0", 0, False, True]] * 2),
    ("saved", [[[0, 0, 0, False], "Q", "0", 0, False, True]]), ("modes", [4, 12345]), ("modes", [[]]),
    ("margins", [3, 3]), ("margins", [0, 5]), ("margins", [2]), ("charset", [2, "B", "0"]), ("charset", [0, "?", "0"]),
    ("tabs", [501]), ("tabs", ["8"]), ("attributes", [["red\x1b", "default"] + [False] * 6]),
    ("attributes", [["red", "default"] + [False] * 5]), ("attributes", [["red", "default"] + [0] * 6]),
    ("attributes", []), ("attributes", [["12345G", "default"] + [False] * 6]),
]  # fmt: skip


@pytest.mark.parametrize(("name", "value"), WRONG)
def test_what_no_screen_could_be_in_is_refused(name: str, value: object) -> None:
    assert Screen.restore(good())
    with pytest.raises(KeyframeError):
        Screen.restore({**good(), name: value})


@pytest.mark.parametrize("name", good())
def test_nothing_may_be_missing(name: str) -> None:
    value = good()
    del value[name]
    with pytest.raises(KeyframeError):
        Screen.restore(value)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 600) | st.sampled_from(["", "B", "0", "a", "\x1b", "GROUND"]),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=12,
)


@given(st.data())
@settings(deadline=None)
def test_any_change_is_refused_or_gives_a_screen_that_can_be_used(data: st.DataObject) -> None:
    value: Any = copy.deepcopy(good())
    at = value
    path = [data.draw(st.sampled_from(sorted(value)))]
    while isinstance(at[path[-1]], list) and at[path[-1]] and data.draw(st.booleans()):
        at = at[path[-1]]
        path.append(data.draw(st.integers(0, len(at) - 1)))
    at[path[-1]] = data.draw(JSON)
    try:
        screen = Screen.restore(value)
    except KeyframeError:
        return
    screen.feed(b"abc\r\n\x1b[9;9Hx\x1b[?1049l\x1b8y\x1b[2J")
    screen.resize(3, 3)
    assert len([screen.row(y) for y in range(3)]) == 3


@given(st.binary(max_size=200) | st.text(max_size=50).map(str.encode))
def test_bytes_are_json_or_refused(data: bytes) -> None:
    try:
        value = keyframe.decode(data)
    except KeyframeError:
        return
    with pytest.raises(KeyframeError):
        Screen.restore(value)


def test_deep_and_large_json_is_refused() -> None:
    with pytest.raises(KeyframeError):
        keyframe.decode(b"[" * 1_000_000)
    with pytest.raises(KeyframeError):
        keyframe.decode(b" " * (keyframe.SIZE_LIMIT + 1))
    assert keyframe.decode(b" " * 100 + b"1") == 1
