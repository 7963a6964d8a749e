"""Retention by itself: at the start, and then every so often, recordings whose time is over are deleted."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
from collections.abc import Callable

from bastion.custody import Custody
from bastion.errors import BastionError

log = logging.getLogger(__name__)


class Expiring:
    """One daemon's."""

    def __init__(self, custody: Custody, seconds: float, now: Callable[[], int]) -> None:
        self._custody, self._seconds, self._now = custody, seconds, now
        self._stop = threading.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin, if anything is ever to go."""
        if self._custody.limits.default or any(days for _, days in self._custody.limits.environments):
            self._task = asyncio.get_running_loop().create_task(self._run(), name="retention")

    async def close(self) -> None:
        """Stop behind the recording that is being deleted."""
        self._stop.set()
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    async def _run(self) -> None:
        while True:
            # cancelling must not leave the thread at work on a ledger that is closed under it
            work = asyncio.get_running_loop().run_in_executor(None, self._once)
            try:
                await asyncio.shield(work)
            except asyncio.CancelledError:
                await work
                raise
            await asyncio.sleep(self._seconds)

    def _once(self) -> None:
        try:
            gone, freed = self._custody.expire(self._now(), self._stop.is_set)
        except BastionError as error:
            log.error("retention: %s", error)
            return
        if gone:
            log.info("retention: %d recordings deleted, %d bytes freed", len(gone), freed.bytes)
