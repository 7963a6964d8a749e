"""A screen is closed once: what comes behind the key that closed it does not close the screen under it."""

from __future__ import annotations

import pytest
from textual import events

from tests.tui.conftest import Console, Open, three
from tui.palette import Palette
from tui.screens.main import MainScreen
from tui.screens.reasons import DenyScreen

WAYS = {
    "d": "cancel",
    "e": "cancel",
    "greater_than_sign": "cancel",
    "f": "cancel",
    "x": "cancel",
    "question_mark": "close",
    "w": "back",
    "v": "back",
    "4": "back",
    "7": "back",
    "8": "back",
}
"""By the key that opens a screen: the action that closes it."""


@pytest.mark.parametrize(("opens", "closes"), WAYS.items())
async def test_a_screen_is_closed_once(console: Open, opens: str, closes: str) -> None:
    async with console(three()) as it:
        await it.press(opens)
        top = it.app.screen
        assert not isinstance(top, MainScreen)
        assert await it.app.run_action(closes, top)
        assert await it.app.run_action(closes, top)
        assert isinstance(it.app.screen, MainScreen)
        await it.told("1 queue")


async def test_so_is_the_palette(console: Open) -> None:
    async with console(three()) as it:
        await it.press("colon")
        top = it.app.screen
        assert isinstance(top, Palette)
        top.dismiss()
        top.dismiss()
        await it.told("1 queue")
        await it.press("colon", "colon")  # the second one is a letter
        assert isinstance(it.app.screen, Palette)
        await it.press("escape")
        await it.told("1 queue")


async def in_one_go(it: Console, *keys: str) -> None:
    """As from a terminal that was typed into faster than anybody draws."""
    for key in keys:
        it.app.post_message(events.Key(key, None))
    for _ in range(5):
        await it.pilot.pause(0.01)


async def test_enter_and_escape_in_one_go(console: Open) -> None:
    async with console(three()) as it:
        for _ in range(3):
            await it.press("d", "n", "o")
            assert isinstance(it.app.screen, DenyScreen)
            await in_one_go(it, "enter", "escape")
            assert isinstance(it.app.screen, MainScreen)
