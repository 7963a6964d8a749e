"""tui/words.py"""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bastion.model import State, Tier
from tui import words
from tui.samples import NOW, S, request, vote


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(-5, "0s"), (0, "0s"), (59, "59s"), (60, "1m"), (3599, "59m"), (3600, "1h"), (86399, "23h"), (86400, "1d")],
)
def test_duration(seconds: int, shown: str) -> None:
    assert words.duration(seconds * S) == shown


@pytest.mark.parametrize(
    ("micros", "shown"),
    [
        (-1, "due"),
        (0, "due"),
        (1, "1s!"),
        (10 * S, "10s!"),
        (10 * S + 1, "11s"),
        (59 * S, "59s"),
        (60 * S, "1m00s"),
        (97 * S, "1m37s"),
        (599 * S, "9m59s"),
        (600 * S, "10m"),
        (7200 * S, "2h"),
    ],
)
def test_countdown_never_says_less_than_is_left(micros: int, shown: str) -> None:
    assert words.countdown(micros) == shown


@given(st.integers(-(10**18), 10**18))
def test_times_fit_their_columns(micros: int) -> None:
    assert len(words.duration(micros)) <= 4
    assert len(words.countdown(micros)) <= 6


@given(st.integers(-100, 200), st.integers(-100, 100), st.integers(1, 40))
def test_bar(part: int, whole: int, cells: int) -> None:
    drawn = words.bar(part, whole, cells)
    assert len(drawn) == cells
    if part <= 0 or whole <= 0:
        assert "#" not in drawn
    elif part < whole and cells > 1:
        assert drawn[0] == "#"
        assert drawn[-1] == "."


@given(st.text() | st.binary(), st.integers(0, 60))
def test_cell_is_printable_and_fits(data: str | bytes, width: int) -> None:
    shown = words.cell(data, width)
    assert len(shown) <= width
    assert "\n" not in shown
    assert words.plain(shown) == shown


def test_cell_says_what_it_cut() -> None:
    assert words.cell(b"rm -rf /var/lib/postgresql/16/main", 20) == "rm -rf /v… +25 bytes"
    assert words.name("disk-janitor-production", 12) == "disk-janito…"
    assert words.name("disk-janitor", 12) == "disk-janitor"


@given(st.text())
def test_plain_lets_nothing_through_that_moves_hides_or_turns(text: str) -> None:
    for char in words.plain(text):
        assert char.isprintable()
        assert unicodedata.category(char)[0] not in "MC"
        assert unicodedata.bidirectional(char) not in {"R", "AL", "AN"}


@pytest.mark.parametrize("text", ["\x1b[2J", "a\rb", "\u202egnp", "e\u0301", "\u3164", "\u2800", "\x9b31m", "שלום"])
def test_plain_marks(text: str) -> None:
    assert "⟨" in words.plain(text)


def test_plain_leaves_letters_and_our_marks() -> None:
    assert words.plain("Zürich 日本 ⟨ESC⟩⏎… ┌─┐") == "Zürich 日本 ⟨ESC⟩⏎… ┌─┐"


def test_every_tier_and_state_has_a_badge_that_differs_without_colour() -> None:
    assert set(words.TIERS) == set(Tier)
    assert set(words.STATES) == set(State)
    assert len({badge.word for badge in words.TIERS.values()}) == len(Tier)
    assert len({badge.word for badge in words.STATES.values()}) == len(State)


def test_an_unknown_tier_is_shown_as_unrated_and_safely() -> None:
    badge = words.tier_badge("low\x1b[8m")
    assert badge.style == "unrated"
    assert "\x1b" not in badge.word + badge.short


@pytest.mark.parametrize(
    ("fields", "shown"),
    [
        ({}, ""),
        ({"state": "approved", "votes": [vote("ana"), vote("bob")]}, "approved by ana and bob"),
        (
            {"state": "denied", "votes": [vote("bob"), vote("ana", "deny")], "decision_reason": "no\x1b"},
            "denied by ana: no⟨ESC⟩",
        ),
        ({"state": "expired"}, "expired: nobody decided in time, so it was denied"),
        ({"state": "withdrawn", "decision_reason": "gone"}, "withdrawn by the agent: gone"),
        ({"state": "allowed"}, "allowed by rule"),
        ({"state": "odd"}, "odd"),
    ],
)
def test_ending(fields: dict[str, object], shown: str) -> None:
    assert words.ending(request(**fields)) == shown


def test_clock_time_is_utc() -> None:
    assert words.clock_time(NOW) == "2026-11-21 10:13:04 UTC"
    assert words.clock_time(0) == "never"
    assert "epoch" in words.clock_time(1 << 80)
