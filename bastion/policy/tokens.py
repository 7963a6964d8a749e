"""A policy's text as tokens, with places. Pure.

    WORD      allow, drop_table         TEXT   "web-*"          STAR   *
    NUMBER    50                        TIME   30s, 10m, 8h     COMMA  ,
    OPEN {    CLOSE }                   END    the end of a statement: its line's end, or `;`
    COMMENT   # to the end of the line (the parser does not see it, the formatter does)

A line ends its statement unless a comma stands before the end, or an opening brace comes next. Words are ASCII; in
texts and comments every character must be one that is seen: controls, zero-width and bidirectional marks would let a
policy read differently from what it says. All limits are kept here, while reading, before anything is built.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from bastion.errors import ConfigError
from bastion.policy.globs import PATTERN_LIMIT
from bastion.policy.visible import visible, visible_line

FILE_LIMIT = 1 << 20
"""Bytes of a policy, included files too. One of 500 rules has 30 KB; sudo reads no line of more than 64 KiB either."""

DEPTH_LIMIT = 8
"""Blocks inside blocks. Policy, environment, target, agent are four."""

STATEMENTS_LIMIT = 20_000
"""Statements in a policy: every request is judged by those that concern it, and loading takes 0.1 ms for each."""

VALUES_LIMIT = 500
"""Values of one statement."""

_TOKEN = re.compile(
    r"""(?P<BLANK>[ \t\r]+)
    |(?P<NEWLINE>\n(?:[ \t\r]*\n)*)
    |(?P<COMMENT>\#[^\n]*)
    |(?P<TIME>[0-9]+[smhd](?![A-Za-z0-9_-]))
    |(?P<NUMBER>[0-9]+(?![A-Za-z0-9_-]))
    |(?P<WORD>[A-Za-z][A-Za-z0-9_-]*)
    |(?P<TEXT>"(?:[^"\\\n]|\\["\\])*")
    |(?P<STAR>\*)
    |(?P<COMMA>,)
    |(?P<OPEN>\{)
    |(?P<CLOSE>\})
    |(?P<SEMICOLON>;)
    """,
    re.VERBOSE,
)
"""Each alternative begins with another character, and none can match a text in two ways."""

_ENDS_IN = frozenset(("WORD", "TEXT", "NUMBER", "TIME", "STAR"))


@dataclass(frozen=True, slots=True)
class Place:
    """Where something stands; line and column count from 1, columns in characters."""

    file: str
    line: int
    column: int

    def error(self, message: str, hint: str = "") -> ConfigError:
        """What is wrong there."""
        return ConfigError(self.file, message, line=self.line, column=self.column, hint=hint)

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


@dataclass(frozen=True, slots=True)
class Token:
    """One token."""

    kind: str
    text: str
    """As written; of a TEXT without quotes and backslashes."""
    place: Place
    raw: str


def shown(token: Token) -> str:
    """For an error: what was found."""
    if token.kind == "END":
        return "the end of the line" if token.raw != ";" else f"`{token.raw}`"
    if token.kind == "EOF":
        return "the end of the file"
    return f"`{visible_line(token.raw, 60)}`"


def scan(source: str, file: str) -> Iterator[Token]:
    """All tokens, COMMENT and NEWLINE too, the last one EOF. Raises ConfigError."""
    at, line, begin = 0, 1, 0
    while at < len(source):
        place = Place(file, line, at - begin + 1)
        match = _TOKEN.match(source, at)
        if match is None or match.lastgroup is None:
            raise _strange(source, at, place)
        kind, raw = match.lastgroup, match[0]
        at = match.end()
        if kind == "BLANK":
            continue
        text = raw
        if kind in ("TEXT", "COMMENT"):
            _check_seen(raw, place)
        if kind == "TEXT":
            text = re.sub(r"\\(.)", r"\1", raw[1:-1])
            if len(text) > PATTERN_LIMIT:
                raise place.error(f"a text of {len(text)} characters; expected at most {PATTERN_LIMIT}")
        yield Token(kind, text, place, raw)
        if kind == "NEWLINE":
            line, begin = line + raw.count("\n"), at
    yield Token("EOF", "", Place(file, line, at - begin + 1), "")


def statements(source: str, file: str) -> Iterator[Token]:
    """What the parser takes: no comments, and END where a statement ends. Raises ConfigError."""
    last: Token | None = None
    pending: Token | None = None
    depth = count = values = 0
    for token in scan(source, file):
        match token.kind:
            case "COMMENT":
                continue
            case "NEWLINE" | "SEMICOLON":
                if last is not None and last.kind in _ENDS_IN and pending is None:
                    pending = token
                continue
            case "OPEN" if pending is None or pending.kind == "NEWLINE":
                pending = None
                depth += 1
                if depth > DEPTH_LIMIT:
                    raise token.place.error(f"nested more than {DEPTH_LIMIT} blocks deep")
            case "CLOSE":
                depth -= 1
        if pending is None and token.kind in ("CLOSE", "EOF") and last is not None and last.kind in _ENDS_IN:
            pending = token
        if pending is not None:
            yield Token("END", "", pending.place, pending.raw)
            count, values, pending = count + 1, 0, None
            if count > STATEMENTS_LIMIT:
                raise token.place.error(f"more than {STATEMENTS_LIMIT} statements")
        values = 0 if token.kind == "OPEN" else values + 1
        if values > 2 * VALUES_LIMIT:
            raise token.place.error(f"more than {VALUES_LIMIT} values in one statement")
        yield token
        last = token


def _check_seen(raw: str, place: Place) -> None:
    if raw.isprintable():
        return
    for offset, char in enumerate(raw.rstrip("\r") if raw[0] == "#" else raw):
        if not char.isprintable() and not (char == "\t" and raw[0] == "#"):
            where = Place(place.file, place.line, place.column + offset)
            raise where.error(f"found {visible(char)}, which cannot be seen; expected characters that can")


def _strange(source: str, at: int, place: Place) -> ConfigError:
    char = source[at]
    if char == '"':
        return place.error(
            "found a text that does not end on its line; expected a closing quote", 'write \\" for a quote'
        )
    if char.isdigit():
        word = re.match(r"[^\s,;{}\"]{1,40}", source[at:])
        found = visible_line(word[0] if word else char, 40)
        return place.error(f"found `{found}`; expected a whole number, or a time such as 30s, 10m, 8h, 7d")
    hint = "words are ASCII; this character only looks like one of it" if char.isalpha() else ""
    return place.error(f"found {visible(char)}; expected a word, a text in quotes, a number, `{{` or `}}`", hint)
