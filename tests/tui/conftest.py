"""The real app on the bastion in memory (tui/sample_bastion.py), with a clock that a test moves."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import pytest
from textual.pilot import Pilot
from textual.strip import Strip

from tests.support import fixtures
from tui.app import BastionConsole
from tui.sample_bastion import Bastion
from tui.samples import NOW, request, session

MEDIUM, HIGH, UNRATED = "r-00000001", "r-00000002", "r-00000003"


house, sshd = fixtures.house, fixtures.sshd


def three() -> Bastion:
    """Three held requests, in this order of time left."""
    return Bastion(
        [
            request(MEDIUM, age=30),
            request(HIGH, age=20, tier="high", score=90, command=b"rm -rf /srv/backups"),
            request(UNRATED, age=10, tier="unrated", score=None),
        ],
        [session()],
    )


class Console:
    """An app that runs, and hands on its keys."""

    def __init__(self, app: BastionConsole, pilot: Pilot[None], bastion: Bastion, clock: list[float]) -> None:
        self.app, self.pilot, self.bastion, self._clock = app, pilot, bastion, clock

    def wait_seconds(self, seconds: float) -> None:
        """Time passes on the app's clock; nobody waits."""
        self._clock[0] += seconds

    async def press(self, *keys: str, after: float = 4.0) -> None:
        """Presses keys as a person does, `after` seconds apart, and lets everything settle."""
        for key in keys:
            self.wait_seconds(after)
            await self.pilot.press(key)
        await self.pilot.pause()

    async def until(self, holds: Callable[[], object]) -> None:
        """Lets the app work until something holds; the test's own time limit ends a wait in vain."""
        while not holds():
            await self.pilot.pause(0.01)
        self.app.draw()
        await self.pilot.pause()

    async def told(self, *words: str) -> str:
        """Lets the app work until all words stand on the screen."""
        await self.until(lambda: all(word in self.screen for word in words))
        return self.screen

    @property
    def strips(self) -> list[list[Strip]]:
        return list(self.app.screen._compositor.render_strips())  # type: ignore[arg-type]

    @property
    def screen(self) -> str:
        """What stands on the screen, as text."""
        return "\n".join("".join(segment.text for segment in row) for row in self.strips)

    @property
    def selected(self) -> str:
        return self.app.view.selected(self.app.view.pane)


Open = Callable[..., AbstractAsyncContextManager[Console]]


@pytest.fixture
def console() -> Open:
    """`async with console(bastion, size=(80, 24)) as it:` - connected and drawn, two seconds after the last change.

    Keys are pressed at the moment that the test's clock shows: how long a busy machine takes to handle them does not
    matter, unless a test is about that (`latency`).
    """

    @asynccontextmanager
    async def opened(
        bastion: Bastion | None = None,
        *,
        size: tuple[int, int] = (80, 24),
        live: bool = True,
        latency: bool = False,
        **options: Any,
    ) -> AsyncIterator[Console]:
        bastion = bastion or Bastion()
        clock = [1000.0]
        app = BastionConsole(bastion.connect, "test", clock=lambda: clock[0], wall=lambda: NOW, **options)
        if not latency:
            app.moment = lambda _: clock[0]  # type: ignore[method-assign]
        async with app.run_test(size=size) as pilot:
            it = Console(app, pilot, bastion, clock)
            if live:
                await it.until(lambda: app.link.up)
            it.wait_seconds(2)
            yield it

    return opened
