"""tui/columns.py"""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tui import columns
from tui.items import Item
from tui.order import Pane
from tui.samples import NOW, S, request, session
from tui.widgets.paint import STYLES


def text(pane: Pane, one: object, width: int, now: int = NOW) -> str:
    return "".join(part for part, _ in columns.row(pane, one, now, width))  # type: ignore[arg-type]


@given(st.sampled_from([Pane.QUEUE, Pane.DECIDED]), st.integers(80, 300), st.binary(max_size=300), st.text(), st.text())
def test_every_row_is_as_wide_as_its_header(pane: Pane, width: int, command: bytes, agent: str, target: str) -> None:
    info = msgspec.structs.replace(request(), command=command, identity=agent, target=target, status=agent)
    parts = columns.row(pane, Item.first(info), NOW, width)
    assert len("".join(part for part, _ in parts)) == width - columns.MARK
    assert {style for _, style in parts} <= set(STYLES)
    assert len(columns.header(pane, width)) == width


@given(st.integers(80, 300), st.text(), st.integers(0, 10**20))
def test_sessions_too(width: int, words: str, size: int) -> None:
    one = session(identity=words, client=words, target=words, state=words, output_bytes=size)
    assert len(text(Pane.SESSIONS, one, width)) == width - columns.MARK


@pytest.mark.parametrize(
    ("fields", "risk"),
    [
        ({}, "!  46 med"),
        ({"tier": "high", "score": 91}, "!! 91 high"),
        ({"tier": "high", "score": 100}, "!!100 high"),
        ({"tier": "low", "score": 0}, "-   0 low"),
        ({"tier": "unrated", "score": None}, "?  unrated"),
        ({"state": "expired"}, "EXPIRED"),
    ],
)
def test_risk_is_said_in_words(fields: dict[str, object], risk: str) -> None:
    assert f" {risk} " in text(Pane.QUEUE, Item.first(request(**fields)), 80) + " "


def test_tampered_is_said_in_the_list() -> None:
    bad = msgspec.structs.replace(request(), command=b"x")
    assert "TAMPERED" in text(Pane.QUEUE, Item.first(bad), 80)


def test_the_queue_shows_what_the_design_promises() -> None:
    row = text(Pane.QUEUE, Item.first(request()), 80, NOW + 5 * S)
    for words in ("9s", "51s", "46 med", "claude-ops", "web-1", "systemctl restart nginx"):
        assert words in row
    assert "root@web-1" in text(Pane.QUEUE, Item.first(request()), 120)
    assert "r-7f3a0c11" in text(Pane.QUEUE, Item.first(request()), 160)


def test_what_is_cut_is_counted() -> None:
    assert "bytes" in text(Pane.QUEUE, Item.first(request(command=b"x" * 500)), 80)


@pytest.mark.parametrize(
    ("number", "shown"), [(0, "0"), (999, "999"), (1000, "1.0k"), (99_949, "99.9k"), (99_950, "100k"), (10**9, "1.0G")]
)
def test_sizes(number: int, shown: str) -> None:
    assert columns._bytes(number) == shown
