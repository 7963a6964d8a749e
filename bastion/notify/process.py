"""The process that sends notifications, as the daemon keeps it: started, fed a line at a time, watched, replaced.

Theory of operation. Nothing of the daemon waits for it: `write` puts a line into a pipe and returns, and says no when
there is no process or it does not read. It is replaced when it ends, and ended when it says something else than it
should, says nothing for SILENT_SECONDS (it says that it lives every few), or takes more of a processor than it may: a
library that turns in circles over what a stranger's server answered must not take a core from agents. Between two
starts lie pauses that grow, so that one that dies at once costs next to nothing; the memory that it may take, and what
else it gives up, are its own matter (worker.py, confine.py).
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

log = logging.getLogger(__name__)

ROOT = str(Path(__file__).resolve().parents[2])
"""Where this program's packages are: a process of ours is run by path, wherever it was installed."""

BEHIND = 1 << 20
"""Bytes that wait for the worker at most."""

PAUSES = (1.0, 5.0, 30.0, 300.0)
"""Seconds before it is started again; the last one repeats."""

SOUND_SECONDS = 60.0
"""After which a death is the first one again."""

LOOK_SECONDS = 5.0
"""Between two looks at whether it speaks and what it takes."""

SILENT_SECONDS = 60.0
"""Without a word of it. It says one every worker.ALIVE_SECONDS; a machine that swaps may take its time."""

CPU_BURST, CPU_SHARE = 30.0, 0.1
"""Processor time that it may take: so many seconds at once (starting takes about two), and of each further second of
the clock this part. Sending 30 messages a minute over each of 16 channels takes about 2 %."""

STOP_SECONDS = 5.0
"""What the worker gets to send the rest when the daemon stops."""

HANDED_ON = (
    "DBUS_SESSION_BUS_ADDRESS", "XDG_RUNTIME_DIR", "HOME", "PATH", "TZ", "SSL_CERT_FILE", "SSL_CERT_DIR",
    "REQUESTS_CA_BUNDLE", "http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY",
)  # fmt: skip
"""Of the daemon's environment: where things are, and how to get out. systemd's own variables, with credentials among
them, are none of its business."""


class Process:
    """One worker after the other. `heard` gets what it says, `up` is called when one runs, `down` when it has ended."""

    def __init__(
        self,
        first: Mapping[str, Any],
        heard: Callable[[dict[str, Any]], None],
        up: Callable[[], None],
        down: Callable[[str], None],
        *,
        pace: float = 1.0,
    ) -> None:
        self._first, self._heard, self._up, self._down, self._pace = first, heard, up, down, pace
        self._process: asyncio.subprocess.Process | None = None
        self._task: asyncio.Task[None] | None = None
        self._spoke = 0.0
        self._why = ""
        self._closing = False

    @property
    def pid(self) -> int:
        """Of the process that runs; 0: none."""
        return self._process.pid if self._process is not None and self._process.returncode is None else 0

    def start(self) -> None:
        """Begin."""
        self._task = asyncio.get_running_loop().create_task(self._keep(), name="notifications")

    def write(self, line: Mapping[str, Any]) -> bool:
        """Hand it a message; False where it does not run or does not keep up. Never waits."""
        pipe = self._process.stdin if self._process is not None else None
        if pipe is None or pipe.is_closing() or pipe.transport.get_write_buffer_size() > BEHIND:
            return False
        pipe.write(json.dumps(line).encode() + b"\n")
        return True

    async def close(self) -> None:
        """Let it send what it has, for a moment, hear what became of it, and end it."""
        self._closing = True
        process, task = self._process, self._task
        if process is not None and process.stdin is not None:
            with contextlib.suppress(OSError, RuntimeError):
                process.stdin.close()
        if task is not None:
            await asyncio.wait([task], timeout=STOP_SECONDS if process is not None else 0)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _keep(self) -> None:
        loop, deaths = asyncio.get_running_loop(), 0
        while True:
            began = loop.time()
            why = await self._once()
            if self._closing:
                return
            deaths = 0 if loop.time() - began > SOUND_SECONDS else deaths
            pause = PAUSES[min(deaths, len(PAUSES) - 1)]
            deaths += 1
            log.error("notifications: the process that sends them %s; again in %g s", why, pause)
            self._down(f"the process that sends {why}")
            await asyncio.sleep(pause * self._pace)

    async def _once(self) -> str:
        """From its start to its end; why it ended."""
        pipe = asyncio.subprocess.PIPE
        environment = {name: os.environ[name] for name in HANDED_ON if name in os.environ}
        try:
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-P", "-m", "bastion.notify.worker",
                stdin=pipe, stdout=pipe, limit=1 << 20, cwd="/",
                env={**environment, "PYTHONPATH": ROOT, "LC_ALL": "C.UTF-8", "MALLOC_ARENA_MAX": "2"},
            )  # fmt: skip
        except OSError as error:
            return f"cannot be started: {error.strerror}"
        self._process, self._why, self._spoke = process, "", asyncio.get_running_loop().time()
        watching = asyncio.get_running_loop().create_task(self._watch(process.pid), name="notifications watch")
        try:
            self.write(self._first)
            self._up()
            await self._listen(process)
        finally:
            watching.cancel()
            self._process = None
            if process.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    process.kill()
                await process.wait()
        return self._why or f"ended ({process.returncode})"

    async def _listen(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdout is not None  # noqa: S101 -- a pipe was asked for
        try:
            while line := await process.stdout.readline():
                self._spoke = asyncio.get_running_loop().time()
                self._heard(json.loads(line))
        except (ValueError, KeyError, TypeError) as error:
            self._why = f"said something else: {type(error).__name__}"
        else:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(1.0):  # its end of the pipe is closed: it is about to end
                    await process.wait()

    async def _watch(self, pid: int) -> None:
        """End it when it takes too much, or hangs."""
        loop, began = asyncio.get_running_loop(), asyncio.get_running_loop().time()
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            now = loop.time()
            if now - self._spoke > SILENT_SECONDS:
                self._why = f"said nothing for {SILENT_SECONDS:g} s, and was ended"
            elif processor_seconds(pid) > CPU_BURST + CPU_SHARE * (now - began):
                self._why = "took too much of a processor, and was ended"
            else:
                continue
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, 9)
            return


def processor_seconds(pid: int) -> float:
    """What a process took so far (proc_pid_stat(5): utime and stime); 0 for one that is no more."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text("ascii", "replace")
    except OSError:
        return 0.0
    fields = text.rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
