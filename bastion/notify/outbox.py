"""What was to be told and what was: kept over the end of the daemon, so that a kill -9 loses no alert and repeats few.

Theory of operation. A file of JSON lines, appended to. One says that a message is on its way to a channel, before the
worker gets it; one that it was dealt with, when the worker says so. At a start both are folded: what is on its way
still is sent again, under its old id, so that a receiver that keeps ids (`webhook-id`) knows it for the same; and what
was told by its key (a request that is held) is not told again because a daemon started.

    crash before the first line        nobody was told; a request that is still held is told at the next start
    crash between the two              it is told, perhaps twice
    a line that was cut short          is skipped, as is any other that makes no sense

It holds no word of an agent's: of a message about a request only the brief, and what is held is told anew out of the
desk, under its old id. It is no evidence and is not synced: losing power can lose the end of it. What is older than
KEEP_SECONDS is no news any more. When it cannot be written, people are told all the same.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from bastion.notify.news import KINDS, News

log = logging.getLogger(__name__)

KEEP_SECONDS = 3600
"""After which a message that did not get out is given up at a start: who is told an hour late looks at the queue."""

REMEMBERED = 10_000
"""Messages that are known to have been told, the newest: as many as requests can be held, and then some."""

FILE_LIMIT = 4 << 20
"""Bytes of the file; then it is written anew with what still matters. A message takes up to 2 KiB."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """A message that is on its way to a channel."""

    message: str
    channel: str
    news: News


class Outbox:
    """One daemon's. `path` None: nothing outlives the daemon."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._waiting: dict[tuple[str, str], Waiting] = {}
        self._told: dict[tuple[str, str], None] = {}
        self._fd = -1
        self._size, self._most = 0, FILE_LIMIT

    def open(self, now: int) -> list[Waiting]:
        """Read what an earlier daemon left, and begin; what has to be sent again. `now` in microseconds."""
        for line in self._lines():
            self._take(line)
        old = [key for key, each in self._waiting.items() if each.news.at < now - KEEP_SECONDS * 1_000_000]
        for key in old:
            del self._waiting[key]
        self._rewrite()
        return list(self._waiting.values())

    def put(self, message: str, channel: str, news: News) -> None:
        """It is on its way."""
        found = Waiting(message, channel, news)
        self._waiting[message, channel] = found
        self._append(_line(found))

    def done(self, message: str, channel: str, *, told: bool) -> None:
        """It was dealt with; `told`: it arrived."""
        if self._waiting.pop((message, channel), None) is None:
            return
        if told:
            self._remember(message, channel)
        self._append({"done": message, "channel": channel, "told": told})

    def known(self, message: str, channel: str) -> bool:
        """It was told, or is on its way."""
        return (message, channel) in self._told or (message, channel) in self._waiting

    def close(self) -> None:
        """No more."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    # --- the file -----------------------------------------------------------------------------------------------

    def _lines(self) -> Iterator[object]:
        if self._path is None:
            return
        try:
            with open(os.open(self._path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC), "rb") as file:
                for line in file.read(4 * FILE_LIMIT).split(b"\n"):
                    try:
                        yield json.loads(line)
                    except ValueError:
                        continue
        except FileNotFoundError:
            return
        except OSError as error:
            log.warning("notifications: cannot read %s: %s", self._path, error.strerror)

    def _take(self, line: object) -> None:
        match line:
            case {"tell": str(message), "channel": str(channel), "news": dict(fields)}:
                try:
                    news = News(**fields)
                except TypeError:  # of another release
                    return
                if news.kind in KINDS and isinstance(news.at, int):
                    self._waiting[message, channel] = Waiting(message, channel, news)
            case {"done": str(message), "channel": str(channel), "told": bool(told)}:
                self._waiting.pop((message, channel), None)
                if told:
                    self._remember(message, channel)
            case _:
                pass

    def _remember(self, message: str, channel: str) -> None:
        self._told[message, channel] = None
        while len(self._told) > REMEMBERED:
            del self._told[next(iter(self._told))]

    def _append(self, line: dict[str, object]) -> None:
        if self._fd < 0:
            return
        data = json.dumps(line).encode() + b"\n"
        try:
            os.write(self._fd, data)
        except OSError as error:
            self._give_up(error)
            return
        self._size += len(data)
        if self._size > self._most:
            self._rewrite()

    def _rewrite(self) -> None:
        """The file anew, with what still matters: beside the old one, then in its place."""
        if self._path is None:
            return
        self.close()
        beside = self._path.with_name(self._path.name + ".new")
        told = ({"done": message, "channel": channel, "told": True} for message, channel in self._told)
        try:
            beside.unlink(missing_ok=True)
            self._fd = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, 0o600)
            self._size = _write(self._fd, told) + _write(self._fd, map(_line, self._waiting.values()))
            os.replace(beside, self._path)
            self._most = max(FILE_LIMIT, 2 * self._size)
        except OSError as error:
            self._give_up(error)

    def _give_up(self, error: OSError) -> None:
        log.warning("notifications: cannot write %s: %s; a restart may repeat some", self._path, error.strerror)
        self.close()


def _line(each: Waiting) -> dict[str, object]:
    return {"tell": each.message, "channel": each.channel, "news": asdict(each.news)}


def _write(fd: int, lines: Iterable[dict[str, object]]) -> int:
    """Bytes written."""
    size = 0
    for line in lines:
        size += os.write(fd, json.dumps(line).encode() + b"\n")
    return size
