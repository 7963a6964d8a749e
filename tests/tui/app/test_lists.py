"""Filter, panes, mouse."""

from __future__ import annotations

from textual.widgets._footer import FooterKey

from tests.tui.conftest import MEDIUM, UNRATED, Open, three
from tui.order import Pane
from tui.samples import request


async def test_filter(console: Open) -> None:
    async with console() as it:
        await it.press("slash", *"risk:high", "enter")
        assert "filter: risk:high" in it.screen
        assert "2 hidden" in it.screen
        assert "claude-ops" not in it.screen.split("HELD")[0]
        await it.press("a")  # typed into nothing: the filter is closed and keys act again
        assert "y = yes" in it.screen
        await it.press("escape")
        assert "hidden" not in it.screen
        assert "claude-ops" in it.screen


async def test_keys_typed_into_the_filter_decide_nothing(console: Open) -> None:
    async with console(three()) as it:
        await it.press("slash", *"aydxq123")
        assert it.bastion.votes == []
        assert "Nothing here matches" in it.screen
        await it.press("escape")
        assert it.app.view.filter.text == ""
        assert it.selected == MEDIUM


async def test_panes_and_orders(console: Open) -> None:
    async with console() as it:
        await it.press("2")
        assert "[2 sessions" in it.screen
        assert "SESSION s-" in it.screen
        await it.press("3")
        assert "[3 decided" in it.screen
        assert "exit 0" in it.screen
        await it.press("tab")
        assert "[1 queue" in it.screen
        await it.press("shift+tab")
        assert "[3 decided" in it.screen
        await it.press("1", "o")
        assert "riskiest first" in it.screen
        await it.press("G")
        assert it.selected == it.app.view.rows(Pane.QUEUE)[-1]
        await it.press("g")
        assert it.selected == it.app.view.rows(Pane.QUEUE)[0]


async def test_a_click_selects_and_decides_nothing(console: Open) -> None:
    async with console(three()) as it:
        it.wait_seconds(2)
        await it.pilot.click("#rows-queue", offset=(20, 2))
        await it.pilot.pause()
        assert it.selected == UNRATED
        assert it.bastion.votes == []
        it.bastion.put(request("r-0000000f", age=59))  # rows move under the pointer
        await it.told("4 held")
        await it.pilot.click("#rows-queue", offset=(20, 2))
        await it.pilot.pause()
        await it.press("a", after=0.5)
        assert "just changed by itself" in it.screen


async def test_a_second_click_does_not_hit_what_has_moved_under_the_pointer(console: Open) -> None:
    """The key that confirms comes into the row of keys where another one was."""
    async with console(three()) as it:
        await it.press("down")
        places = {key.description: key.region for key in it.app.screen.query(FooterKey)}
        it.wait_seconds(2)
        await it.pilot.click("FooterKey", offset=(2, 0))
        await it.told("y = yes")
        for place in places.values():
            await it.pilot.click(offset=(place.x + 1, place.y))
            assert it.app.told
            assert "just changed by itself" in it.app.told.words
            it.app.told = None
        assert it.bastion.votes == []
        assert it.app.is_running
        it.wait_seconds(1)
        yes = next(key for key in it.app.screen.query(FooterKey) if key.description == "yes, approve")
        await it.pilot.click(yes)
        await it.told("counts")


async def test_the_footer_can_be_clicked_through_the_same_guards(console: Open) -> None:
    async with console(three()) as it:
        it.wait_seconds(2)
        await it.press("down")
        it.wait_seconds(2)
        await it.pilot.click("FooterKey", offset=(2, 0))
        await it.told("y = yes")
        assert it.bastion.votes == []
