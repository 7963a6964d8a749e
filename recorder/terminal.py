"""What terminal operations do to pyte's screen. Nothing that comes in makes it raise or take more than linear time.

pyte 0.8.2 is called below its own parser, with parameters in range. What it lacks or does wrong is mended here:

    draw stops at a zero-width character and loses the rest   such characters become visible (U+FFFD) before
    a cell takes any number of combining characters           at most COMBINING_LIMIT
    erase with an unknown parameter, cursor_to_line in        not called
      origin mode, private modes it does not know: raise
    erasing the display visits every cell                     every line
    saved cursors pile up without end                         there is one, as on a terminal
    no alternate screen                                       ?47, ?1047, ?1049
    resize leaves the cursor outside                          it is moved in
    0.5 MB/s                                                  runs of ASCII are put into the line at once
"""

from __future__ import annotations

import copy
import unicodedata
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import pyte
from pyte import charsets
from pyte import modes as mo
from pyte.screens import Char, StaticDefaultDict, wcwidth

from recorder.escapes import number, numbers

COLUMNS_LIMIT, LINES_LIMIT = 500, 200
"""A screen is at most this large, whatever a client claims: four times a 4K display's at a readable size."""
COMBINING_LIMIT = 4
"""Combining characters in one cell; Vietnamese and pointed Hebrew use three."""
HIDDEN = "\ufffd"
"""Stands for a character that cannot be seen: bidi controls, zero-width ones, unassigned ones."""

_PRIVATE_MODES = {6, 7, 25}
"""DECOM, DECAWM, DECTCEM: what pyte knows, but for 132 columns and reverse video, which touches every cell."""
_ALTERNATE = {47, 1047, 1049}
_MOVES: dict[str, str] = {
    "@": "insert_characters", "A": "cursor_up", "B": "cursor_down", "C": "cursor_forward", "D": "cursor_back",
    "E": "cursor_down1", "F": "cursor_up1", "G": "cursor_to_column", "L": "insert_lines", "M": "delete_lines",
    "P": "delete_characters", "X": "erase_characters", "`": "cursor_to_column", "a": "cursor_forward",
    "e": "cursor_down",
}  # fmt: skip
"""Control sequences with one number."""
_ESCAPES: dict[str, str] = {
    "7": "save_cursor", "8": "restore_cursor", "D": "index", "H": "set_tab_stop", "M": "reverse_index", "c": "reset",
}  # fmt: skip


@lru_cache(maxsize=64)
def _ascii_cells(attributes: Char) -> tuple[Char, ...]:
    return tuple(attributes._replace(data=chr(code)) for code in range(128))


class Page(pyte.Screen):
    """pyte's screen with what the theory above says."""

    on_scroll: Callable[[StaticDefaultDict[int, Char]], None] | None = None
    """Told each line that leaves the top of the main screen."""

    @property
    def without_region(self) -> bool:
        """Origin mode without a scrolling region, where pyte's cursor_to_line fails."""
        return self.margins is None and mo.DECOM in self.mode

    def draw(self, data: str) -> None:
        plain = mo.IRM not in self.mode and mo.DECAWM in self.mode and not self.charset
        if not (plain and data.isascii() and self.g0_charset is charsets.LAT1_MAP):
            super().draw(data)
            return
        cells = _ascii_cells(self.cursor.attrs)
        codes, at = data.encode(), 0
        while at < len(codes):
            if self.cursor.x == self.columns:
                self.carriage_return()
                self.linefeed()
            x = self.cursor.x
            run = codes[at : at + self.columns - x]
            self.buffer[self.cursor.y].update(zip(range(x, x + len(run)), map(cells.__getitem__, run), strict=True))
            self.dirty.add(self.cursor.y)
            self.cursor.x += len(run)
            at += len(run)

    def index(self) -> None:
        if self.on_scroll is not None and self.cursor.y == self.lines - 1 and self.margins is None:
            self.on_scroll(self.buffer[0])
        super().index()

    def save_cursor(self) -> None:
        self.savepoints.clear()
        super().save_cursor()

    def restore_cursor(self) -> None:
        kept = [point._replace(cursor=copy.copy(point.cursor)) for point in self.savepoints]
        super().restore_cursor()
        self.savepoints = kept

    def resize(self, lines: int | None = None, columns: int | None = None) -> None:
        kept = self.savepoints
        super().resize(lines, columns)
        self.savepoints = kept
        self.ensure_hbounds()
        self.ensure_vbounds()

    def erase_in_display(self, how: int = 0, *args: Any, **kwargs: Any) -> None:
        first, last = {0: (self.cursor.y + 1, self.lines), 1: (0, self.cursor.y)}.get(how, (0, self.lines))
        self.dirty.update(range(first, last))
        blank = self.cursor.attrs._replace(data=" ")
        for y in range(first, last):
            self.buffer[y] = StaticDefaultDict(blank)
        if how in (0, 1):
            self.erase_in_line(how)


_SEQUENCES: dict[str, Callable[[Page, int, int], object]] = {
    "H": lambda page, line, column: page.cursor_position(line or None, column or None),
    "f": lambda page, line, column: page.cursor_position(line or None, column or None),
    "d": lambda page, line, _: None if page.without_region else page.cursor_to_line(line or None),
    "J": lambda page, how, _: page.erase_in_display(how) if how <= 3 else None,
    "K": lambda page, how, _: page.erase_in_line(how) if how <= 2 else None,
    "g": lambda page, how, _: page.clear_tab_stop(how),
    "r": lambda page, top, bottom: page.set_margins(top or None, bottom or None),
    "s": lambda page, _, __: page.save_cursor(),
    "u": lambda page, _, __: page.restore_cursor(),
}
"""Control sequences with up to two numbers."""


class Terminal:
    """The parser's handler: operations to pyte."""

    def __init__(self, columns: int, lines: int, *, newline: bool) -> None:
        self.newline = newline
        self.page = Page(*bounded(columns, lines))
        self.main: list[Any] | None = None
        """While the alternate screen shows: lines and cursor of the main one."""
        self.combined = 0
        """Combining characters since the last base character."""

    def text(self, data: str) -> None:
        """Printable text: what cannot be seen is made visible, what would pile up is bounded."""
        if data.isascii():
            self.combined = 0
            self.page.draw(data)
            return
        out: list[str] = []
        on_wide = self._behind_wide()
        for char in data:
            width = wcwidth(char)
            if width > 0 and unicodedata.category(char) not in ("Cf", "Cn", "Co", "Cs"):
                self.combined = 0
                on_wide = width == 2
                out.append(char)
            elif width == 0 and unicodedata.combining(char):
                self.combined += 1
                if self.combined <= COMBINING_LIMIT and not on_wide:
                    out.append(char)
            elif char in "\ufe0e\ufe0f" and not self.combined:
                self.combined = 1  # one variation selector says text or emoji; more would carry something
            else:
                self.combined = COMBINING_LIMIT  # nothing more may hide on this one
                on_wide = False
                out.append(HIDDEN)
        self.page.draw("".join(out))

    def _behind_wide(self) -> bool:
        """The cell before the cursor is the second half of a wide character: pyte would put a combining character there
        instead of on the first half, and the whole would be lost. It is dropped; the recording has it."""
        cursor, page = self.page.cursor, self.page
        if cursor.x:
            return not page.buffer[cursor.y][cursor.x - 1].data
        return bool(cursor.y) and not page.buffer[cursor.y - 1][page.columns - 1].data

    def control(self, code: str, count: int) -> None:
        """C0."""
        page = self.page
        match code:
            case "\n" | "\v" | "\f":
                if self.newline:
                    page.carriage_return()
                tell = page.on_scroll is not None
                for _ in range(count if tell else min(count, 2 * page.lines)):  # more only scroll an empty screen
                    page.linefeed()
            case "\r":
                page.carriage_return()
            case "\b":
                page.backspace()
            case "\t":
                page.tab()
            case "\x0e":
                page.shift_out()
            case "\x0f":
                page.shift_in()
            case _:
                pass

    def escape(self, final: str) -> None:
        """ESC and a character."""
        if final == "c":
            self.leave_alternate()
        if final == "E":
            self.page.carriage_return()
            self.page.index()
        elif final in _ESCAPES:
            getattr(self.page, _ESCAPES[final])()

    def charset(self, slot: str, code: str) -> None:
        """G0 and G1."""
        if slot in "()":
            self.page.define_charset(code, slot)

    def csi(self, marker: str, parameters: str, final: str) -> None:
        """Control sequences: what is not named here or in the tables does nothing."""
        page, values = self.page, numbers(parameters)
        if marker:
            if marker == "?" and final in "hl":
                self._private_modes(values, on=final == "h")
        elif final in _MOVES:
            getattr(page, _MOVES[final])(values[0] or None)
        elif final in _SEQUENCES:
            _SEQUENCES[final](page, values[0], values[1] if len(values) > 1 else 0)
        elif final == "m":
            page.select_graphic_rendition(*_graphics(parameters))
        elif final in "hl":
            known = [mode for mode in values if mode in (mo.IRM, mo.LNM)]
            (page.set_mode if final == "h" else page.reset_mode)(*known)

    def _private_modes(self, values: list[int], *, on: bool) -> None:
        for mode in values:
            if mode in _PRIVATE_MODES:
                (self.page.set_mode if on else self.page.reset_mode)(mode, private=True)
            elif mode in _ALTERNATE:
                if on:
                    self.enter_alternate()
                else:
                    self.leave_alternate()

    def enter_alternate(self) -> None:
        if self.main is None:
            page = self.page
            self.main = [page.buffer.copy(), copy.copy(page.cursor)]
            page.buffer.clear()
            page.dirty.update(range(page.lines))

    def leave_alternate(self) -> None:
        if self.main is not None:
            page = self.page
            page.buffer.clear()
            page.buffer.update({y: line for y, line in self.main[0].items() if y < page.lines})
            page.cursor = self.main[1]
            page.ensure_hbounds()
            page.ensure_vbounds()
            page.dirty.update(range(page.lines))
            self.main = None


def bounded(columns: int, lines: int) -> tuple[int, int]:
    """A size within the limits."""
    return min(max(columns, 1), COLUMNS_LIMIT), min(max(lines, 1), LINES_LIMIT)


def _graphics(parameters: str) -> list[int]:
    """SGR parameters as pyte takes them: colours in range, colon forms (ITU T.416, curly underlines) unfolded."""
    values: list[int] = []
    for word in parameters.split(";"):
        head, *rest = (number(part) for part in word.split(":"))
        if not rest:
            values.append(min(head, 255))
        elif head == 4:
            values.append(4 if rest[0] else 24)
        elif head in (38, 48) and rest[0] == 5 and len(rest) > 1:
            values += [head, 5, min(rest[1], 255)]
        elif head in (38, 48) and rest[0] == 2 and len(rest) >= 4:
            values += [head, 2, *(min(part, 255) for part in rest[-3:])]
    return values or [0]
