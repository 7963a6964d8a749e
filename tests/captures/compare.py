"""What tmux shows for some bytes, as cells, and where ours differ.

The bytes go to a pane of a tmux of our own, through a pty that changes nothing, with a question behind them that tmux
answers when it has come so far (DSR); then the pane is captured with its attributes.
"""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from unicodedata import normalize

from pyte import charsets
from pyte.graphics import BG_AIXTERM, BG_ANSI, FG_AIXTERM, FG_ANSI, FG_BG_256
from pyte.screens import Char, wcwidth

from recorder.screen import Screen

COLUMNS, LINES = 80, 24

_FEED = r"""
import os, re, sys, tty
data = open(sys.argv[1], "rb").read()
tty.setraw(0)
view = memoryview(data + b"\x1b[6n")
while view:
    view = view[os.write(1, view[:4096]):]
want, got = data.count(b"\x1b[6n") + 1, b""
while len(re.findall(rb"\x1b\[[0-9]+;[0-9]+R", got)) < want:
    got += os.read(0, 4096)
os.system("tmux -S %s wait-for -S fed" % sys.argv[2])
os.read(0, 1)
"""
_SGR = re.compile(r"\x1b\[([0-9;:]*)m|\x1b\(?.|[\x0e\x0f]|[^\x1b\x0e\x0f]")


class Tmux:
    """A server of our own."""

    def __init__(self, work: Path) -> None:
        self._work, self._socket = work, work / "s"
        (work / "tmux.conf").write_text(
            "set -g status off\nset -g default-terminal xterm-256color\nset -g history-limit 0\n"
        )

    def _run(self, *words: str) -> str:
        command = ["tmux", "-S", str(self._socket), "-f", str(self._work / "tmux.conf"), *words]
        return subprocess.run(command, capture_output=True, check=True, timeout=30).stdout.decode()

    def show(self, data: bytes) -> tuple[list[list[Char]], tuple[int, int]]:
        """Cells and cursor behind these bytes."""
        file = self._work / "bytes"
        file.write_bytes(data)
        size = ("-x", str(COLUMNS), "-y", str(LINES))
        feed = [sys.executable, "-c", _FEED, str(file), str(self._socket)]
        self._run("new-session", "-d", *size, "-s", "it", *feed)
        self._run("wait-for", "fed")
        text = self._run("capture-pane", "-p", "-e", "-N", "-t", "it")
        column, line = self._run("display-message", "-p", "-t", "it", "#{cursor_x} #{cursor_y}").split()
        self._run("kill-session", "-t", "it")
        return cells(text), (int(column), int(line))

    def close(self) -> None:
        """End it."""
        subprocess.run(["tmux", "-S", str(self._socket), "kill-server"], capture_output=True, check=False)


UNTOLD = Char("\0")
"""A cell at a line's end that tmux printed nothing for."""


def cells(text: str) -> list[list[Char]]:
    """What `capture-pane -e` printed, as rows of cells."""
    rows, pen, drawing = [], Char(" "), False
    for line in text.split("\n")[:LINES]:
        row: list[Char] = []
        for found in _SGR.finditer(line):
            piece = found[0]
            if piece in "\x0e\x0f":
                drawing = piece == "\x0e"
            elif piece.startswith("\x1b"):
                pen = graphics(pen, found[1]) if found[1] is not None else pen
            else:
                char = charsets.VT100_MAP[ord(piece)] if drawing and ord(piece) < 256 else piece
                if wcwidth(char) == 0 and row:
                    at = -1 if row[-1].data else -2
                    row[at] = row[at]._replace(data=row[at].data + char)
                    continue
                row.append(pen._replace(data=char))
                if wcwidth(char) == 2:
                    row.append(pen._replace(data=""))
        rows.append((row + [UNTOLD] * COLUMNS)[:COLUMNS])
    return (rows + [[UNTOLD] * COLUMNS] * LINES)[:LINES]


def graphics(pen: Char, parameters: str) -> Char:
    """SGR as tmux writes it."""
    words = [[int(each or 0) for each in word.split(":")] for word in parameters.split(";")]
    while words:
        (code, *rest), words = words[0], words[1:]
        if code == 0:
            pen = Char(pen.data)
        elif code in (38, 48):
            field = "fg" if code == 38 else "bg"
            flat = rest or [word[0] for word in words]
            if flat[0] == 5:
                value, used = FG_BG_256[flat[1]], 2
            else:
                value, used = "".join(f"{each:02x}" for each in (flat[-3:] if rest else flat[1:4])), 4
            pen = pen._replace(**{field: value})
            words = words if rest else words[used:]
        elif code in (39, 49):
            pen = pen._replace(**{"fg" if code == 39 else "bg": "default"})
        elif code in FG_ANSI or code in FG_AIXTERM:
            pen = pen._replace(fg=(FG_ANSI | FG_AIXTERM)[code])
        elif code in BG_ANSI or code in BG_AIXTERM:
            pen = pen._replace(bg=(BG_ANSI | BG_AIXTERM)[code])
        elif code in _ON:
            on = not (code == 4 and rest[:1] == [0])
            pen = pen._replace(**{_ON[code]: on})
        elif code in _OFF:
            pen = pen._replace(**dict.fromkeys(_OFF[code], False))
    return pen


_ON = {1: "bold", 3: "italics", 4: "underscore", 5: "blink", 7: "reverse", 9: "strikethrough"}
_OFF = {22: ("bold",), 23: ("italics",), 24: ("underscore",), 25: ("blink",), 27: ("reverse",), 29: ("strikethrough",)}


@dataclass(frozen=True, slots=True)
class Difference:
    """One cell."""

    line: int
    column: int
    ours: Char
    tmux: Char

    @property
    def erased(self) -> bool:
        """Ours is blank with a background, of which tmux's capture tells nothing."""
        return self.tmux == UNTOLD and self.ours == Char(" ", bg=self.ours.bg)


def same(ours: Char, theirs: Char) -> bool:
    """The same character by Unicode, with the same attributes."""
    if theirs == UNTOLD:
        return ours == Char(" ")
    return ours._replace(data="") == theirs._replace(data="") and normalize("NFC", theirs.data) == ours.data


def differences(data: bytes, tmux: Tmux) -> tuple[list[Difference], tuple[int, int], tuple[int, int]]:
    """Cells that are not the same, and both cursors."""
    screen = Screen(COLUMNS, LINES)
    screen.feed(data)
    theirs, cursor = tmux.show(data)
    found = [
        Difference(y, x, ours, other)
        for y in range(LINES)
        for x, (ours, other) in enumerate(zip(screen.row(y), theirs[y], strict=True))
        if not same(ours, other)
    ]
    column, line, _ = screen.cursor
    return found, (column, line), (min(cursor[0], COLUMNS - 1), cursor[1])
