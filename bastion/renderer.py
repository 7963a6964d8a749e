"""The process that renders recordings, as the daemon keeps it: started when needed, told what to follow, replaced when
it dies. See recorder/indexer.py for what it does and within which limits.

It starts START_SECONDS after the first terminal began, or at once when somebody looks at a recording. Nothing waits for
it, and nothing depends on it: without it seeking is slower, searching renders by itself, and recordings are complete.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import sys
from pathlib import Path

from recorder.derived import DIRECTORY

log = logging.getLogger(__name__)

ROOT = str(Path(__file__).resolve().parents[1])
"""Where this program's packages are: a process of ours is run by path, wherever it was installed."""

START_SECONDS = 3.0
"""After the first terminal began: many are over by then, and are rendered when somebody looks."""
PAUSES = (1.0, 5.0, 30.0, 300.0)
"""Seconds before it is started again; the last one repeats. It gives up by itself what it died of."""
SOUND_SECONDS = 60.0
"""After which a death is the first one again."""
FOLLOWED_LIMIT = 256
"""Sessions that a new process is told of: the newest."""
END_SECONDS = 2.0
"""That it gets to end by itself, which it does between two chunks."""


class Renderer:
    """One store's."""

    def __init__(self, store: Path, *, start_seconds: float = START_SECONDS) -> None:
        self._store, self._start = store, start_seconds
        self._sessions: dict[str, None] = {}
        self._urgent = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._process: asyncio.subprocess.Process | None = None
        self._closed = False

    @property
    def pid(self) -> int:
        """Of the process that runs; 0: none."""
        return self._process.pid if self._process is not None and self._process.returncode is None else 0

    def render(self, session: str) -> None:
        """Somebody looks at it: now."""
        self._urgent.set()
        self.follow(session)

    def follow(self, session: str) -> None:
        """A terminal began."""
        if self._closed:
            return
        self._sessions.pop(session, None)
        self._sessions[session] = None
        while len(self._sessions) > FOLLOWED_LIMIT:
            del self._sessions[next(iter(self._sessions))]
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._run(), name="renderer")
        elif self.pid:
            self._tell(session)

    async def close(self) -> None:
        """End it."""
        self._closed = True
        process, task = self._process, self._task
        if process is not None and process.stdin is not None:
            process.stdin.close()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(END_SECONDS):
                    await process.wait()
        if task is not None:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    async def _run(self) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._start):
                await self._urgent.wait()
        deaths = 0
        while True:
            began = asyncio.get_running_loop().time()
            status = await self._once()
            if self._closed:
                return
            deaths = 0 if asyncio.get_running_loop().time() - began > SOUND_SECONDS else deaths
            pause = PAUSES[min(deaths, len(PAUSES) - 1)]
            deaths += 1
            log.warning("the renderer of recordings ended (%d); again in %d s", status, pause)
            await asyncio.sleep(pause)

    async def _once(self) -> int:
        try:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable, "-P", "-m", "recorder.indexer",
                str(self._store.absolute()), str(self._store.absolute().parent / DIRECTORY),
                stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
                cwd="/", env={"PYTHONPATH": ROOT, "PATH": os.environ.get("PATH", ""), "LC_ALL": "C.UTF-8"},
            )  # fmt: skip
        except OSError as error:
            log.warning("the renderer of recordings cannot be started: %s", error.strerror)
            return -1
        try:
            for session in self._sessions:
                self._tell(session)
            return await self._process.wait()
        finally:
            if self._process.returncode is None:
                self._process.kill()
                await self._process.wait()

    def _tell(self, session: str) -> None:
        if self._process is not None and self._process.stdin is not None and not self._process.stdin.is_closing():
            self._process.stdin.write(session.encode() + b"\n")
