"""pyte's screen with what it lacks or does wrong mended. Each operation takes time linear in the screen at most.

pyte 0.8.2 is called below its own parser, with parameters in range. What is otherwise here, after ECMA-48, DEC STD 070
and what xterm does (tests/captures compares with tmux, cell by cell):

    draw stops at a zero-width character and loses the rest     a combining character goes to its cell
    a wide character in the last column is cut                  it wraps
    erasing leaves all attributes of the pen behind             only its background (BCE)
    erasing the display visits every cell                       every line
    cursor movement is held in a scrolling region from outside  only from inside
    setting the region does not always move the cursor          it does
    saved cursors pile up without end                           there is one, as on a terminal
    a smaller screen loses its top, however empty its end is    empty lines below the cursor go first
    no scrolling by SU and SD, no back tabs, no REP             they are here
    0.5 MB/s                                                    runs of ASCII are put into the line at once
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
from pyte.screens import Char, Cursor, Margins, Savepoint, StaticDefaultDict, wcwidth

COMBINING_LIMIT = 4
"""Combining characters in one cell; Vietnamese and pointed Hebrew use three."""

Row = StaticDefaultDict[int, Char]
Rows = dict[int, Row]


class _Cells(dict[int, Char]):
    """Codes of ASCII to cells with some attributes, each made when it first comes."""

    def __init__(self, attributes: Char) -> None:
        super().__init__()
        self._rest = attributes[1:]

    def __missing__(self, code: int) -> Char:
        cell = self[code] = Char(chr(code), *self._rest)
        return cell


@lru_cache(maxsize=1024)
def _ascii_cells(attributes: Char) -> _Cells:
    return _Cells(attributes)


class Page(pyte.Screen):
    """See above."""

    on_scroll: Callable[[Row], None] | None = None
    """Told each line that leaves the top of the screen."""

    @property
    def region(self) -> Margins:
        """The first and the last line that scroll."""
        return self.margins or Margins(0, self.lines - 1)

    @property
    def blank(self) -> Char:
        """What erasing leaves: a space with the pen's background (xterm and tmux have `bce`)."""
        return self.default_char._replace(bg=self.cursor.attrs.bg)

    def _blank_row(self) -> Row:
        return StaticDefaultDict(self.blank)

    # --- text

    def draw(self, data: str) -> None:
        plain = mo.IRM not in self.mode and mo.DECAWM in self.mode and not self.charset
        if plain and data.isascii() and self.g0_charset is charsets.LAT1_MAP:
            self._draw_ascii(data)
            return
        for char in data.translate(self.g1_charset if self.charset else self.g0_charset):
            width = wcwidth(char)
            if width > 0:
                self._put(char, min(width, self.columns))
            else:
                self._combine(char)

    def _draw_ascii(self, data: str) -> None:
        cells = _ascii_cells(self.cursor.attrs)
        codes, at = data.encode(), 0
        while at < len(codes):
            if self.cursor.x >= self.columns:
                self.carriage_return()
                self.linefeed()
            x = self.cursor.x
            run = codes[at : at + self.columns - x]
            self.buffer[self.cursor.y].update(zip(range(x, x + len(run)), map(cells.__getitem__, run), strict=True))
            self.dirty.add(self.cursor.y)
            self.cursor.x += len(run)
            at += len(run)

    def _put(self, char: str, width: int) -> None:
        if self.cursor.x + width > self.columns:
            if mo.DECAWM in self.mode:
                self.carriage_return()
                self.linefeed()
            else:
                self.cursor.x = self.columns - width
        if mo.IRM in self.mode:
            self.insert_characters(width)
        line, x = self.buffer[self.cursor.y], self.cursor.x
        line[x] = self.cursor.attrs._replace(data=char)
        if width == 2:
            line[x + 1] = self.cursor.attrs._replace(data="")
        self.dirty.add(self.cursor.y)
        self.cursor.x = x + width

    def _combine(self, char: str) -> None:
        """Onto the character before the cursor, of the line above where the cursor is at the beginning of its line."""
        x, y = (self.cursor.x, self.cursor.y) if self.cursor.x else (self.columns, self.cursor.y - 1)
        if y < 0:
            return
        line = self.buffer[y]
        at = x - 1 if line[x - 1].data or x < 2 else x - 2  # behind the second half of a wide one
        if len(line[at].data) > COMBINING_LIMIT:  # it comes back to the same cell again and again
            return
        line[at] = line[at]._replace(data=unicodedata.normalize("NFC", line[at].data + char))
        self.dirty.add(y)

    # --- lines that move

    def index(self) -> None:
        if self.cursor.y == self.region.bottom:
            self._scroll(1, 1)
        elif self.cursor.y < self.lines - 1:
            self.cursor.y += 1

    def linefeed(self) -> None:
        self.linefeeds(1)

    def reverse_index(self) -> None:
        if self.cursor.y == self.region.top:
            self.scroll_down(1)
        elif self.cursor.y > 0:
            self.cursor.y -= 1

    def linefeeds(self, count: int) -> None:
        """So many; however many there are, the screen moves once."""
        if mo.LNM in self.mode:
            self.carriage_return()
        while count and self.cursor.y not in (self.region.bottom, self.lines - 1):
            self.cursor.y += 1
            count -= 1
        if count and self.cursor.y == self.region.bottom:
            self._scroll(count, count)

    def scroll_up(self, count: int | None = None) -> None:
        """SU: the lines of the region move up; those that leave the top of the screen are told."""
        self._scroll(count or 1, min(count or 1, self.lines))

    def _scroll(self, count: int, told: int) -> None:
        top, bottom = self.region
        if self.on_scroll is not None and self.margins is None:
            empty: Row = StaticDefaultDict(self.default_char)
            for y in range(told):
                self.on_scroll(self.buffer.get(y, empty) if y <= bottom else empty)
        self._move(top, bottom, -count)

    def scroll_down(self, count: int | None = None) -> None:
        """SD."""
        self._move(*self.region, count or 1)

    def insert_lines(self, count: int | None = None) -> None:
        top, bottom = self.region
        if top <= self.cursor.y <= bottom:
            self._move(self.cursor.y, bottom, count or 1)
            self.carriage_return()

    def delete_lines(self, count: int | None = None) -> None:
        top, bottom = self.region
        if top <= self.cursor.y <= bottom:
            self._move(self.cursor.y, bottom, -(count or 1))
            self.carriage_return()

    def _move(self, top: int, bottom: int, by: int) -> None:
        """Lines `top` to `bottom` down by so many, or up; what comes in is blank."""
        buffer = self.buffer
        moved = {y + by: line for y in range(top, bottom + 1) if (line := buffer.pop(y, None)) is not None}
        buffer.update((y, line) for y, line in moved.items() if top <= y <= bottom)
        if self.cursor.attrs.bg != "default":
            fresh = range(top, min(top + by, bottom + 1)) if by > 0 else range(max(top, bottom + 1 + by), bottom + 1)
            blank = self.blank
            buffer.update((y, StaticDefaultDict(blank)) for y in fresh)
        self.dirty.update(range(top, bottom + 1))

    # --- cells that move or go

    def insert_characters(self, count: int | None = None) -> None:
        self._shift(count or 1)

    def delete_characters(self, count: int | None = None) -> None:
        self._shift(-(count or 1))

    def _shift(self, by: int) -> None:
        """The cells from the cursor on to the right by so many, or to the left; what comes in is blank."""
        first, end = min(self.cursor.x, self.columns), self.columns
        line, y = self.buffer[self.cursor.y], self.cursor.y
        cells = [line[x] for x in range(first, end)]
        fresh = [self.blank] * min(abs(by), len(cells))
        cells = fresh + cells[: len(cells) - len(fresh)] if by > 0 else cells[len(fresh) :] + fresh
        line.update(zip(range(first, end), cells, strict=True))
        self.dirty.add(y)

    def erase_characters(self, count: int | None = None) -> None:
        self._erase(self.cursor.x, self.cursor.x + (count or 1))

    def erase_in_line(self, how: int = 0, private: bool = False) -> None:
        x = self.cursor.x
        self._erase(*{0: (x, self.columns), 1: (0, x + 1)}.get(how, (0, self.columns)))

    def _erase(self, first: int, end: int) -> None:
        self.dirty.add(self.cursor.y)
        if first <= 0 and end >= self.columns:
            self.buffer[self.cursor.y] = self._blank_row()
        else:
            cells = range(first, min(end, self.columns))
            self.buffer[self.cursor.y].update(dict.fromkeys(cells, self.blank))

    def erase_in_display(self, how: int = 0, *args: Any, **kwargs: Any) -> None:
        """3 clears what has scrolled away (xterm), of which there is nothing here."""
        if how == 3:
            return
        first, end = {0: (self.cursor.y + 1, self.lines), 1: (0, self.cursor.y)}.get(how, (0, self.lines))
        self.dirty.update(range(first, end))
        blank = self.blank
        self.buffer.update((y, StaticDefaultDict(blank)) for y in range(first, end))
        if how in (0, 1):
            self.erase_in_line(how)

    def alignment_display(self) -> None:
        """DECALN."""
        self.margins, self.cursor.x, self.cursor.y = None, 0, 0
        self.dirty.update(range(self.lines))
        full = self.default_char._replace(data="E")
        self.buffer.update((y, StaticDefaultDict(full)) for y in range(self.lines))

    # --- the cursor

    def cursor_up(self, count: int | None = None) -> None:
        top = self.region.top if self.cursor.y >= self.region.top else 0
        self.cursor.y = max(self.cursor.y - (count or 1), top)
        self.ensure_hbounds()

    def cursor_down(self, count: int | None = None) -> None:
        bottom = self.region.bottom if self.cursor.y <= self.region.bottom else self.lines - 1
        self.cursor.y = min(self.cursor.y + (count or 1), bottom)
        self.ensure_hbounds()

    def cursor_forward(self, count: int | None = None) -> None:
        self.ensure_hbounds()
        super().cursor_forward(count)

    def cursor_position(self, line: int | None = None, column: int | None = None) -> None:
        self.cursor.x = (column or 1) - 1
        self.cursor_to_line(line)
        self.ensure_hbounds()

    def cursor_to_line(self, line: int | None = None) -> None:
        origin = self.region.top if mo.DECOM in self.mode else 0
        self.cursor.y = (line or 1) - 1 + origin
        self.ensure_vbounds()

    def back_tab(self, count: int | None = None) -> None:
        """CBT."""
        stops = sorted((stop for stop in self.tabstops if stop < self.cursor.x), reverse=True)
        wanted = (count or 1) - 1
        self.cursor.x = stops[wanted] if wanted < len(stops) else 0

    def forward_tab(self, count: int | None = None) -> None:
        """CHT."""
        stops = sorted(stop for stop in self.tabstops if stop > self.cursor.x)
        wanted = (count or 1) - 1
        self.cursor.x = min(stops[wanted] if wanted < len(stops) else self.columns, self.columns - 1)

    def tab(self) -> None:
        self.forward_tab(1)

    def set_margins(self, top: int | None = None, bottom: int | None = None) -> None:
        first, last = (top or 1) - 1, min(bottom or self.lines, self.lines) - 1
        if first < last:
            self.margins = Margins(first, last) if (first, last) != (0, self.lines - 1) else None
            self.cursor_position()

    def save_cursor(self) -> None:
        origin, wrap = mo.DECOM in self.mode, mo.DECAWM in self.mode
        cursor = Cursor(self.cursor.x, self.cursor.y, self.cursor.attrs)
        cursor.hidden = self.cursor.hidden
        self.savepoints = [Savepoint(cursor, self.g0_charset, self.g1_charset, self.charset, origin, wrap)]

    def restore_cursor(self) -> None:
        """What DECSC keeps in xterm: position, attributes, character sets, origin mode; not whether it shows."""
        home = Savepoint(Cursor(0, 0, self.default_char), charsets.LAT1_MAP, charsets.VT100_MAP, 0, False, True)
        saved = self.savepoints[-1] if self.savepoints else home
        hidden = self.cursor.hidden
        self.cursor = copy.copy(saved.cursor)
        self.cursor.hidden = hidden
        self.g0_charset, self.g1_charset, self.charset = saved.g0_charset, saved.g1_charset, saved.charset
        self.mode = self.mode | {mo.DECOM} if saved.origin else self.mode - {mo.DECOM}
        self.ensure_hbounds()
        self.ensure_vbounds()

    # --- the size

    def resize(self, lines: int | None = None, columns: int | None = None) -> None:
        lines, columns = lines or self.lines, columns or self.columns
        if (lines, columns) == (self.lines, self.columns):
            return
        fitted(self.buffer, self.cursor, self.lines, lines, columns, self.on_scroll)
        self.tabstops |= set(range((self.columns + 7) // 8 * 8 or 8, columns, 8))
        self.lines, self.columns, self.margins = lines, columns, None
        self.dirty.update(range(lines))
        self.ensure_hbounds()
        self.ensure_vbounds()


def fitted(
    rows: Rows, cursor: Cursor, old: int, lines: int, columns: int, tell: Callable[[Row], None] | None = None
) -> None:
    """Make rows of a screen of `old` lines those of another size: lines below the cursor go first, then the top."""
    drop = max(0, old - lines - max(0, old - 1 - cursor.y))
    if drop:
        gone = [rows.pop(y, None) for y in range(drop)]
        for row in gone if tell is not None else ():
            tell(row if row is not None else StaticDefaultDict(Char(" ")))  # type: ignore[misc]  # pyte has no types
        moved = {y - drop: row for y, row in rows.items()}
        rows.clear()
        rows.update(moved)
        cursor.y -= drop
    for y in [y for y in rows if y >= lines]:
        del rows[y]
    for row in rows.values():
        for x in [x for x in row if x >= columns]:
            del row[x]
