"""`bastion request watch --desktop`: on the approver's own desktop, what waits for a decision and what else people are
to hear of now.

What is shown is what a notification channel of the bastion would show (notify/): the same words, in the same visible
form, under the same rules of what may be markup. Nobody waits for the desktop: what it does not take is said once.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator

from bastion import covering
from bastion.cli import output
from bastion.control import wire
from bastion.errors import UsageError
from bastion.notify.desktop import DesktopError, check_installed, session_bus, show
from bastion.notify.news import News, of_alert, of_request

WAITING = 10
"""Bubbles that wait to be shown; what is more is counted and shown as one. A desktop shows three at once."""


class Bubbles:
    """One desktop's. Raises UsageError where there can be none."""

    def __init__(self) -> None:
        try:
            check_installed()
            self._bus = session_bus()
        except ValueError as error:
            raise UsageError(f"no desktop: {error}") from None
        self._told: set[str] = set()
        self._queue: list[News] = []
        self._more = 0
        self._wake = asyncio.Event()
        self._failed = False

    def hear(self, push: wire.Push) -> None:
        """Something that the bastion pushed."""
        news: News | None = None
        match push:
            case wire.RequestChanged(request=info) if info.state == "held":
                if info.id not in self._told:
                    news = of_request(info, "held", covering.visible_line)
                self._told.add(info.id)
            case wire.RequestChanged(request=info):
                self._told.discard(info.id)
                self._queue = [each for each in self._queue if each.request != info.id or each.kind != "held"]
            case wire.Alert():
                news = of_alert(push, covering.visible_line)
            case _:
                pass
        if news is not None:
            if len(self._queue) < WAITING:
                self._queue.append(news)
            else:
                self._more += 1
            self._wake.set()

    async def run(self) -> None:
        """Show what comes, until cancelled."""
        while True:
            while not self._queue:
                if self._more:
                    words = f"{self._more} more, that were not shown one by one: look at the queue"
                    self._more = 0
                    self._queue.append(News("more", words))
                    break
                self._wake.clear()
                await self._wake.wait()
            await self._show(self._queue.pop(0))

    async def _show(self, news: News) -> None:
        try:
            await show(news, self._bus)
        except DesktopError as error:
            if not self._failed:
                words = f"bastion: nothing is shown on the desktop: {output.shown(str(error))}"
                output.say(words, file=sys.stderr)
            self._failed = True
        else:
            self._failed = False


@contextlib.asynccontextmanager
async def showing(*, wanted: bool) -> AsyncIterator[Bubbles | None]:
    """Bubbles while it lasts; None where nobody wants any."""
    if not wanted:
        yield None
        return
    bubbles = Bubbles()
    task = asyncio.get_running_loop().create_task(bubbles.run(), name="desktop")
    try:
        yield bubbles
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
