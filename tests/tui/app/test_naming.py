"""The target's name, typed, in place of a second key."""

from __future__ import annotations

import pytest
from textual import events

from bastion.model import Choice
from tests.tui.conftest import HIGH, MEDIUM, UNRATED, Console, Open, three
from tui.app import BastionConsole
from tui.sample_bastion import Bastion
from tui.samples import NOW, request

NAME = (*"web", "minus", "1")
ASKS = "type the target's name"


async def test_the_second_key_is_the_default(console: Open) -> None:
    async with console(three()) as it:
        await it.press("down", "a")
        assert "y = yes" in it.screen
        assert ASKS not in it.screen


@pytest.mark.parametrize(("down", "which"), [(1, HIGH), (2, UNRATED)])
async def test_the_name_approves_high_and_unrated_risk(console: Open, down: int, which: str) -> None:
    async with console(three(), confirm="target") as it:
        await it.press(*["down"] * down, "a")
        await it.told("APPROVE", "root@web-1", ASKS)
        await it.press(*NAME)
        assert it.bastion.votes == []
        await it.press("enter")
        await it.told("counts")
        assert it.bastion.votes == [(which, Choice.APPROVE, "")]


async def test_medium_risk_still_takes_one_key(console: Open) -> None:
    async with console(three(), confirm="target") as it:
        await it.press("a")
        await it.told("counts")
        assert it.bastion.votes == [(MEDIUM, Choice.APPROVE, "")]


@pytest.mark.parametrize("typed", ["y", "", "web", "web-11", "WEB-1", " web-1", "db-1"])
async def test_nothing_else_does(console: Open, typed: str) -> None:
    names = {"-": "minus", " ": "space"}
    async with console(three(), confirm="target") as it:
        await it.press("down", "a")
        await it.told(ASKS)
        await it.press(*(names.get(char, char) for char in typed), "enter", "y")
        assert it.bastion.votes == []
        await it.press("escape", "y")
        assert ASKS not in it.screen
        assert it.bastion.votes == []


async def test_a_name_is_not_pasted(console: Open) -> None:
    async with console(three(), confirm="target") as it:
        await it.press("down", "a")
        await it.told(ASKS)
        it.app.post_message(events.Paste("web-1"))
        await it.pilot.pause()
        await it.press("enter")
        await it.told("not the name")
        it.wait_seconds(2)
        await it.pilot.press(*NAME, "enter")  # a terminal without marks for pastes
        await it.told("look like a paste")
        assert it.bastion.votes == []


async def test_a_request_that_ends_or_changes_meanwhile_is_not_approved(console: Open) -> None:
    async with console(three(), confirm="target") as it:
        await it.press("down", "a")
        await it.told(ASKS)
        await it.press(*NAME)
        it.bastion.change(HIGH, state="expired", decided=NOW)
        await it.told("Esc closes", "too late")
        await it.press("enter")
        assert it.bastion.votes == []
        await it.press("escape", "down", "a")
        await it.told(ASKS)
        it.bastion.put(request(UNRATED, age=10, tier="unrated", score=None, command=b"rm -rf /"))
        await it.told("TAMPERED")
        await it.press(*NAME, "enter")
        assert it.bastion.votes == []


async def flood(it: Console, kind: str, more: int = 100) -> None:
    """So many other requests come, of which half are changed at once."""
    for number in range(more):
        it.bastion.put(request(f"r-{kind}{number:06x}", age=1))
    for number in range(0, more, 2):
        it.bastion.change(f"r-{kind}{number:06x}", state="expired", decided=NOW)
    await it.until(lambda: f"r-{kind}{more - 1:06x}" in it.app.view.items)


@pytest.mark.parametrize("confirm", ["key", "target"])
async def test_under_a_flood_of_changes(console: Open, confirm: str) -> None:
    """What goes on elsewhere neither ends the question nor answers it, and acts on no other request."""
    async with console(three(), confirm=confirm) as it:
        await it.press("down")
        await flood(it, "ea")
        await it.press("a")
        await it.told("APPROVE r-00000002")
        await flood(it, "eb")
        assert "APPROVE r-00000002" in it.screen
        if confirm == "key":
            await it.press("y")
        else:
            for char in NAME:
                await it.press(char, after=0.3)
                it.bastion.put(request(f"r-ec{ord(char[0]):06x}", age=1))
            await it.press("enter")
        await it.told("counts")
        assert it.bastion.votes == [(HIGH, Choice.APPROVE, "")]


@pytest.mark.parametrize("confirm", ["key", "target"])
async def test_under_a_flood_that_changes_it_there_are_700_ms(console: Open, confirm: str) -> None:
    async with console(three(), confirm=confirm) as it:
        await it.press("down", "a")
        await it.told("APPROVE r-00000002")
        await it.press(*(NAME if confirm == "target" else ()))
        it.bastion.change(HIGH, escalated=["second-line"])
        await it.until(lambda: it.app.view.items[HIGH].info.escalated)
        await it.press("enter" if confirm == "target" else "y", after=0.4)
        assert it.bastion.votes == []


async def test_identical_ones_and_edits_take_the_name_too(console: Open) -> None:
    same = [request(f"r-0000000{at}", age=30 - at, tier="high", score=90) for at in range(3)]
    async with console(Bastion(same, []), confirm="target") as it:
        await it.press("i")
        await it.told("APPROVE 3 identical requests")
        await it.press("y")
        await it.told("APPROVE 3 identical requests on root@web-1", ASKS)
        assert it.bastion.votes == []
        await it.press(*NAME, "enter")
        await it.told("3 of 3 votes count")


async def test_an_edit_of_high_risk_takes_the_name(console: Open) -> None:
    bastion = three()
    async with console(bastion, confirm="target", size=(100, 30)) as it:
        await it.press("down", "e")
        await it.told("EDIT r-00000002")
        await it.press("end", "x", "ctrl+s")
        await it.told("APPROVE THIS IN ITS PLACE?")
        await it.press("y")
        await it.told(ASKS)
        assert not any(info.edits for info in bastion.requests.values())
        await it.press(*NAME, "enter")
        await it.until(lambda: any(info.edits == HIGH for info in bastion.requests.values()))


def test_another_word_than_key_or_target_is_refused() -> None:
    with pytest.raises(Exception, match="key or target"):
        BastionConsole(Bastion().connect, confirm="maybe")
