"""The connection, the bell, and the time."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from bastion import errors
from bastion.model import Choice
from tests.tui.conftest import HIGH, MEDIUM, UNRATED, Console, Open, three
from tui import feed as feed_module
from tui.app import BastionConsole
from tui.sample_answers import watching
from tui.sample_bastion import Bastion
from tui.samples import NOW, S, request, vote
from tui.title import BEGIN, END


async def test_it_says_when_it_is_not_connected_and_comes_back(console: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed_module, "PAUSES", (3600.0,))
    async with console(three()) as it:
        it.bastion.lose()
        await it.told("NOT CONNECTED", "the bastion closed the connection")
        await it.press("a")
        assert "not connected: nothing was sent" in it.screen
        it.bastion.change(MEDIUM, state="approved", votes=[vote("bob")], decided=NOW)
        it.bastion.requests.pop(UNRATED)
        await it.press("r")
        await it.told("* live", "APPROVED", "1 held")
        assert it.app.view.items[UNRATED].gone
        await it.press("down")
        await it.press("a", "y")
        await it.told("counts")
        assert it.bastion.votes == [(HIGH, Choice.APPROVE, "")]


async def test_it_starts_without_a_bastion(console: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed_module, "PAUSES", (0.01,))
    bastion = three()
    bastion.down = errors.Unreachable("connection refused", "is the daemon running?")
    async with console(bastion, live=False, size=(120, 24)) as it:
        await it.told("NOT CONNECTED", "connection refused (is the daemon running?)")
        bastion.down = None
        await it.told("* live", "3 held")


async def test_who_else_watches(console: Open) -> None:
    bastion = three()
    async with console(bastion, size=(120, 24)) as it:
        await it.told("ana (approver)  with bob")
        for people, words in (
            (["ana"], "only you watch"),
            (["ana", "b\x1b[2J", "eve", "zoe"], "with b⟨ESC⟩[2J, eve and 1 other"),
        ):
            bastion.push(watching(people, NOW))
            await it.told(words)
        await it.press("a", after=0.1)  # nothing to hold a key back for
        await it.told("counts")
        bastion.lose()
        await it.told("NOT CONNECTED")
        assert "with b" not in it.screen


async def test_the_title_of_the_window(console: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[str] = []
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setattr(BastionConsole, "is_headless", False)
    monkeypatch.setattr(BastionConsole, "to_terminal", lambda _, sequence: written.append(sequence))
    monkeypatch.setattr(BastionConsole, "leave_without_terminal", lambda _: None)
    bastion = three()
    async with console(bastion) as it:
        await it.until(lambda: written and "3 held" in written[-1])
        assert written[0].startswith(BEGIN)
        bastion.put(request("r-0000000f", identity="a\x07b", command=b"x\x1b]2;y\x07"))
        await it.until(lambda: "4 held" in written[-1])
        await it.press("q")
        assert written[-1] == END
    ours = re.compile(r"(\x1b\[22;2t)?\x1b\]2;[A-Za-z0-9 -]+\x1b\\|\x1b\[23;2t")
    assert all(ours.fullmatch(each) for each in written), written


async def test_the_bell_rings_for_new_requests_only(console: Open) -> None:
    class Counting(BastionConsole):
        CSS_PATH = str(Path(feed_module.__file__).with_name("app.tcss"))
        rung = 0

        def bell(self) -> None:
            self.rung += 1

    bastion, clock = three(), [1000.0]
    app = Counting(bastion.connect, clock=lambda: clock[0], wall=lambda: NOW)
    async with app.run_test() as pilot:
        it = Console(app, pilot, bastion, clock)
        await it.until(lambda: app.rung == 1)  # what was held when it connected
        it.wait_seconds(5)
        bastion.change(MEDIUM, votes=[vote("bob")])
        bastion.put(request("r-00000009", state="denied"))
        await it.until(lambda: "r-00000009" in app.view.items)
        assert app.rung == 1
        for number in range(20):
            bastion.put(request(f"r-a{number:07x}"))
        await it.until(lambda: len(app.view.held) == 23)
        assert app.rung == 2  # a flood rings once a second


async def test_the_countdown_counts(console: Open) -> None:
    bastion = Bastion([request(MEDIUM, age=50)], [])
    async with console(bastion) as it:
        assert "10s!" in it.screen
        it.app.wall = lambda: NOW + 4 * S
        await it.told("6s!", "54s")
        it.app.wall = lambda: NOW + 10 * S
        await it.told("due")
