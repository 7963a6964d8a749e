"""Ending sessions."""

from __future__ import annotations

from bastion.control import wire
from tests.tui.conftest import Open, three
from tui.samples import session


async def test_kill_asks_and_then_ends_the_session(console: Open) -> None:
    async with console(three()) as it:
        await it.press("x")
        await it.told("END SESSION s-5b1d0c7a9e3f2468?")
        await it.press("n")
        await it.press("2", "x", "y")
        await it.told("was ended")
        assert [call.session for call in it.bastion.calls if isinstance(call, wire.KillSession)] == [session().id]
        await it.press("x")
        assert "over already" in it.screen


async def test_kill_is_not_confirmed_by_a_paste(console: Open) -> None:
    async with console(three()) as it:
        it.wait_seconds(2)
        await it.pilot.press("x")
        await it.told("END SESSION")
        await it.pilot.press("y")
        await it.pilot.pause()
        assert "END SESSION" in it.screen
