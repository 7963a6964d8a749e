"""The daemon's end of the worker that sends notifications.

Nothing of the daemon waits for it: `tell` writes a line into a pipe and returns; when the worker does not read, lines
beyond BEHIND bytes are dropped and counted. A worker that dies is started again, at most once in RESTART_SECONDS.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import secrets
import stat
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import msgspec

from bastion.clock import Clock
from bastion.control.wire import ChannelInfo
from bastion.errors import NotFound, Unreachable, UsageError
from bastion.notify import signing
from bastion.notify.desktop import session_bus
from bastion.notify.news import News
from bastion.notify.post import address
from bastion.outlets import Outlet

log = logging.getLogger(__name__)

BEHIND = 1 << 20
"""Bytes that wait for the worker at most."""

RESTART_SECONDS = 5.0
"""Between two starts of the worker."""

MOST_A_MINUTE = 30
"""Messages to one channel a minute; what is more is counted, and told in one. An agent that asks for a thousand things
must not make people switch a channel off."""

TEST_SECONDS = 45.0
"""For a test's outcome: one attempt, of apprise at most 30 s."""

STOP_SECONDS = 5.0
"""What the worker gets to send the rest when the daemon stops."""

TEST_BRIEF = "this is a test: nobody has to do anything"
TEST_DETAIL = "echo <b> &amp; *bold* http://bastion.example \u27e8ESC\u27e9[31m"
"""With what channels could take for markup or links: it has to arrive as text."""

FILE_LIMIT = 8 << 10
"""Bytes of a file with a secret."""


@dataclass(slots=True)
class _Standing:
    """One channel, as the daemon knows it."""

    outlet: Outlet
    info: ChannelInfo
    minute: int = 0
    told: int = 0
    """In that minute."""
    more: int = 0
    """Not told one by one."""
    waiting: dict[str, asyncio.Future[None]] = field(default_factory=dict)


class Notifier:
    """One daemon's. `base`: the directory that files are relative to. Raises UsageError for settings that cannot be."""

    def __init__(
        self,
        outlets: Sequence[Outlet],
        base: Path,
        clock: Clock,
        *,
        alert: Callable[[str, str], None] = lambda kind, text: None,
        pace: float = 1.0,
    ) -> None:
        self._settings = [settings_of(outlet, base) for outlet in outlets]
        self._clock, self._pace = clock, pace
        self.alert = alert
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
        self._process: asyncio.subprocess.Process | None = None
        self._task: asyncio.Task[None] | None = None
        self._flush: asyncio.TimerHandle | None = None

    @property
    def outlets(self) -> list[Outlet]:
        """The channels, as configured."""
        return [each.outlet for each in self._channels.values()]

    def infos(self) -> list[ChannelInfo]:
        """How they stand."""
        return [each.info for each in self._channels.values()]

    def start(self) -> None:
        """Begin; without channels there is nothing to begin."""
        if self._channels:
            self._task = asyncio.get_running_loop().create_task(self._keep(), name="notifications")

    async def close(self) -> None:
        """Let the worker send what it has, for a moment, and end it."""
        if self._flush is not None:
            self._flush.cancel()
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        process, self._process = self._process, None
        if process is None:
            return
        if process.stdin is not None:
            with contextlib.suppress(OSError, RuntimeError):
                process.stdin.close()
        try:
            async with asyncio.timeout(STOP_SECONDS):
                await process.wait()
        except TimeoutError:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()

    # --- telling ------------------------------------------------------------------------------------------------

    def tell(self, news: News) -> None:
        """To every channel that wants it."""
        for each in self._channels.values():
            if each.outlet.wants(news.kind, news.tier):
                self.tell_one(each.outlet.name, news)

    def tell_one(self, name: str, news: News) -> None:
        """To one channel, unless it had too many."""
        each = self._channels[name]
        minute = int(self._clock.monotonic() // 60)
        if minute != each.minute:
            each.minute, each.told = minute, 0
        if each.told >= MOST_A_MINUTE:
            each.more += 1
            if self._flush is None:
                wait = 60 - self._clock.monotonic() % 60
                self._flush = asyncio.get_running_loop().call_later(wait, self._tell_rest)
            return
        each.told += 1
        self._send([name], news)

    def _tell_rest(self) -> None:
        self._flush = None
        for each in self._channels.values():
            if each.more:
                count, each.more = each.more, 0
                words = f"{count} more, that were not told one by one: look at the queue"
                self.tell_one(each.outlet.name, News("more", words, at=self._clock.wall()))

    def _send(self, names: list[str], news: News, attempts: int = 0) -> str:
        """Write it to the worker; the id of the message, empty where it was dropped."""
        plain = [name for name in names if not self._channels[name].outlet.detail]
        message = f"msg_{secrets.token_hex(12)}"
        for group, told in ((plain, replace(news, detail="")), ([n for n in names if n not in plain], news)):
            if group:
                line = {"send": message, "to": group, "attempts": attempts, "news": asdict(told)}
                if not self._write(line):
                    self._dropped(group)
                    return ""
        return message

    def _write(self, line: dict[str, Any]) -> bool:
        pipe = self._process.stdin if self._process is not None else None
        if pipe is None or pipe.is_closing() or pipe.transport.get_write_buffer_size() > BEHIND:
            return False
        pipe.write(json.dumps(line).encode() + b"\n")
        return True

    def _dropped(self, names: list[str]) -> None:
        for name in names:
            each = self._channels[name]
            error = "the process that sends does not run, or does not keep up"
            each.info = msgspec.structs.replace(each.info, lost=each.info.lost + 1, error=error)

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
            message = self._send([name], news, attempts=1)
            if not message:
                raise Unreachable("the process that sends notifications does not run", "see the daemon's log")
            future = asyncio.get_running_loop().create_future()
            self._channels[name].waiting[message] = future
            waits.append(future)
        done, _ = await asyncio.wait(waits, timeout=TEST_SECONDS) if waits else (set(), set())
        for name, future in zip(wanted, waits, strict=True):
            each = self._channels[name]
            each.waiting = {key: left for key, left in each.waiting.items() if left is not future}
            if future not in done:
                each.info = msgspec.structs.replace(each.info, state="dead", error="no word of it in time")
        return [self._channels[name].info for name in wanted]

    # --- the worker ---------------------------------------------------------------------------------------------

    async def _keep(self) -> None:
        while True:
            try:
                await self._work()
            except OSError as error:
                log.error("notifications: cannot start the process that sends them: %s", error)
            log.error("notifications: the process that sends them has ended; it is started again")
            for each in self._channels.values():
                each.info = msgspec.structs.replace(each.info, state="dead", error="the process that sends has ended")
            await asyncio.sleep(RESTART_SECONDS * self._pace)

    async def _work(self) -> None:
        command = [sys.executable, "-m", "bastion.notify.worker"]
        pipe = asyncio.subprocess.PIPE
        process = await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe, limit=1 << 20)
        try:
            assert process.stdin is not None and process.stdout is not None  # noqa: S101, PT018 -- pipes were asked for
            process.stdin.write(json.dumps({"channels": self._settings, "pace": self._pace}).encode() + b"\n")
            self._process = process
            while line := await process.stdout.readline():
                self._heard(json.loads(line))
        except (ValueError, KeyError, TypeError) as error:
            log.error("notifications: the process that sends them said something else: %s", error)
        except asyncio.CancelledError:
            raise
        finally:
            if self._process is not process:
                with contextlib.suppress(ProcessLookupError):
                    process.kill()
        self._process = None
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()

    def _heard(self, said: dict[str, Any]) -> None:
        if "press" in said:
            self.press(said["press"])
            return
        each = self._channels[said["channel"]]
        before = each.info.state
        each.info = msgspec.structs.replace(
            each.info,
            state=str(said["state"]),
            sent=int(said["sent"]),
            lost=int(said["lost"]),
            queued=int(said["queued"]),
            error=str(said["error"]),
            at=self._clock.wall(),
        )
        future = each.waiting.pop(said["done"], None)
        if future is not None and not future.done():
            future.set_result(None)
        if each.info.state == "dead" and before != "dead":
            log.error("notifications: channel %s is dead: %s", each.info.name, each.info.error)
            self.alert("notify.dead", f"channel {each.info.name} does not deliver: {each.info.error}")


def settings_of(outlet: Outlet, base: Path) -> dict[str, Any]:
    """What the worker needs of a channel, secrets and all. Raises UsageError."""
    found = {name: _read(base, getattr(outlet, f"{name}_file"), outlet) for name in ("secret", "token", "app_token")}
    settings = {
        "name": outlet.name,
        "kind": outlet.kind,
        "url": _read(base, outlet.url_file, outlet) or outlet.url,
        "to": outlet.to,
        "detail": outlet.detail,
        **found,
    }
    try:
        if outlet.kind in ("webhook", "ntfy") or (outlet.kind == "slack" and settings["url"]):
            address(str(settings["url"]))
        if outlet.kind == "desktop" and outlet.url:
            session_bus(outlet.url)
        if outlet.kind == "webhook":
            signing.parse_secret(found["secret"])
    except ValueError as error:
        raise UsageError(f"[[notify]] {outlet.name}: {error}") from None
    return settings


def _read(base: Path, name: str, outlet: Outlet) -> str:
    """The one line of a file that only its owner reads; empty without a file."""
    if not name:
        return ""
    path = base / Path(name).expanduser()
    try:
        if stat.S_IMODE(path.stat().st_mode) & 0o077:
            raise UsageError(f"{path} is readable by others", "chmod 600")
        with path.open("rb") as file:
            text = file.read(FILE_LIMIT).decode().strip()
    except OSError as error:
        raise UsageError(f"[[notify]] {outlet.name}: cannot read {path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise UsageError(f"[[notify]] {outlet.name}: {path} is no text") from None
    if not text or not text.isprintable():
        raise UsageError(f"[[notify]] {outlet.name}: {path} has to hold one line")
    return text
