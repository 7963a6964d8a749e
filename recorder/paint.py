"""A screen on a person's own terminal (P6): only our own sequences, from cells, never a byte of the recording. Pure.

What goes out is: cursor addressing (CUP), SGR made here from parsed attributes, and the cells' characters, of which
those that a terminal could act on or that cannot be seen have become U+FFFD. Colours are numbers that we checked.
"""

from __future__ import annotations

import re
import unicodedata

from pyte.graphics import BG_AIXTERM, BG_ANSI, FG_AIXTERM, FG_ANSI
from pyte.screens import Char

from recorder.screen import Screen
from recorder.terminal import HIDDEN

ENTER = "\x1b[?1049h\x1b[2J\x1b[H"
"""Show on the alternate screen, so that a replay leaves the person's own scrollback alone."""
LEAVE = "\x1b[0m\x1b[?25h\x1b[?1049l"

_FOREGROUND = {name: str(code) for code, name in (FG_ANSI | FG_AIXTERM).items()}
_BACKGROUND = {name: str(code) for code, name in (BG_ANSI | BG_AIXTERM).items()}
_FLAGS = {"bold": "1", "italics": "3", "underscore": "4", "blink": "5", "reverse": "7", "strikethrough": "9"}
_RGB = re.compile(r"[0-9a-f]{6}", re.ASCII)
_BAD_CATEGORIES = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})


class Painter:
    """Keeps what a terminal of `columns` by `lines` shows in step with a screen."""

    def __init__(self, columns: int, lines: int) -> None:
        self.columns, self.lines = columns, lines
        self._shown: dict[int, str] = {}

    def paint(self, screen: Screen) -> str:
        """What to write so that the terminal shows the screen; what does not fit is cut at the right and bottom."""
        out = []
        for y in range(min(self.lines, max(screen.lines, len(self._shown)))):
            row = line(screen.row(y)[: self.columns]) if y < screen.lines else ""
            row += " " * max(0, self.columns - screen.columns) if y < screen.lines else " " * self.columns
            if self._shown.get(y) != row:
                self._shown[y] = row
                out.append(f"\x1b[{y + 1};1H{row}")
        x, y, visible = screen.cursor
        shows = visible and x < self.columns and y < self.lines
        out.append(f"\x1b[{y + 1};{x + 1}H\x1b[?25h" if shows else "\x1b[?25l")
        return "".join(out)


def line(cells: list[Char]) -> str:
    """A row as text with SGR; begins and ends with attributes off."""
    out, last = ["\x1b[0m"], "0"
    for cell in cells:
        if not cell.data:
            continue  # the second half of a wide character
        codes = sgr(cell)
        if codes != last:
            out.append(f"\x1b[{codes}m")
            last = codes
        out.append(safe(cell.data))
    out.append("\x1b[0m")
    return "".join(out)


def sgr(cell: Char) -> str:
    """SGR parameters of a cell, from a clean state."""
    codes = ["0", *(code for name, code in _FLAGS.items() if getattr(cell, name))]
    for colour, names, wide in ((cell.fg, _FOREGROUND, "38"), (cell.bg, _BACKGROUND, "48")):
        if colour == "default":
            continue
        if colour in names:
            codes.append(names[colour])
        elif _RGB.fullmatch(colour):
            codes.append(f"{wide};2;{int(colour[:2], 16)};{int(colour[2:4], 16)};{int(colour[4:], 16)}")
    return ";".join(codes)


def safe(text: str) -> str:
    """A cell's characters without any that a terminal acts on."""
    return "".join(HIDDEN if unicodedata.category(char) in _BAD_CATEGORIES else char for char in text)
