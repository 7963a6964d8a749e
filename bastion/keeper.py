"""What the daemon does for the ledger beside writing it: the files of sealed segments.

A segment is sealed when it is full, and once an hour if it is not (`Ledger.seal_segment`); then its file is written
from the store. The files are copies (recorder.flatfiles): a failure to write one is logged and tried again later.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from pathlib import Path

from recorder.errors import RecorderError
from recorder.flatfiles import write_missing
from recorder.ledger import SEGMENT_US, Ledger

log = logging.getLogger(__name__)


class Keeper:
    """One daemon's."""

    def __init__(self, store: Path, ledger: Ledger) -> None:
        self._store, self._ledger = store, ledger
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin; files that an earlier daemon did not get to are written first."""
        loop = asyncio.get_running_loop()

        def sealed() -> None:
            loop.call_soon_threadsafe(self._wake.set)

        self._ledger.on_sealed = sealed
        self._wake.set()
        self._task = loop.create_task(self._run(), name="ledger keeper")

    async def close(self) -> None:
        """Write what is due, and end."""
        self._ledger.on_sealed = None
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        await self._write()

    async def _run(self) -> None:
        while True:
            try:
                async with asyncio.timeout(SEGMENT_US / 1e6):
                    await self._wake.wait()
            except TimeoutError:
                with contextlib.suppress(RecorderError):  # it has failed: the daemon is stopping
                    await asyncio.wrap_future(self._ledger.seal_segment())
            self._wake.clear()
            await self._write()

    async def _write(self) -> None:
        try:
            await asyncio.to_thread(write_missing, self._store)
        except RecorderError as error:
            log.error("sealed segments: %s", error)
