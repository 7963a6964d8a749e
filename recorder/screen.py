"""The screen that some output leads to: rendered by pyte, behind a wrapper that no bytes can crash or hold up.

`escapes` cuts the output into operations, `terminal` applies those that it knows to pyte, and this is what the rest of
the program sees: the size, the cells, the text, and keyframes.

This is derived and never trusted: the frames are the evidence. Its cells are no safe output by themselves either; what
goes to a person's terminal is made from them by `paint`.
"""

from __future__ import annotations

from collections.abc import Callable
from operator import itemgetter
from typing import Any

from pyte.screens import Char, wcwidth

from recorder import keyframe
from recorder.escapes import Parser
from recorder.grid import Row
from recorder.terminal import Terminal

_DATA: Callable[[Char], str] = itemgetter(0)


class Screen:
    """A terminal's screen. No bytes make it raise, grow beyond its size, or take more than linear time."""

    def __init__(self, columns: int = 80, lines: int = 24, *, newline: bool = False) -> None:
        """`newline`: a bare LF also returns the carriage, as in output that no terminal driver has seen."""
        self._terminal = Terminal(columns, lines, newline=newline)
        self._page = self._terminal.page
        self._parser = Parser(self._terminal)

    @property
    def newline(self) -> bool:
        """Whether a bare LF returns the carriage; may be changed."""
        return self._terminal.newline

    @newline.setter
    def newline(self, value: bool) -> None:
        self._terminal.newline = value

    @property
    def columns(self) -> int:
        return int(self._page.columns)

    @property
    def lines(self) -> int:
        return int(self._page.lines)

    @property
    def cursor(self) -> tuple[int, int, bool]:
        """Column and line from 0, and whether it shows."""
        cursor = self._page.cursor
        return min(cursor.x, self.columns - 1), cursor.y, not cursor.hidden

    def feed(self, data: bytes) -> None:
        """Take some output."""
        self._parser.feed(data)

    def resize(self, columns: int, lines: int) -> None:
        """The client's window changed."""
        self._terminal.resize(columns, lines)

    def row(self, y: int) -> list[Char]:
        """Cells of a line, one for each column; the second half of a wide character has empty data."""
        line = self._page.buffer.get(y)
        blank = self._page.default_char
        cells = [line[x] for x in range(self.columns)] if line is not None else [blank] * self.columns
        return _mended(cells)

    def line(self, y: int) -> str:
        """A line as text, without trailing spaces."""
        line = self._page.buffer.get(y)
        return _text(line, self.columns) if line is not None else ""

    def text(self) -> list[str]:
        """The lines as text, without trailing spaces and empty lines at the end."""
        lines = [self.line(y) for y in range(self.lines)]
        while lines and not lines[-1]:
            lines.pop()
        return lines

    def take_dirty(self) -> set[int]:
        """Lines that have changed since the last call."""
        dirty = {y for y in self._page.dirty if y < self.lines}
        self._page.dirty.clear()
        return dirty

    def on_scroll(self, tell: Callable[[str], None]) -> None:
        """Have each line that leaves the top of the main screen told, as text."""

        def leave(line: Row) -> None:
            if self._terminal.main is None:
                tell(_text(line, self.columns))

        self._page.on_scroll = leave

    # --- keyframes --------------------------------------------------------------------------------------------

    def keyframe(self) -> dict[str, Any]:
        """The whole state as JSON: a fresh screen that is given it goes on the same."""
        return keyframe.dump(self._terminal, self._parser)

    @classmethod
    def restore(cls, value: object) -> Screen:
        """A screen in the state of a keyframe, whoever made it. Raises KeyframeError."""
        screen = cls.__new__(cls)
        screen._terminal, screen._parser = keyframe.load(value)
        screen._page = screen._terminal.page
        return screen


def _text(line: Row, columns: int) -> str:
    """Without trailing spaces. Most lines are ASCII without gaps, and take a tenth of the time."""
    if line.default.data == " ":
        columns = min(columns, max(line, default=-1) + 1)
    cells = list(map(line.__getitem__, range(columns)))
    text = "".join(map(_DATA, cells))
    if not text.isascii() or len(text) != len(cells):
        text = "".join(map(_DATA, _mended(cells)))
    return text.rstrip()


def _mended(cells: list[Char]) -> list[Char]:
    """Halves of wide characters whose other half was overwritten become spaces, so that columns stay columns."""
    for x, cell in enumerate(cells):
        wide = bool(cell.data) and wcwidth(cell.data[0]) == 2
        if (wide and (x + 1 == len(cells) or cells[x + 1].data)) or (not cell.data and not _is_wide(cells, x - 1)):
            cells[x] = cell._replace(data=" ")
    return cells


def _is_wide(cells: list[Char], x: int) -> bool:
    return x >= 0 and bool(cells[x].data) and wcwidth(cells[x].data[0]) == 2
