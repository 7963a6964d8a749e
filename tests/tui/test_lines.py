"""tui/lines.py: the one-row texts."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bastion.control import wire
from tui import lines
from tui.items import Item
from tui.lines import Link
from tui.order import Pane
from tui.paper import Parts
from tui.samples import NOW, S, request, session, vote
from tui.view import View

WELCOME = wire.Welcome(version=1, origin="bastion.example/1", identity="ana", roles=["approver"], checkpoint="")


def said(parts: tuple[Parts, Parts]) -> str:
    return "".join(text for part in parts for text, _ in part)


@pytest.mark.parametrize(
    ("link", "words"),
    [
        (Link(), "connecting"),
        (Link(WELCOME, up=True), "* live"),
        (Link(WELCOME, reason="x", retry_at=104.2, down_since=97.0), "NOT CONNECTED for 3s, next try in 5 s"),
        (Link(WELCOME, reason="x", retry_at=99.0, down_since=100.0), "next try in 1 s"),
        (Link(WELCOME, reason="x", down_since=40.0), "NOT CONNECTED for 1m, r tries again"),
    ],
)
def test_status(link: Link, words: str) -> None:
    text = said(lines.status("here:2222", link, 3, 1, 100.0))
    assert words in text
    assert "3 held (1 hidden)" in text
    assert "here:2222" in text
    assert ("ana (approver)" in text) is (link.welcome is not None)


def test_status_names_the_ledger_where_no_title_is_given() -> None:
    assert "bastion.example/1" in said(lines.status("", Link(WELCOME, up=True), 0, 0, 0.0))


def test_the_active_pane_is_marked_without_colour() -> None:
    view = View()
    for pane in Pane:
        view.show(pane, 0.0)
        assert said(lines.tabs(view)).count("[") == 1
        assert f"[{list(Pane).index(pane) + 1} {pane}" in said(lines.tabs(view))
        assert ("[" in said(lines.caption(view, Pane.QUEUE))) is (pane is Pane.QUEUE)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({}, ["HELD", "r-7f3a0c11", "! 46 medium", "56s left", "[#"]),
        ({"approvals": 2, "votes": [vote("bob")]}, ["1 of 2 approvals"]),
        ({"age": 51}, ["9s! left"]),
        ({"age": 60}, [" due "]),
        ({"state": "denied"}, ["DENIED"]),
        ({"tier": "unrated", "score": None}, ["? unrated"]),
    ],
)
def test_headline(fields: dict[str, object], words: list[str]) -> None:
    text = said(lines.headline(Item.first(request(**fields)), NOW, 100))
    for word in words:
        assert word in text


def test_headline_of_trouble_sessions_and_nothing() -> None:
    bad = request(digest="0" * 64)
    assert "TAMPERED" in said(lines.headline(Item.first(bad), NOW, 100))
    assert "SESSION s-" in said(lines.headline(session(), NOW, 100))
    assert "nothing selected" in said(lines.headline(None, NOW, 100))


@given(st.text(), st.text(), st.integers(-(10**12), 10**12), st.integers(0, 300))
def test_headline_is_harmless_and_one_row(id: str, tier: str, left: int, width: int) -> None:
    info = wire.RequestInfo(
        **{f: getattr(request(), f) for f in request().__struct_fields__} | {"id": id, "tier": tier}
    )
    text = said(lines.headline(Item.first(info), info.expires - left * S, width))
    assert text.isprintable()
    assert len(text) <= max(width, 150)
