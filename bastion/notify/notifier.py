"""The daemon's end of notifications: what goes to which channel, how each channel stands, what is under way.

Theory of operation. Nothing of the daemon waits here: `tell` notes a message in the outbox, hands it to the process
that sends (process.py) and returns. It is *under way* until that process says what became of it. What was under way
when the process died goes to the next one, under the same id, at most TRIES times, since it may be what killed it; what
was under way when the daemon died goes out after its next start (outbox.py). A channel has UNDER_WAY messages under way
at most; then the oldest is given up: it is the one that is no news any more.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import secrets
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import msgspec

from bastion.clock import Clock
from bastion.control.wire import ChannelInfo
from bastion.errors import NotFound, Unreachable
from bastion.notify.news import News
from bastion.notify.outbox import Outbox
from bastion.notify.pacing import Pace, Pacing
from bastion.notify.process import Process
from bastion.notify.settings import settings_of
from bastion.outlets import Outlet

log = logging.getLogger(__name__)

UNDER_WAY = 100
"""Messages of one channel that nobody knows the fate of; as many as wait in the worker (worker.QUEUE)."""

TRIES = 2
"""Workers that a message is given to. One that kills the first has no third chance."""

TEST_SECONDS = 45.0
"""For a test's outcome: one attempt, of apprise at most 30 s."""

TEST_BRIEF = "this is a test: nobody has to do anything"
TEST_DETAIL = "echo <b> &amp; *bold* http://bastion.example \u27e8ESC\u27e9[31m"
"""With what channels could take for markup or links: it has to arrive as text."""


PRESS = {"channel", "user", "choice", "request", "digest"}
"""What is said of a button that somebody pressed (slack.pressed)."""


@dataclass(slots=True)
class _UnderWay:
    """A message that the worker has, or will get."""

    news: News
    tries: int = 0


@dataclass(slots=True)
class _Standing:
    """One channel, as the daemon knows it."""

    outlet: Outlet
    info: ChannelInfo
    pacing: Pacing = field(default_factory=Pacing)
    under_way: dict[str, _UnderWay] = field(default_factory=dict)
    """By id of the message, oldest first."""
    tests: dict[str, asyncio.Future[None]] = field(default_factory=dict)


class Notifier:
    """One daemon's. `base`: the directory that files are relative to; `outbox`: the file in which what is under way
    outlives the daemon; `hidden`: directories that the process which sends has no business in. Raises UsageError for
    settings that cannot be."""

    def __init__(
        self,
        outlets: Sequence[Outlet],
        base: Path,
        clock: Clock,
        *,
        alert: Callable[[str, str], None] = lambda kind, text: None,
        pace: float = 1.0,
        outbox: Path | None = None,
        hidden: Sequence[Path] = (),
    ) -> None:
        settings = [settings_of(outlet, base) for outlet in outlets]
        first = {"channels": settings, "hidden": [str(each.absolute()) for each in hidden], "pace": pace}
        self._clock = clock
        self.alert = alert
        self.changed: Callable[[], None] = lambda: None
        """Called when a channel begins or ceases to deliver."""
        self.press: Callable[[dict[str, Any]], None] = lambda pressed: None
        """Gets what somebody pressed in a channel."""
        self._channels = {
            outlet.name: _Standing(
                outlet,
                ChannelInfo(
                    name=outlet.name, kind=outlet.kind, state="starting", sent=0, lost=0, queued=0, error="", at=0
                ),
            )
            for outlet in outlets
        }
        self._outbox = Outbox(outbox if outlets else None)
        self._process = Process(first, self._heard, self._up, self._down, pace=pace)
        self._flush: asyncio.TimerHandle | None = None

    @property
    def outlets(self) -> list[Outlet]:
        """The channels, as configured."""
        return [each.outlet for each in self._channels.values()]

    @property
    def pid(self) -> int:
        """Of the process that sends; 0: none runs."""
        return self._process.pid

    def infos(self) -> list[ChannelInfo]:
        """How they stand."""
        return [each.info for each in self._channels.values()]

    def start(self) -> None:
        """Begin, with what an earlier daemon left under way; without channels there is nothing to begin."""
        if not self._channels:
            return
        for left in self._outbox.open(self._clock.wall()):
            if left.channel in self._channels and left.news.kind != "held":  # that is told anew, if it is held still
                self._channels[left.channel].under_way[left.message] = _UnderWay(left.news)
            else:
                self._outbox.done(left.message, left.channel, told=False)
        self._process.start()

    async def close(self) -> None:
        """Let the worker send what it has, for a moment, and end it."""
        if self._flush is not None:
            self._flush.cancel()
        self.changed = lambda: None
        await self._process.close()
        self._outbox.close()

    # --- telling ------------------------------------------------------------------------------------------------

    def tell(self, news: News) -> None:
        """To every channel that wants it."""
        for each in self._channels.values():
            if each.outlet.wants(news.kind, news.tier):
                self.tell_one(each.outlet.name, news)

    def tell_one(self, name: str, news: News) -> None:
        """To one channel, unless it was told already or had too many."""
        each, message = self._channels[name], id_of(news)
        if self._outbox.known(message, name):
            return
        pace = each.pacing.of(news.kind, self._clock.monotonic())
        if pace is Pace.COUNT and self._flush is None:
            wait = 60 - self._clock.monotonic() % 60
            self._flush = asyncio.get_running_loop().call_later(wait, self._tell_rest)
        if pace is not Pace.SEND:
            return
        kept = news if each.outlet.detail else replace(news, detail="")
        while len(each.under_way) >= UNDER_WAY:
            self._lose(each, next(iter(each.under_way)), "too many are under way: the oldest was given up")
        each.under_way[message] = _UnderWay(kept)
        # what an agent wrote is not kept here: it may have to be redacted some day
        self._outbox.put(message, name, replace(kept, detail="") if kept.digest else kept)
        self._hand_over(each, message)

    def _tell_rest(self) -> None:
        self._flush = None
        for each in self._channels.values():
            if count := each.pacing.rest():
                words = f"{count} more, that were not told one by one: look at the queue"
                self.tell_one(each.outlet.name, News("more", words, at=self._clock.wall()))

    def _hand_over(self, each: _Standing, message: str) -> None:
        """To the process; where none runs it stays under way, and goes to the next one."""
        found = each.under_way[message]
        if self._write(each, message, found.news):
            found.tries += 1

    def _write(self, each: _Standing, message: str, news: News, attempts: int = 0) -> bool:
        line = {"send": message, "to": [each.outlet.name], "attempts": attempts, "news": asdict(news)}
        return self._process.write(line)

    def _lose(self, each: _Standing, message: str, error: str) -> None:
        each.under_way.pop(message, None)
        each.info = msgspec.structs.replace(each.info, lost=each.info.lost + 1, error=error)
        self._outbox.done(message, each.outlet.name, told=False)

    # --- a test -------------------------------------------------------------------------------------------------

    async def test(self, names: Sequence[str]) -> list[ChannelInfo]:
        """Send a test to these channels, or all, and wait for what becomes of it. Raises NotFound, Unreachable."""
        wanted = list(dict.fromkeys(names)) or list(self._channels)
        for name in wanted:
            if name not in self._channels:
                raise NotFound(f"no channel {name!r}", "`bastion notify list` names them")
        news = News("test", TEST_BRIEF, TEST_DETAIL, at=self._clock.wall())
        waits: list[asyncio.Future[None]] = []
        for name in wanted:
            each, message = self._channels[name], id_of(news)
            if not self._write(each, message, news if each.outlet.detail else replace(news, detail=""), attempts=1):
                raise Unreachable("the process that sends notifications does not run", "see the daemon's log")
            each.tests[message] = asyncio.get_running_loop().create_future()
            waits.append(each.tests[message])
        done, _ = await asyncio.wait(waits, timeout=TEST_SECONDS) if waits else (set(), set())
        for name, future in zip(wanted, waits, strict=True):
            each = self._channels[name]
            each.tests = {key: left for key, left in each.tests.items() if left is not future}
            if future not in done:
                self._stands(each, "dead", "no word of it in time")
        return [self._channels[name].info for name in wanted]

    # --- the worker ---------------------------------------------------------------------------------------------

    def _up(self) -> None:
        """A worker runs: what is under way is its work now."""
        for each in self._channels.values():
            for message in list(each.under_way):
                if each.under_way[message].tries >= TRIES:
                    self._lose(each, message, "the process that sends ended over it")
                else:
                    self._hand_over(each, message)

    def _down(self, why: str) -> None:
        for each in self._channels.values():
            self._stands(each, "dead", why)

    def _stands(self, each: _Standing, state: str, error: str) -> None:
        before = each.info.state
        each.info = msgspec.structs.replace(each.info, state=state, error=error)
        if state != before:
            self.changed()

    def _heard(self, said: dict[str, Any]) -> None:
        """One line of the worker's. Raises ValueError, KeyError, TypeError for what it should not say."""
        if "press" in said:
            pressed = said["press"]
            if not isinstance(pressed, dict) or set(map(type, pressed.values())) != {str} or set(pressed) != PRESS:
                raise TypeError("no button says this")
            self.press(pressed)
            return
        if "log" in said:
            log.warning("notifications: %s", str(said["log"])[:300])
            return
        if "alive" in said:
            return
        each, done, arrived = self._channels[said["channel"]], str(said["done"]), said["arrived"] is True
        before = each.info.state
        each.info = msgspec.structs.replace(each.info, queued=int(said["queued"]), at=self._clock.wall())
        if done:
            each.info = msgspec.structs.replace(
                each.info, sent=each.info.sent + arrived, lost=each.info.lost + (not arrived)
            )
            each.under_way.pop(done, None)
            self._outbox.done(done, each.outlet.name, told=arrived)
        future = each.tests.pop(done, None)
        if future is not None and not future.done():
            future.set_result(None)
        self._stands(each, str(said["state"]), str(said["error"]))
        if each.info.state == "dead" and before != "dead":
            log.error("notifications: channel %s is dead: %s", each.info.name, each.info.error)
            self.alert("notify.dead", f"channel {each.info.name} does not deliver: {each.info.error}")


def id_of(news: News) -> str:
    """Of the message: the same one for the same thing, where it has a key."""
    if news.key:
        return f"msg_{hashlib.sha256(news.key.encode()).hexdigest()[:24]}"
    return f"msg_{secrets.token_hex(12)}"
