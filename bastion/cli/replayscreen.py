"""A replay on a person's own terminal: what is drawn, and what keys mean.

The screen stands at the top left, under it the line of time and one of words, beside it, where there is room, the list
of commands. What goes out is made by `paint` from cells, and from text that is harmless: never a byte of the recording.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
import termios
import tty
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from bastion.cli import output
from bastion.control import timeline
from bastion.control.timeline import Command, Parts
from recorder import paint
from recorder.player import Player
from recorder.screen import Screen

FOOT = 2
"""Rows under the screen."""
LIST_LEAST, LIST_MOST = 28, 60
"""Columns beside the screen that make a list of commands worth it, and that it takes at most."""
HELP = (
    "space play/pause  + - speed  i limit pauses  left right 5 s  [ ] command before, next"
    "  / search  n N hits  g to a time  . one frame  home end  q quit"
)
KEYS: dict[bytes, str] = {
    b" ": "pause", b"+": "faster", b"=": "faster", b">": "faster", b"-": "slower", b"<": "slower", b"i": "idle",
    b"\x1b[C": "forward", b"\x1bOC": "forward", b"l": "forward", b"\x1b[D": "back", b"\x1bOD": "back", b"h": "back",
    b"]": "next", b"\t": "next", b"[": "previous", b"\x1b[Z": "previous", b"n": "hit", b"N": "hit_back", b"/": "search",
    b"g": "place", b"G": "end", b"\x1b[F": "end", b"\x1bOF": "end", b"\x1b[4~": "end", b"0": "begin",
    b"\x1b[H": "begin", b"\x1bOH": "begin", b"\x1b[1~": "begin", b".": "frame", b"q": "quit", b"?": "help",
}  # fmt: skip
"""What a terminal sends, and what it does."""

_SGR = {
    "high": "1;31", "unrated": "1;33", "medium": "33", "low": "32", "quiet": "2", "value": "", "strong": "1",
    "active": "7", "title": "7", "warning": "33", "command": "", "bad": "1;31",
}  # fmt: skip


class Shown(Protocol):
    """What is drawn of a replay."""

    player: Player
    listed: list[Command]
    told: str
    typed: str | None

    @property
    def notice(self) -> str: ...


class View:
    """Keeps the person's terminal in step."""

    def __init__(self) -> None:
        self._size = (0, 0)
        self._painter = paint.Painter(1, 1)
        self._rows: dict[int, str] = {}

    def draw(self, run: Shown) -> str:
        """What to write."""
        columns, lines = shutil.get_terminal_size()
        player, spare = run.player, columns - run.player.screen.columns
        beside = min(spare - 1, LIST_MOST) if spare > LIST_LEAST and run.listed else 0
        width, height = columns - beside - (1 if beside else 0), max(1, lines - FOOT)
        out = []
        if (width, height) != self._size:
            self._size, self._painter, self._rows = (width, height), paint.Painter(width, height), {}
            out.append("\x1b[0m\x1b[2J")
        out.append("\x1b[?25l")
        foot = [(1, row) for row in self._foot(run, columns)]
        texts = {height + number: (1, styled(row, columns)) for number, (_, row) in enumerate(foot, 1)}
        if beside:
            for number, row in enumerate(self._list(run, beside, height), 1):
                texts[number] = (width + 2, styled(row, beside))
        for y, (x, text) in texts.items():
            if self._rows.get(y) != text:
                self._rows[y] = text
                out.append(f"\x1b[{y};{x}H{text}")
        out.append(self._painter.paint(player.screen))
        return "".join(out)

    def _foot(self, run: Shown, columns: int) -> list[Parts]:
        player = run.player
        if run.typed is not None:
            name = "search: " if run.typed[0] == "/" else "to the time: "
            words: Parts = ((f" {name}", "title"), (f" {output.shown(run.typed[1:])}_", "value"))
        elif run.told:
            words = ((f" {output.shown(run.told)}", "value"),)
        else:
            words = timeline.status(
                player.playing and not player.at_end, player.position_us, player.until_us, player.speed, player.idle,
                hurrying=player.hurrying, more=self._more(run),
            )  # fmt: skip
        return [timeline.line(run.listed, player.position_us, player.until_us, columns), words]

    def _more(self, run: Shown) -> str:
        player = run.player
        if run.notice:
            return run.notice
        if player.screen.columns > self._size[0] or player.screen.lines > self._size[1]:
            return f"cut: {player.screen.columns}x{player.screen.lines}"
        return "? keys"

    def _list(self, run: Shown, width: int, height: int) -> Iterator[Parts]:
        now = timeline.current(run.listed, run.player.frame)
        first = max(0, min(now - height // 2, len(run.listed) - height))
        for number in range(first, first + height):
            if number < len(run.listed):
                yield timeline.row(run.listed[number], width, now=number == now)
            else:
                yield ()


def styled(parts: Parts, width: int) -> str:
    """A row of exactly `width` cells, with our own SGR, from text of single cells."""
    out, left = ["\x1b[0m"], width
    for text, style in parts:
        shown = paint.safe(text)[:left]
        left -= len(shown)
        out.append(f"\x1b[{_SGR.get(style, '')}m{shown}\x1b[0m" if _SGR.get(style) else shown)
    return "".join(out) + " " * left


def leave_behind(screen: Screen) -> None:
    """The last screen on the person's own one, where it can be scrolled and copied."""
    for y in range(len(screen.text())):
        cells = screen.row(y)
        while cells and cells[-1].data == " " and paint.sgr(cells[-1]) == "0":
            cells.pop()
        output.say(paint.line(cells))


@contextmanager
def drawing() -> Iterator[None]:
    write(paint.ENTER)
    try:
        yield
    finally:
        write(paint.LEAVE)


@contextmanager
def typing() -> Iterator[asyncio.Queue[bytes]]:
    """Keys as they are pressed, without Enter and echo; ^C goes on to interrupt. Nothing comes where stdin is none."""
    keys: asyncio.Queue[bytes] = asyncio.Queue()
    if not sys.stdin.isatty():
        yield keys
        return
    fd, loop = sys.stdin.fileno(), asyncio.get_running_loop()
    before = termios.tcgetattr(fd)

    def read() -> None:
        for key in split_keys(os.read(fd, 1024)):
            keys.put_nowait(key)

    tty.setcbreak(fd)
    loop.add_reader(fd, read)
    try:
        yield keys
    finally:
        loop.remove_reader(fd)
        termios.tcsetattr(fd, termios.TCSADRAIN, before)


def split_keys(data: bytes) -> Iterator[bytes]:
    """What one read gave, key by key; a sequence that is not known is dropped whole."""
    while data:
        known = next((key for key in KEYS if len(key) > 1 and data.startswith(key)), None)
        if known is None and data[:1] == b"\x1b" and len(data) > 1:
            return
        size = len(known) if known is not None else _character(data)
        yield data[:size]
        data = data[size:]


def _character(data: bytes) -> int:
    """Bytes of the first character of UTF-8."""
    return next((size for least, size in ((0xF0, 4), (0xE0, 3), (0xC0, 2)) if data[0] >= least), 1)


def write(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()
