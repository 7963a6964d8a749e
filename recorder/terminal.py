"""What terminal operations do to the screen. Nothing that comes in makes it raise or take more than linear time.

`escapes` names the operations and `grid` carries them out; here stand which of them there are, the two screens, and
what characters may stand in a cell: what cannot be seen becomes visible (U+FFFD), what would pile up is bounded.
Modes that only a program's input knows (mouse, bracketed paste, keypads) do nothing here.
"""

from __future__ import annotations

import copy
import unicodedata
from collections.abc import Callable

from pyte import modes as mo
from pyte.screens import Cursor, wcwidth

from recorder.escapes import number, numbers
from recorder.grid import COMBINING_LIMIT, Page, Rows, fitted

COLUMNS_LIMIT, LINES_LIMIT = 500, 200
"""A screen is at most this large, whatever a client claims: four times a 4K display's at a readable size."""
HIDDEN = "\ufffd"
"""Stands for a character that cannot be seen: bidi controls, zero-width ones, unassigned ones."""

_UNSEEN_MARKS = frozenset(
    map(chr, [0x34F, 0x17B4, 0x17B5, *range(0x180B, 0x1810), *range(0xFE00, 0xFE10), *range(0xE0100, 0xE01F0)])
)
"""Marks that nothing shows (Default_Ignorable_Code_Point in Unicode's DerivedCoreProperties.txt)."""
_PRIVATE_MODES = {6, 7, 25}
"""DECOM, DECAWM, DECTCEM: what pyte knows, but for 132 columns and reverse video, which touches every cell."""
_ALTERNATE = {47, 1047, 1049}
_MOVES: dict[str, str] = {
    "@": "insert_characters", "A": "cursor_up", "B": "cursor_down", "C": "cursor_forward", "D": "cursor_back",
    "E": "cursor_down1", "F": "cursor_up1", "G": "cursor_to_column", "L": "insert_lines", "M": "delete_lines",
    "I": "forward_tab", "P": "delete_characters", "S": "scroll_up", "T": "scroll_down", "X": "erase_characters",
    "Z": "back_tab", "`": "cursor_to_column", "a": "cursor_forward", "e": "cursor_down",
}  # fmt: skip
"""Control sequences with one number."""
_ESCAPES: dict[str, str] = {
    "7": "save_cursor", "8": "restore_cursor", "D": "index", "H": "set_tab_stop", "M": "reverse_index", "c": "reset",
}  # fmt: skip


_SEQUENCES: dict[str, Callable[[Page, int, int], object]] = {
    "H": lambda page, line, column: page.cursor_position(line or None, column or None),
    "f": lambda page, line, column: page.cursor_position(line or None, column or None),
    "d": lambda page, line, _: page.cursor_to_line(line or None),
    "J": lambda page, how, _: page.erase_in_display(how) if how <= 3 else None,
    "K": lambda page, how, _: page.erase_in_line(how) if how <= 2 else None,
    "g": lambda page, how, _: page.clear_tab_stop(how),
    "r": lambda page, top, bottom: page.set_margins(top or None, bottom or None),
    "s": lambda page, _, __: page.save_cursor(),
    "u": lambda page, _, __: page.restore_cursor(),
}
"""Control sequences with up to two numbers."""


class Terminal:
    """The parser's handler: operations to the screen."""

    def __init__(self, columns: int, lines: int, *, newline: bool) -> None:
        self.newline = newline
        self.page = Page(*bounded(columns, lines))
        self.main: tuple[Rows, Cursor] | None = None
        """While the alternate screen shows: lines and cursor of the main one."""
        self.combined = 0
        """Combining characters since the last base character."""
        self.last = ""
        """The character that REP repeats; empty behind anything but text."""

    def text(self, data: str) -> None:
        """Printable text."""
        if data.isascii():
            self.combined = 0
            self.last = data[-1:]
            self.page.draw(data)
            return
        out: list[str] = []
        for char in data:
            width = wcwidth(char)
            if width > 0:
                self.combined = 0
                known = unicodedata.category(char) not in ("Cf", "Cn", "Co", "Cs")
                out.append(char if known else HIDDEN * width)
                self.last = out[-1][0]
            elif width == 0 and unicodedata.category(char)[0] == "M" and char not in _UNSEEN_MARKS:
                self.combined += 1
                if self.combined <= COMBINING_LIMIT:
                    out.append(char)
            elif char in "\ufe0e\ufe0f" and not self.combined:
                self.combined = 1  # one variation selector says text or emoji; more would carry something
            else:
                self.combined = COMBINING_LIMIT  # nothing more may hide on this one
                self.last = HIDDEN
                out.append(HIDDEN)
        self.page.draw("".join(out))

    def control(self, code: str, count: int) -> None:
        """C0."""
        page = self.page
        self.last = ""
        match code:
            case "\n" | "\v" | "\f":
                if self.newline:
                    page.carriage_return()
                page.linefeeds(count)
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
        self.last = ""
        if final == "c":
            self.leave_alternate(with_cursor=False)
            self.page.savepoints.clear()
        if final == "E":
            self.page.carriage_return()
            self.page.index()
        elif final in _ESCAPES:
            getattr(self.page, _ESCAPES[final])()

    def charset(self, slot: str, code: str) -> None:
        """G0 and G1, and the screen full of E."""
        self.last = ""
        if slot in "()":
            self.page.define_charset(code, slot)
        elif (slot, code) == ("#", "8"):
            self.page.alignment_display()

    def csi(self, marker: str, parameters: str, final: str) -> None:
        """Control sequences: what is not named here or in the tables does nothing."""
        page, values = self.page, numbers(parameters)
        last, self.last = self.last, ""
        if marker:
            if marker == "?" and final in "hl":
                self._private_modes(values, on=final == "h")
        elif final in _MOVES:
            getattr(page, _MOVES[final])(values[0] or None)
        elif final in _SEQUENCES:
            _SEQUENCES[final](page, values[0], values[1] if len(values) > 1 else 0)
        elif final == "m":
            page.select_graphic_rendition(*_graphics(parameters))
        elif final == "b":
            page.draw(last * min(values[0] or 1, page.columns - page.cursor.x))  # to the line's end, as in tmux
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
                    self.leave_alternate(with_cursor=mode == 1049)

    def enter_alternate(self) -> None:
        """The main screen is put aside, with the cursor; an empty one shows."""
        if self.main is None:
            page = self.page
            self.main = (dict(page.buffer), copy.copy(page.cursor))
            page.buffer.clear()
            page.dirty.update(range(page.lines))

    def leave_alternate(self, *, with_cursor: bool) -> None:
        """The main screen shows again; 1049 brings its cursor back, too."""
        if self.main is not None:
            page = self.page
            page.buffer.clear()
            page.buffer.update(self.main[0])
            if with_cursor:
                page.cursor = self.main[1]
                page.ensure_hbounds()
                page.ensure_vbounds()
            page.dirty.update(range(page.lines))
            self.main = None

    def resize(self, columns: int, lines: int) -> None:
        """Both screens."""
        columns, lines = bounded(columns, lines)
        if self.main is not None:
            fitted(*self.main, self.page.lines, lines, columns)
        self.page.resize(lines, columns)


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
