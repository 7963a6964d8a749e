"""A screen as JSON and back: what a keyframe holds. Pure. `load` takes nothing that no screen could be in.

Keyframes come from files and over the network. What made them is authenticated; this does not rely on it: every number
is in the range that a terminal keeps it in, every character is one that a cell may hold, every colour one that we
paint. Anything else is a KeyframeError, and the reader renders from the frames instead.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Callable
from functools import lru_cache
from typing import Any, NoReturn

import zstandard
from pyte import charsets
from pyte import graphics as g
from pyte import modes as mo
from pyte.screens import Char, Cursor, Margins, Savepoint, StaticDefaultDict

from recorder.errors import KeyframeError
from recorder.escapes import CSI_LIMIT, STATES, Parser
from recorder.grid import COMBINING_LIMIT, Row, Rows
from recorder.terminal import COLUMNS_LIMIT, LINES_LIMIT, Terminal

VERSION = 2
SIZE_LIMIT = 16 << 20
"""Bytes of one as JSON: 500 x 200 cells, each with attributes and combining characters of its own, take 13 MB."""

_MODES = frozenset({mo.IRM, mo.LNM, mo.DECOM, mo.DECAWM, mo.DECTCEM})
_COLOURS = frozenset(
    {"default", *g.FG_ANSI.values(), *g.BG_ANSI.values(), *g.FG_AIXTERM.values(), *g.BG_AIXTERM.values()}
)
_RGB = re.compile(r"[0-9a-f]{6}", re.ASCII)
_FLAGS = len(Char._fields) - 3


def dump(terminal: Terminal, parser: Parser) -> dict[str, Any]:
    """The whole state; a fresh terminal that is given it goes on the same."""
    page, table = terminal.page, dict[Char, int]()
    value = {
        "v": VERSION,
        "size": [page.columns, page.lines],
        "newline": terminal.newline,
        "parser": parser.state(),
        "combined": terminal.combined,
        "last": terminal.last,
        "buffer": _dump_rows(page.buffer, table),
        "main": [_dump_rows(terminal.main[0], table), _dump_cursor(terminal.main[1], table)] if terminal.main else None,
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
    value["attributes"] = [list(each[1:]) for each in table]
    return value


def load(value: object) -> tuple[Terminal, Parser]:
    """A terminal in that state, and its parser. Raises KeyframeError."""
    try:
        return _load(value)
    except (KeyError, TypeError, ValueError, IndexError, AttributeError, OverflowError) as error:
        raise KeyframeError(f"not a keyframe: {error!r}") from None


def decode(data: bytes) -> object:
    """JSON as a value for `load`. Raises KeyframeError."""
    try:
        if len(data) <= SIZE_LIMIT:
            return json.loads(data)
    except (ValueError, RecursionError) as error:
        raise KeyframeError(f"not a keyframe: {error}") from None
    raise KeyframeError(f"a keyframe of {len(data)} bytes")


def pack(value: object) -> bytes:
    """A keyframe as it travels."""
    return zstandard.ZstdCompressor(level=3).compress(json.dumps(value, separators=(",", ":")).encode())


def unpack(data: bytes) -> object:
    """What `pack` made, for `load`. Raises KeyframeError."""
    try:
        return decode(zstandard.ZstdDecompressor().decompress(data, max_output_size=SIZE_LIMIT))
    except (zstandard.ZstdError, MemoryError) as error:
        raise KeyframeError(f"not a keyframe: {error}") from None


def _load(value: Any) -> tuple[Terminal, Parser]:
    if value["v"] != VERSION:
        _wrong("its version")
    columns, lines = _whole(value["size"][0], 1, COLUMNS_LIMIT), _whole(value["size"][1], 1, LINES_LIMIT)
    terminal = Terminal(columns, lines, newline=_flag(value["newline"]))
    page, parser = terminal.page, Parser(terminal)
    table = [_attributes(each) for each in _list(value["attributes"], COLUMNS_LIMIT * LINES_LIMIT * 4)]
    parser.set_state(_parser_state(value["parser"]))
    terminal.combined = _whole(value["combined"], 0, 1 << 53)
    terminal.last = value["last"] and _cell(value["last"])
    _load_rows(page.buffer, value["buffer"], table, columns, lines)
    if value["main"] is not None:
        rows: Rows = {}
        _load_rows(rows, value["main"][0], table, columns, lines)
        terminal.main = (rows, _load_cursor(value["main"][1], table, COLUMNS_LIMIT, LINES_LIMIT - 1))
    page.cursor = _load_cursor(value["cursor"], table, columns, lines - 1)
    page.savepoints = [
        Savepoint(
            _load_cursor(cursor, table, COLUMNS_LIMIT, LINES_LIMIT - 1),
            charsets.MAPS[g0], charsets.MAPS[g1], _whole(slot, 0, 1), _flag(origin), _flag(wrap),
        )
        for cursor, g0, g1, slot, origin, wrap in _list(value["saved"], 1)
    ]  # fmt: skip
    page.mode = set(_list(value["modes"], len(_MODES)))
    if not page.mode <= _MODES:
        _wrong("its modes")
    if value["margins"] is not None:
        top, bottom = value["margins"]
        page.margins = Margins(_whole(top, 0, lines - 1), _whole(bottom, top + 1, lines - 1))
    slot, g0, g1 = value["charset"]
    page.charset, page.g0_charset, page.g1_charset = _whole(slot, 0, 1), charsets.MAPS[g0], charsets.MAPS[g1]
    page.tabstops = {_whole(stop, 0, COLUMNS_LIMIT) for stop in _list(value["tabs"], COLUMNS_LIMIT + 1)}
    page.dirty.update(range(lines))
    return terminal, parser


# --- cells


def _dump_rows(rows: Rows, table: dict[Char, int]) -> list[Any]:
    """Rows as [line, default, [column, attributes, [data, …]], …]; attributes are numbers in `table`."""
    dumped: list[Any] = []
    for y in sorted(rows):
        line, runs, follows, last = rows[y], list[Any](), -1, None
        number, kept = -1, list[str]()
        for x in sorted(line):
            cell = line[x]
            if cell[1:] != last:
                last, follows = cell[1:], -1
                number = table.setdefault(cell._replace(data=""), len(table))
            if x != follows:
                kept = []
                runs.append([x, number, kept])
            kept.append(cell.data)
            follows = x + 1
        default = table.setdefault(line.default._replace(data=""), len(table))
        dumped.append([y, default, line.default.data, *runs])
    return dumped


def _load_rows(rows: Rows, dumped: Any, table: list[Char], columns: int, lines: int) -> None:
    for y, default, data, *runs in _list(dumped, lines):
        line: Row = StaticDefaultDict(_at(table, default)._replace(data=_cell(data)))
        for first, number, cells in runs:
            make = _maker(_at(table, number))
            end = _whole(first, 0, columns - 1) + len(_list(cells, columns))
            line.update(zip(range(first, min(end, columns)), map(make, map(_cell, cells)), strict=True))
        rows[_whole(y, 0, lines - 1)] = line


def _maker(attributes: Char) -> Callable[[str], Char]:
    """Characters to cells with these attributes; each only once."""
    made: dict[str, Char] = {}

    def make(data: str) -> Char:
        cell = made.get(data)
        if cell is None:
            cell = made[data] = attributes._replace(data=data)
        return cell

    return make


@lru_cache(maxsize=4096)
def _cell(data: str) -> str:
    """What one cell may hold: a character that is seen and some that combine; nothing behind a wide one."""
    if type(data) is not str or len(data) > 1 + COMBINING_LIMIT:
        _wrong("a cell")
    if any(unicodedata.category(char) in ("Cc", "Cf", "Cn", "Co", "Cs", "Zl", "Zp") for char in data):
        _wrong("a character")
    return data


def _attributes(value: Any) -> Char:
    fg, bg, *flags = _list(value, len(Char._fields) - 1)
    if len(flags) != _FLAGS or not all(type(flag) is bool for flag in flags):
        _wrong("its attributes")
    for colour in (fg, bg):
        if colour not in _COLOURS and not _RGB.fullmatch(colour):
            _wrong("a colour")
    return Char("", fg, bg, *flags)


# --- the rest


def _dump_cursor(cursor: Cursor, table: dict[Char, int]) -> list[Any]:
    number = table.setdefault(cursor.attrs._replace(data=""), len(table))
    return [cursor.x, cursor.y, number, bool(cursor.hidden)]


def _load_cursor(value: Any, table: list[Char], columns: int, last: int) -> Cursor:
    x, y, number, hidden = value
    cursor = Cursor(_whole(x, 0, columns), _whole(y, 0, last), _at(table, number)._replace(data=" "))
    cursor.hidden = _flag(hidden)
    return cursor


def _parser_state(value: Any) -> list[Any]:
    state, held, pending, flag = value
    if state not in STATES or type(held) is not str or len(held) > CSI_LIMIT + 1 or not held.isascii():
        _wrong("its parser")
    if len(bytes.fromhex(pending)) > 3 or flag != 0:  # a character of UTF-8 that is not complete
        _wrong("its decoder")
    return [state, held, pending, flag]


def _charset(chars: str) -> str:
    """The letter that designates a character set."""
    return next(code for code, known in charsets.MAPS.items() if known is chars)


def _at(table: list[Char], number: Any) -> Char:
    return table[_whole(number, 0, len(table) - 1)]


def _whole(value: Any, least: int, most: int) -> int:
    if type(value) is not int or not least <= value <= most:
        _wrong(f"{str(value)[:20]} instead of {least} to {most}")
    return value


def _flag(value: Any) -> bool:
    if type(value) is not bool:
        _wrong("a flag")
    return value


def _list(value: Any, most: int) -> list[Any]:
    if type(value) is not list or len(value) > most:
        _wrong("a list")
    return value


def _wrong(what: str) -> NoReturn:
    raise KeyframeError(f"not a keyframe: {what}")
