"""Where each key of a TOML document stands, so that a message about a value can name its line and column. Pure.

tomllib says what a document means but not where; this says where and nothing about meaning. It walks a document that
tomllib has accepted, and so needs to know only TOML's brackets, strings and comments (toml.io, v1.0.0). For a document
that is not valid it returns something or raises PlaceError, never another exception.
"""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass

Path = tuple[str, ...]
"""Names from the root to the key; the elements of an array of tables are not told apart."""


class PlaceError(ValueError):
    """The document is no TOML, as far as this walk can see."""


@dataclass(frozen=True, slots=True)
class Place:
    """Counted from 1, in characters."""

    line: int
    column: int


_BLANK = re.compile(r"[ \t]*")
_GAP = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_BARE = re.compile(r"[A-Za-z0-9_-]+")
_STRING = re.compile(
    r'"""(?:[^"\\]|\\.|"(?!""))*"{3,5}'
    r"|'''(?:[^']|'(?!''))*'{3,5}"
    r'|"(?:[^"\\\n]|\\.)*"'
    r"|'[^'\n]*'",
    re.DOTALL,
)
_SCALAR = re.compile(r"[^\s,\]}#]+(?: [0-9][^\s,\]}#]*)?")
"""Number, boolean or date; a date may have a space before its time."""


def places(text: str) -> dict[Path, Place]:
    """Where each key and each table header stands first. Raises PlaceError."""
    walk = _Walk(text.replace("\r\n", "\n"))
    walk.document()
    return walk.found


def place_of(text: str, offset: int) -> Place:
    """Line and column of a character."""
    before = text[:offset]
    return Place(before.count("\n") + 1, offset - (before.rfind("\n") + 1) + 1)


class _Walk:
    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._depth = 0
        self.found: dict[Path, Place] = {}

    def document(self) -> None:
        table: Path = ()
        while self._skip(_GAP) < len(self._text):
            if self._text[self._at] == "[":
                double = self._text.startswith("[[", self._at)
                self._at += 2 if double else 1
                table = self._key(())
                self._expect("]]" if double else "]")
            else:
                self._pair(table)

    def _pair(self, table: Path) -> None:
        path = self._key(table)
        self._expect("=")
        self._skip(_BLANK)
        self._value(path)

    def _key(self, table: Path) -> Path:
        """A dotted key; notes each of its parts."""
        path = table
        while True:
            self._skip(_BLANK)
            start = self._at
            match = _BARE.match(self._text, start) or _STRING.match(self._text, start)
            if match is None:
                raise PlaceError(f"no key at character {start}")
            self._at = match.end()
            path = (*path, _name(match[0]))
            self.found.setdefault(path, place_of(self._text, start))
            self._skip(_BLANK)
            if not self._text.startswith(".", self._at):
                return path
            self._at += 1

    def _value(self, path: Path) -> None:
        self._depth += 1
        if self._depth > 100:  # tomllib gives up earlier, at Python's own limit
            raise PlaceError("nested too deeply")
        opening = self._text[self._at : self._at + 1]
        if opening == "[":
            self._list(path)
        elif opening == "{":
            self._inline(path)
        else:
            match = _STRING.match(self._text, self._at) or _SCALAR.match(self._text, self._at)
            if match is None:
                raise PlaceError(f"no value at character {self._at}")
            self._at = match.end()
        self._depth -= 1

    def _list(self, path: Path) -> None:
        self._at += 1
        while self._next(_GAP) != "]":
            self._value(path)
            if self._next(_GAP) == ",":
                self._at += 1
        self._at += 1

    def _inline(self, path: Path) -> None:
        self._at += 1
        while self._next(_BLANK) != "}":
            self._pair(path)
            if self._next(_BLANK) == ",":
                self._at += 1
        self._at += 1

    def _next(self, gap: re.Pattern[str]) -> str:
        """The character after the gap. Raises PlaceError at the end."""
        if self._skip(gap) >= len(self._text):
            raise PlaceError("cut short")
        return self._text[self._at]

    def _skip(self, gap: re.Pattern[str]) -> int:
        match = gap.match(self._text, self._at)
        self._at = match.end() if match is not None else self._at
        return self._at

    def _expect(self, text: str) -> None:
        self._skip(_BLANK)
        if not self._text.startswith(text, self._at):
            raise PlaceError(f"no {text!r} at character {self._at}")
        self._at += len(text)


def _name(key: str) -> str:
    """What a quoted or bare key is called."""
    if key[0] not in "\"'":
        return key
    try:
        return str(tomllib.loads(f"x = {key}")["x"])
    except tomllib.TOMLDecodeError:
        raise PlaceError(f"no key: {key}") from None
