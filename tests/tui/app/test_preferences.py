"""Preferences that the bastion keeps: read where the console is served, set by their owner."""

from __future__ import annotations

from textual import events

from tests.tui.conftest import Open, three
from tui import messages

TEXT = "theme = bastion-light\nconfirm = target\nrequest.approve = f2\n"


async def test_a_served_console_takes_them_over(console: Open) -> None:
    async with console(three(), served=True) as it:
        it.app.post_message(messages.Kept(TEXT))
        await it.until(lambda: it.app.theme == "bastion-light")
        await it.press("down", "a")
        assert "APPROVE" not in it.screen
        await it.press("f2")
        await it.told("type the target's name")


async def test_one_on_the_own_machine_does_not(console: Open) -> None:
    async with console(three()) as it:
        it.app.post_message(messages.Kept(TEXT))
        await it.pilot.pause()
        assert it.app.theme == "bastion-dark"
        await it.press("down", "a")
        await it.told("y = yes")


async def test_what_it_does_not_know_it_says_and_goes_on_without(console: Open) -> None:
    for text in ("request.approve = y\n", "no.such_key = f2\n", "theme = pink\n", "nonsense"):
        async with console(three(), served=True, size=(120, 30)) as it:
            it.app.post_message(messages.Kept(text))
            await it.told("your preferences were not used")
            await it.press("down", "a")
            await it.told("y = yes")


async def test_keys_that_change_under_a_finger_do_nothing_for_700_ms(console: Open) -> None:
    async with console(three(), served=True) as it:
        it.app.post_message(messages.Kept("request.approve = j\nlist.down = a\n"))
        await it.until(lambda: it.app.keymap_ids)
        await it.press("j", after=0.3)
        assert "just changed by itself" in it.screen
        assert it.bastion.votes == []


async def test_they_are_written_and_kept(console: Open) -> None:
    async with console(three(), served=True) as it:
        await it.press("P")
        await it.told("YOUR CONSOLE OVER SSH", "theme = bastion-dark")
        it.app.post_message(events.Paste("request.approve = y"))
        await it.told("request.approve = y")
        await it.press("ctrl+s")
        await it.told("need different keys")
        assert it.bastion.preferences == ""
        await it.press("backspace", "f", "2", "ctrl+s")
        await it.told("kept, for every console over ssh")
        assert it.bastion.preferences == "theme = bastion-dark\nrequest.approve = f2\n"
        await it.press("down", "f2")
        await it.told("y = yes")
        await it.press("escape", "P")
        await it.told("YOUR CONSOLE OVER SSH", "request.approve = f2")
        await it.press("escape")
        assert "YOUR CONSOLE" not in it.screen


async def test_where_nobody_can_sign_nothing_is_kept(console: Open) -> None:
    async with console(three(), served=True) as it:
        it.app.view.barred = "no ssh-agent was forwarded"
        await it.press("P")
        await it.told("nothing can be kept: no ssh-agent")
