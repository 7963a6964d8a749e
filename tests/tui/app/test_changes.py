"""What changes by itself under a person's fingers."""

from __future__ import annotations

import time

import msgspec
import pytest
from textual import events

from tests.tui.conftest import HIGH, MEDIUM, Open, three
from tui.order import Pane
from tui.sample_bastion import Bastion
from tui.samples import NOW, request


async def test_the_key_never_acts_on_the_neighbour(console: Open) -> None:
    async with console(three()) as it:
        it.bastion.change(MEDIUM, state="expired", decided=NOW)
        await it.told("EXPIRED")
        assert it.selected == MEDIUM
        await it.press("a", "d")
        assert "too late: it was expired" in it.screen
        assert it.bastion.votes == []
        await it.press("down")
        assert MEDIUM not in it.app.view.rows(Pane.QUEUE)


@pytest.mark.parametrize(("after", "votes"), [(0.3, 0), (0.65, 0), (2.5, 1)])
async def test_a_request_that_comes_by_itself_waits_700_ms(console: Open, after: float, votes: int) -> None:
    async with console(Bastion([], [])) as it:
        it.bastion.put(request(MEDIUM))
        await it.told("systemctl restart nginx")
        await it.press("a", after=after)
        assert ("just changed by itself" in it.screen) is (votes == 0)
        await it.until(lambda: len(it.bastion.votes) == votes)


async def test_a_key_pressed_before_the_change_and_handled_after_it_does_nothing(console: Open) -> None:
    """The loop was busy: by the app's clock the key is handled 2 s after the change, but it was pressed before it."""
    async with console(Bastion([], []), latency=True) as it:
        late = events.Key("a", "a")
        late.time = time.monotonic() - 3
        it.bastion.put(request(MEDIUM))
        await it.told("systemctl restart nginx")
        it.wait_seconds(2)
        it.app.post_message(late)
        await it.told("just changed by itself")
        assert it.bastion.votes == []


async def test_a_paste_does_not_decide(console: Open) -> None:
    async with console(three()) as it:
        it.wait_seconds(2)
        await it.pilot.press("u", "a", "y")
        await it.told("look like a paste")
        assert it.bastion.votes == []
        it.app.post_message(events.Paste("a"))
        await it.pilot.pause()
        assert it.bastion.votes == []


async def test_a_flood_leaves_the_selected_request_where_it_is(console: Open) -> None:
    async with console(three(), size=(100, 40)) as it:
        await it.press("down")
        row = next(at for at, line in enumerate(it.screen.split("\n")) if line.startswith(">"))
        for number in range(60):
            it.bastion.put(request(f"r-f{number:07x}", age=25))
        await it.told("63 held")
        assert it.selected == HIGH
        lines = it.screen.split("\n")
        assert next(at for at, line in enumerate(lines) if line.startswith(">")) >= row
        assert "rm -rf /srv/backups" in next(line for line in lines if line.startswith(">"))


async def test_tampered_requests_are_shown_as_such_and_cannot_be_voted_on(console: Open) -> None:
    bad = msgspec.structs.replace(request(MEDIUM), command=b"rm -rf /")
    async with console(Bastion([bad], []), size=(120, 30)) as it:
        assert it.screen.count("TAMPERED") >= 3  # list, headline, text
        await it.press("a", "y", "d")
        assert "nobody can vote" in it.screen
        assert it.bastion.votes == []


async def test_a_request_that_changes_after_it_was_shown_is_tampered_with(console: Open) -> None:
    async with console(three(), size=(120, 30)) as it:
        it.bastion.put(request(MEDIUM, age=30, command=b"rm -rf /"))
        await it.told("TAMPERED")
        assert "systemctl restart nginx" in it.screen
        await it.press("a")
        assert it.bastion.votes == []
