"""Denying: the reason, and the dialog that asks for it."""

from __future__ import annotations

from textual import events

from bastion.control import wire
from bastion.model import Choice
from tests.tui.conftest import HIGH, MEDIUM, Open, three
from tui.samples import NOW, vote


async def test_denying_sends_the_reason(console: Open) -> None:
    async with console(three()) as it:
        await it.press("d")
        await it.told("DENY r-00000001", "the agent reads this")
        await it.press(*"not", "space", *"now", "enter")
        await it.told("denied by ana: not now")
        assert it.bastion.votes == [(MEDIUM, Choice.DENY, "not now")]


async def test_denying_can_be_given_up_and_needs_words(console: Open) -> None:
    async with console(three()) as it:
        await it.press("d", "enter")
        assert "a few words" in it.screen
        await it.press("space", "enter")
        assert "a few words" in it.screen
        await it.press("escape")
        assert "DENY" not in it.screen
        assert it.bastion.votes == []


async def test_keys_behind_d_go_nowhere_but_into_the_reason(console: Open) -> None:
    """Typed ahead, before the dialog is drawn."""
    async with console(three()) as it:
        it.wait_seconds(2)
        await it.pilot.press("d", "a", "y", "x", "q", "enter")
        await it.pilot.pause()
        assert all(choice is Choice.DENY for _, choice, _ in it.bastion.votes)
        assert not any(isinstance(call, wire.KillSession) for call in it.bastion.calls)
        assert it.app.is_running


async def test_the_dialog_stays_when_its_request_ends_and_swallows_what_is_typed(console: Open) -> None:
    """If it closed by itself, the rest of the sentence would press keys on the screen under it."""
    async with console(three()) as it:
        await it.press("d", *"because")
        it.bastion.change(MEDIUM, state="expired", decided=NOW)
        await it.told("too late", "Esc closes")
        await it.press(*"a way y", "enter")
        assert it.bastion.votes == []
        assert "Esc closes" in it.screen
        await it.press("escape")
        assert it.selected == MEDIUM
        assert it.bastion.votes == []


async def test_a_change_under_a_dialog_is_new_when_it_closes(console: Open) -> None:
    async with console(three()) as it:
        await it.press("down", "d")
        it.bastion.change(HIGH, votes=[vote("eve", "approve")])
        await it.until(lambda: it.app.view.items[HIGH].info.votes)
        await it.press("escape", after=5)
        await it.press("a", after=0.5)
        assert "just changed by itself" in it.screen
        await it.press("a")
        assert "y = yes" in it.screen


async def test_a_reason_is_sent_without_control_characters(console: Open) -> None:
    async with console(three()) as it:
        await it.press("d")
        await it.told("DENY")
        it.app.post_message(events.Paste("no\x1b[2J \u202eway\nmore"))
        await it.pilot.pause()
        await it.press("enter")
        await it.told("denied by ana: no[2J way")
        assert it.bastion.votes == [(MEDIUM, Choice.DENY, "no[2J way")]
