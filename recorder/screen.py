"""The screen that some output leads to: rendered by pyte, behind a wrapper that no bytes can crash or hold up.

`escapes` cuts the output into operations, `terminal` applies those that it knows to pyte, and this is what the rest of
the program sees: the size, the cells, the text, and keyframes.

This is derived and never trusted: the frames are the evidence. Its cells are no safe output by themselves either; what
goes to a person's terminal is made from them by `paint`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pyte import charsets
from pyte.screens import Char, Cursor, Margins, Savepoint, StaticDefaultDict, wcwidth

from recorder.escapes import Parser
from recorder.terminal import Terminal, bounded


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
        columns, lines = bounded(columns, lines)
        self._page.resize(lines, columns)

    def row(self, y: int) -> list[Char]:
        """Cells of a line, one for each column; the second half of a wide character has empty data."""
        line = self._page.buffer.get(y)
        blank = self._page.default_char
        cells = [line[x] for x in range(self.columns)] if line is not None else [blank] * self.columns
        return _mended(cells)

    def text(self) -> list[str]:
        """The lines as text, without trailing spaces and empty lines at the end."""
        lines = [plain(self.row(y)) for y in range(self.lines)]
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

        def leave(line: StaticDefaultDict[int, Char]) -> None:
            if self._terminal.main is None:
                tell(plain(_mended([line[x] for x in range(self.columns)])))

        self._page.on_scroll = leave

    # --- keyframes --------------------------------------------------------------------------------------------

    def keyframe(self) -> dict[str, Any]:
        """The whole state as JSON: a fresh screen that is given it goes on the same."""
        page, table = self._page, dict[Char, int]()
        under = self._terminal.main
        main = [_dump_rows(under[0], table), _dump_cursor(under[1], table)] if under else None
        value = {
            "v": 1,
            "size": [page.columns, page.lines],
            "newline": self.newline,
            "parser": self._parser.state(),
            "combined": self._terminal.combined,
            "buffer": _dump_rows(page.buffer, table),
            "main": main,
            "cursor": _dump_cursor(page.cursor, table),
            "saved": [
                [_dump_cursor(p.cursor, table), _charset(p.g0_charset), _charset(p.g1_charset), *p[3:]]
                for p in page.savepoints
            ],
            "modes": sorted(page.mode),
            "margins": list(page.margins) if page.margins else None,
            "charset": [page.charset, _charset(page.g0_charset), _charset(page.g1_charset)],
            "tabs": sorted(page.tabstops),
        }
        value["attributes"] = [list(each) for each in table]
        return value

    @classmethod
    def restore(cls, keyframe: dict[str, Any]) -> Screen:
        """A screen in the state of a keyframe that this version made."""
        screen = cls(*keyframe["size"], newline=keyframe["newline"])
        page, table = screen._page, [Char(*each) for each in keyframe["attributes"]]
        screen._parser.set_state(keyframe["parser"])
        screen._terminal.combined = keyframe["combined"]
        _load_rows(page.buffer, keyframe["buffer"], table)
        if keyframe["main"]:
            rows = page.buffer.copy()
            rows.clear()
            _load_rows(rows, keyframe["main"][0], table)
            screen._terminal.main = [rows, _load_cursor(keyframe["main"][1], table)]
        page.cursor = _load_cursor(keyframe["cursor"], table)
        page.savepoints = [
            Savepoint(_load_cursor(cursor, table), charsets.MAPS[g0], charsets.MAPS[g1], *rest)
            for cursor, g0, g1, *rest in keyframe["saved"]
        ]
        page.mode = set(keyframe["modes"])
        page.margins = Margins(*keyframe["margins"]) if keyframe["margins"] else None
        page.charset = keyframe["charset"][0]
        page.g0_charset, page.g1_charset = (charsets.MAPS[code] for code in keyframe["charset"][1:])
        page.tabstops = set(keyframe["tabs"])
        page.dirty.update(range(page.lines))
        return screen


def plain(cells: list[Char]) -> str:
    """Cells as text without trailing spaces."""
    return "".join(cell.data for cell in cells).rstrip()


def _mended(cells: list[Char]) -> list[Char]:
    """Halves of wide characters whose other half was overwritten become spaces, so that columns stay columns."""
    for x, cell in enumerate(cells):
        wide = bool(cell.data) and wcwidth(cell.data[0]) == 2
        if (wide and (x + 1 == len(cells) or cells[x + 1].data)) or (not cell.data and not _is_wide(cells, x - 1)):
            cells[x] = cell._replace(data=" ")
    return cells


def _is_wide(cells: list[Char], x: int) -> bool:
    return x >= 0 and bool(cells[x].data) and wcwidth(cells[x].data[0]) == 2


def _dump_rows(rows: dict[int, StaticDefaultDict[int, Char]], table: dict[Char, int]) -> list[Any]:
    """Rows as [line, default, [column, attributes, [data, …]], …]; attributes are numbers in `table`."""
    dumped: list[Any] = []
    for y, line in sorted(rows.items()):
        runs: list[Any] = []
        for x, cell in sorted(line.items()):
            number = table.setdefault(cell._replace(data=""), len(table))
            if runs and runs[-1][1] == number and runs[-1][0] + len(runs[-1][2]) == x:
                runs[-1][2].append(cell.data)
            else:
                runs.append([x, number, [cell.data]])
        default = table.setdefault(line.default._replace(data=""), len(table))
        dumped.append([y, default, *runs])
    return dumped


def _load_rows(rows: dict[int, StaticDefaultDict[int, Char]], dumped: list[Any], table: list[Char]) -> None:
    for y, default, *runs in dumped:
        line: StaticDefaultDict[int, Char] = StaticDefaultDict(table[default]._replace(data=" "))
        for x, number, cells in runs:
            line.update({x + n: table[number]._replace(data=data) for n, data in enumerate(cells)})
        rows[y] = line


def _dump_cursor(cursor: Cursor, table: dict[Char, int]) -> list[Any]:
    number = table.setdefault(cursor.attrs._replace(data=""), len(table))
    return [cursor.x, cursor.y, number, cursor.attrs.data, cursor.hidden]


def _load_cursor(dumped: list[Any], table: list[Char]) -> Cursor:
    cursor = Cursor(dumped[0], dumped[1], table[dumped[2]]._replace(data=dumped[3]))
    cursor.hidden = dumped[4]
    return cursor


def _charset(chars: str) -> str:
    """The letter that designates a character set."""
    return next(code for code, known in charsets.MAPS.items() if known is chars)
