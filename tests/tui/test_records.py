"""The screens that list what the bastion keeps, the policy's, and the palette."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bastion import errors
from bastion.control import wire
from tests.tui.conftest import Console, Open
from tui import records
from tui.figures import stats_document
from tui.palette import Palette
from tui.sample_bastion import Bastion
from tui.samples import NOW, request
from tui.screens.main import MainScreen
from tui.screens.records import PolicyScreen, RecordsScreen
from tui.widgets.paint import STYLES


def ended(it: Console, kind: type[wire.Call]) -> list[Any]:
    return [call for call in it.bastion.calls if isinstance(call, kind)]


@pytest.mark.parametrize("size", [(80, 24), (250, 60), (20, 5), (40, 10)])
@pytest.mark.parametrize(
    ("key", "words"),
    [
        ("4", ("LEDGER", "request.decided", "r-b7702e15")),
        ("5", ("WHITELIST", "w-0a1b2c3d", "systemctl status {unit}")),
        ("6", ("GRANTS AND FREEZES", "g-19ac03ee", "claude-ops")),
        ("7", ("POLICY", "two people approve")),
        ("8", ("FIGURES", "approvers", "hardly read")),
    ],
)
async def test_each_screen_opens_and_closes(
    console: Open, key: str, words: tuple[str, ...], size: tuple[int, int]
) -> None:
    async with console(size=size) as it:
        await it.press(key)
        await it.until(lambda: not it.app.screen.problem)  # type: ignore[attr-defined]
        if size[0] >= 80:
            for word in words:
                assert word in it.screen
        await it.press("down", "space", "G", "home", "r", "escape")
        assert isinstance(it.app.screen, MainScreen)


async def test_the_detail_follows_the_row(console: Open) -> None:
    async with console() as it:
        await it.press("5")
        await it.told("signed by", "systemctl status {unit}")
        await it.press("down")
        await it.told("nginx -t")
        assert "made from nginx -t" in " ".join(it.screen.split())


async def test_ending_asks_and_a_held_key_does_not_answer(console: Open) -> None:
    async with console() as it:
        it.bastion.act = lambda call: it.bastion.calls[-1]  # type: ignore[method-assign]
        await it.press("6", "x")
        await it.told("REVOKE g-19ac03ee? Sessions of claude-ops on web-1 are cut", "y = yes")
        await it.press("y", after=0.01)
        assert not ended(it, wire.RevokeGrant)
        await it.press("escape")
        await it.press("x", "n", "x", "x")
        assert not ended(it, wire.RevokeGrant)
        await it.press("y")
        await it.until(lambda: ended(it, wire.RevokeGrant))
        assert ended(it, wire.RevokeGrant)[0].grant == "g-19ac03ee"


async def test_a_freeze_stands_first_and_can_be_lifted(console: Open) -> None:
    async with console() as it:
        it.bastion.freezes.append(
            wire.FreezeInfo(id="f-1", scope="all", name="", mode="refuse", reason="odd", by="bob", since=NOW)
        )
        await it.press("6")
        await it.told("f-1", "everything", "nothing new runs")
        await it.press("x")
        await it.told("LIFT f-1? everything runs again")
        await it.press("y")
        await it.until(lambda: ended(it, wire.LiftFreeze))
        await it.until(lambda: "f-1" not in it.screen or "done" in it.screen)


async def test_an_auditor_ends_nothing(console: Open) -> None:
    async with console() as it:
        it.app.view.powerless = "this console only shows"
        await it.press("6", "x")
        await it.told("this console only shows")
        await it.press("y")
        assert not ended(it, wire.RevokeGrant)


async def test_the_ledgers_pages(console: Open) -> None:
    async with console() as it:
        await it.press("4")
        await it.told("207")
        assert ended(it, wire.ListLedger)[-1].after == 11
        await it.press("left")
        await it.until(lambda: len(ended(it, wire.ListLedger)) == 2)
        assert ended(it, wire.ListLedger)[-1].after == -1
        await it.press("right")
        await it.until(lambda: len(ended(it, wire.ListLedger)) == 3)
        assert ended(it, wire.ListLedger)[-1].after == 11


async def test_the_policy_as_it_is_written(console: Open) -> None:
    async with console() as it:
        await it.press("7")
        await it.told("two people approve: delete, drop_table")
        await it.press("tab")
        await it.told('policy "shop" {', "never wipe")


async def test_figures_of_other_times(console: Open) -> None:
    async with console() as it:
        await it.press("8")
        await it.told("last 30 days")
        await it.press("tab")
        await it.told("last 7 days")
        await it.until(lambda: len(ended(it, wire.ShowStats)) == 2)
        first, second = ended(it, wire.ShowStats)
        assert second.since - first.since == 23 * 86_400_000_000


async def test_a_lost_connection_is_said(console: Open) -> None:
    async with console() as it:
        await it.press("5")
        await it.told("signed by")
        it.bastion.down = errors.Unreachable("gone")
        it.bastion.lose()
        await it.told("NOT CONNECTED: this is old")
        await it.press("x")
        await it.told("not connected: nothing was done")


async def test_a_click_picks_a_row(console: Open) -> None:
    async with console() as it:
        await it.press("5")
        await it.told("signed by")
        await it.pilot.click("#look-rows", offset=(5, 1))
        await it.told("nginx -t")
        assert it.app.screen.query_one("Table").chosen == "w-77e0d112"  # type: ignore[attr-defined]


# --- pure


TEXTS = st.text(max_size=30) | st.sampled_from(["\x1b[2J", "[bold]", "\u202e", "a\nb"])


def harmless(document: Any) -> None:
    for at in range(len(document)):
        for text, style in document.row(at).parts:
            assert style in STYLES
            assert all(" " <= char <= "~" or char in "⏎⟨⟩…" for char in text), text


@given(TEXTS, TEXTS, TEXTS, st.integers(-1, 2**62))
def test_hostile_rows(one: str, two: str, three: str, number: int) -> None:
    entry = json.dumps({"type": one, "actor": two, "t": str(number), "request": three, "body": {two: one, one: [two]}})
    answers: records.Answers = {
        "ledger": [
            wire.LedgerLine(seq=1, leaf=one, entry=entry.encode()),
            wire.LedgerLine(seq=2, leaf=one, entry=three.encode()),
        ],
        "whitelist": [
            wire.WhitelistInfo(id=one, command=two.encode(), identity=three, target=one, login=two, by=three,
                               expires=number, pattern=one, env=two, code=three, tier=one)
        ],
        "grants": [
            wire.GrantInfo(id=one, identity=two, target=three, added=number, expires=number, reason=one, by=two,
                           request=three, in_force=True)
        ],
        "freezes": [
            wire.FreezeInfo(id=one, scope=two, name=three, mode=one, reason=two, by=three, since=number)
        ],
    }  # fmt: skip
    for listing in records.LISTINGS.values():
        for record in listing.records(answers, NOW):
            assert len(record.cells) == len(listing.columns)
            harmless(records.detail(record, "", 80))
    policy = wire.PolicyInfo(name=one, digest=two, texts=[(three, one)], sentences=[(two, three)], freezes=[])
    fields = dict.fromkeys(wire.StatsInfo.__struct_fields__, 0)
    tallies = [wire.TallyInfo(name=one, requests=1, held=1, approved=1, denied=1, expired=1)]
    person = wire.ApproverInfo(name=two, approved=1, denied=1, quick=1, unsigned=1, p50=1, p95=1, warning=three)
    asking = wire.AskingInfo(
        command=one.encode(), identity=two, login=three, target=one, tier=two, held=1, settles=1, line=three, why=one
    )
    lists: dict[str, Any] = {"days": tallies, "identities": tallies, "environments": tallies, "approvers": [person]}
    lists |= {"commands": [asking], "rules": [(one, 1)], "refusals": [(two, 1)], "notes": [three]}
    harmless(stats_document(wire.StatsInfo(**fields | lists), 80))
    for explained in (True, False):
        harmless(records.policy_document(policy, explained, 80))


@given(st.integers(4, 300))
def test_columns_fit(width: int) -> None:
    for listing in records.LISTINGS.values():
        sizes = records.widths(listing.columns, width)
        assert len(sizes) >= 2
        assert len(records.picked([""] * 5, sizes)) == len(sizes)
        if width >= 60:
            assert sum(sizes) + len(sizes) - 1 <= width


@pytest.mark.parametrize(("note", "after"), [("o\n212\n", 11), ("o\n5\n", -1), ("", -1), ("o\n-4\n", -1)])
def test_the_newest_page(note: str, after: int) -> None:
    assert records.page_of(note, 0) == after


# --- palette


async def test_the_palette_does_what_a_key_does(console: Open) -> None:
    async with console() as it:
        await it.press("colon")
        await it.until(lambda: isinstance(it.app.screen, Palette))
        await it.press(*"whitelist")
        await it.told("the whitelist: what runs without asking")
        await it.press("enter")
        await it.until(lambda: isinstance(it.app.screen, RecordsScreen))


async def test_the_palette_has_nothing_of_textuals_own(console: Open) -> None:
    async with console() as it:
        await it.press("ctrl+p")
        await it.until(lambda: isinstance(it.app.screen, Palette))
        await it.press(*"screenshot")
        await it.pilot.pause(0.3)
        assert "Save" not in it.screen
        await it.press("escape")
        assert isinstance(it.app.screen, MainScreen)


async def test_the_palette_approves_by_the_same_guards(console: Open) -> None:
    async with console(Bastion([request("r-00000001", tier="high", score=90)], [])) as it:
        await it.press("colon")
        await it.until(lambda: isinstance(it.app.screen, Palette))
        await it.press(*"approve the request on")
        await it.told("approve the request on display")
        await it.press("enter")
        await it.told("y = yes")
        assert it.bastion.votes == []


def test_screens_have_keys() -> None:
    assert {*records.LISTINGS, "policy"} == {"ledger", "whitelist", "access", "policy"}
    assert PolicyScreen.heading == "POLICY"
