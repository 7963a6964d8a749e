"""The process that sends notifications: the only part of the bastion that talks to strangers on its own accord.

Theory of operation. The daemon starts it, gives it the channels on the first line of stdin, and a piece of news a line
after that; it says on stdout what became of each. It has no access to the ledger, the desk or a key of the bastion.
Each channel has a queue and a task of its own, so that one that hangs delays nobody. A message is tried ATTEMPTS times,
with pauses that double and vary, and then given up. A channel that gave up several messages in a row is dead: it still
gets what comes, one attempt each, and lives again with the first that arrives.

    -> {"channels": [{…}], "hidden": [DIRECTORY …], "pace": 1.0}
    -> {"send": ID, "to": [NAME …], "attempts": N or 0, "news": {…}}
    <- {"channel": NAME, "state": ok | failing | dead, "queued": N, "error": "…", "done": ID, "arrived": true | false}
    <- {"press": {…}}                                            a button in Slack (slack.py)
    <- {"alive": true}                                           every ALIVE_SECONDS: it does not hang
    <- {"log": "…"}                                              for the daemon's log

Before it reads a line it gives up what it does not need (`give_up`): memory, files that it could write, what the
bastion's own files hold, other programs and processes, and sockets that lead to this host's own services.

When stdin ends, what is queued is given FLUSH_SECONDS, each with one attempt, and the process ends.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import sys
import threading
from collections import deque
from pathlib import Path
from typing import Any

import bastion
from bastion import confine
from bastion.notify import slack
from bastion.notify.news import News
from bastion.notify.sending import Permanent, Sender, Temporary, make

ATTEMPTS = 5
"""Of one message. With the pauses between them that is half a minute: later it is no news."""

FIRST_PAUSE = 1.0
"""Seconds before the second attempt; doubled each time, and varied by half."""

LONGEST_PAUSE = 60.0
"""Seconds, also where the other end asks for more."""

QUEUE = 100
"""Messages that wait for one channel. When it is full the oldest goes: it is the one that is no news any more."""

DEAD_AFTER = 3
"""Messages given up in a row."""

FLUSH_SECONDS = 3.0
"""For what is queued when the daemon stops: the ledger's failure is told in that time, or not."""

ALIVE_SECONDS = 5.0
"""Between two signs of life."""

MEMORY_BYTES = 1 << 30
"""Of address space, of which a thread takes 8 MiB. With every library loaded, ten channels and 300
messages it took 300 MiB."""

DESCRIPTORS = 256
"""16 channels, each with a connection or two, and what is listened on for buttons."""

LINE_LIMIT = 1 << 20
"""Bytes of one line from the daemon."""


class Channel:
    """One channel's queue and state."""

    def __init__(self, name: str, sender: Sender | None, error: str, pace: float, tell: Any) -> None:
        self.name, self._sender, self._pace, self._tell = name, sender, pace, tell
        self._queue: deque[tuple[str, News, int]] = deque()
        self._wake = asyncio.Event()
        self._gave_up = 0
        self._error = error
        self.flushing = False
        self.state = "dead" if sender is None else "ok"

    def put(self, message: str, news: News, attempts: int) -> None:
        """Queue it."""
        if len(self._queue) >= QUEUE:
            dropped, _, _ = self._queue.popleft()
            self._error = "too many wait: the oldest was dropped"
            self.report(dropped)
        self._queue.append((message, news, attempts))
        self._wake.set()

    @property
    def idle(self) -> bool:
        """Nothing waits, nothing is on its way."""
        return not self._queue

    async def run(self) -> None:
        """Send what is queued, for ever."""
        while True:
            while not self._queue:
                self._wake.clear()
                await self._wake.wait()
            message, news, attempts = self._queue[0]
            error = await self._deliver(message, news, attempts)
            if self._queue and self._queue[0][0] == message:  # else it was dropped meanwhile
                self._queue.popleft()
            self._gave_up = self._gave_up + 1 if error else 0
            self._error = error
            hopeless = self._sender is None or self._gave_up >= DEAD_AFTER
            self.state = "ok" if not error else "dead" if hopeless else "failing"
            self.report(message, arrived=not error)

    async def _deliver(self, message: str, news: News, attempts: int) -> str:
        """Why it was not; empty if it was."""
        if self._sender is None:
            return self._error
        most = attempts or (1 if self.state == "dead" else ATTEMPTS)
        for attempt in range(most):
            try:
                await self._sender.send(news, message)
            except Permanent as error:
                return str(error)
            except Temporary as error:
                reason, wait = str(error), error.wait
            except Exception as error:  # noqa: BLE001 -- a library at work: one channel's failure, whatever it is
                reason, wait = f"{type(error).__name__}: {error}"[:200], 0.0
            else:
                return ""
            if attempt + 1 == most or self.flushing:
                break
            if self.state == "ok":
                self.state, self._error = "failing", reason
                self.report("")
            pause = max(FIRST_PAUSE * 2**attempt * random.uniform(0.5, 1.5), wait)  # noqa: S311 -- jitter
            await asyncio.sleep(min(pause, LONGEST_PAUSE) * self._pace)
        return reason

    def report(self, done: str, *, arrived: bool = False) -> None:
        """Tell the daemon how the channel stands; `done`: the message that was dealt with."""
        self._tell(
            {
                "channel": self.name,
                "state": self.state,
                "queued": len(self._queue),
                "error": self._error[:300],
                "done": done,
                "arrived": arrived,
            }
        )


_saying = threading.Lock()


def say(message: dict[str, Any]) -> None:
    """One line to the daemon, from any thread. Where it is gone, what is queued is sent all the same."""
    with _saying, contextlib.suppress(BrokenPipeError):
        sys.stdout.write(json.dumps(message) + "\n")
        sys.stdout.flush()


async def live(pace: float) -> None:
    """Say so, for ever."""
    while True:
        say({"alive": True})
        await asyncio.sleep(ALIVE_SECONDS * pace)


def give_up(settings: dict[str, Any]) -> str:
    """What it does not need; empty, or why this kernel cannot take it all. Before any other thread runs."""
    desktop = any(channel["kind"] == "desktop" for channel in settings["channels"])
    hidden = [Path(each) for each in settings["hidden"]]
    ours = [Path(str(bastion.__file__)).parent, *map(Path, {sys.prefix, sys.base_prefix, sys.exec_prefix})]
    try:
        confine.confine(
            [*confine.all_but(*hidden, Path("/proc")), *ours],
            sockets=confine.Sockets.DESKTOP if desktop else confine.Sockets.INTERNET,
            memory=MEMORY_BYTES,
            descriptors=DESCRIPTORS,
        )
    except confine.NotConfined as error:
        return str(error)
    return ""


async def serve() -> None:
    """Until stdin ends."""
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(limit=LINE_LIMIT)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    first = json.loads(await reader.readline())
    if refused := give_up(first):
        say({"log": f"the process that sends is not confined: {refused}"})
    channels: dict[str, Channel] = {}
    tasks: list[asyncio.Task[None]] = [loop.create_task(live(first["pace"]), name="alive")]
    for settings in first["channels"]:
        name = settings["name"]
        sender, error = None, ""
        try:
            sender = make(settings)
        except Permanent as problem:
            error = str(problem)
        channels[name] = Channel(name, sender, error, first["pace"], say)
        channels[name].report("")
        if settings["app_token"] and sender is not None:
            slack.listen({**settings, "pace": first["pace"]}, lambda found: say({"press": found}))
        tasks.append(loop.create_task(channels[name].run(), name=f"channel {name}"))
    while line := await reader.readline():
        asked = json.loads(line)
        news = News(**asked["news"])
        for name in asked["to"]:
            if name in channels:
                channels[name].put(asked["send"], news, asked["attempts"])
    for channel in channels.values():
        channel.flushing = True
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(FLUSH_SECONDS):
            while not all(channel.idle for channel in channels.values()):  # noqa: ASYNC110 -- at the end, for seconds
                await asyncio.sleep(0.02)
    for task in tasks:
        task.cancel()


def main() -> None:
    """The process."""
    import os

    asyncio.run(serve())
    sys.stdout.flush()
    os._exit(0)  # a thread of a library that hangs does not keep it


if __name__ == "__main__":
    main()
