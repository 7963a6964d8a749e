"""The whitelist as text, one entry a line, for export, import and diff. Pure.

    # bastion whitelist 1
    agent-7 deploy env:staging low - exact "uptime"
    agent-7 deploy target:web-1 medium 2026-11-28T05:00:00Z pattern "docker restart {container}" "docker restart web"

Theory of operation. Identity, login, place, tier, end (`-`: none), for code on stdin `code:SHA256`, then `exact` and
the command, or `pattern` with its text and the command that it was made from. A text is a JSON string in ASCII, or
`base64:…` for what is not UTF-8; so no line holds a control character. Lines are sorted and there is one spelling of
each entry: two lists are equal when their texts are. Ids and signatures are not here: who imports a list signs each
entry anew.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

HEADER = "# bastion whitelist 1"

SIZE_LIMIT = 16 << 20
"""Characters of a list: 10,000 entries of the longest commands and more."""

_BARE = re.compile(r"[A-Za-z0-9._:/+@=-]+", re.ASCII)
_TOKEN = re.compile(r"""("(?:[^"\\]|\\.)*"|[^ "]+)(?: |$)""")
_MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{6})?Z", re.ASCII)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class ListingError(ValueError):
    """The text is no list; the message names the line."""


@dataclass(frozen=True, slots=True, order=True)
class Row:
    """One entry, without what makes it one of a certain ledger."""

    identity: str
    login: str
    target: str
    """Empty when it is for an environment."""
    env: str
    pattern: str
    """Empty: exactly the command."""
    command: bytes
    code: str
    tier: str
    expires: int
    """Microseconds since the epoch; 0: no end."""

    def what(self, *, place: bool = True) -> tuple[object, ...]:
        """What it lets through, whatever its tier and end; `place`: and where."""
        where = (self.target, self.env) if place else ()
        return (self.identity, self.login, *where, self.pattern, self.command, self.code)


@dataclass(frozen=True, slots=True)
class Change:
    """One difference between two lists."""

    sign: str
    """`-`: only in the first, `+`: only in the second, `~`: another tier or end in the second."""
    row: Row


def render(rows: Iterable[Row]) -> str:
    """The list as text, ending in a newline."""
    return "".join(f"{line}\n" for line in (HEADER, *(line_of(row) for row in sorted(set(rows)))))


def line_of(row: Row) -> str:
    """One entry."""
    place = _word(f"target:{row.target}" if row.target else f"env:{row.env}")
    words = [_word(row.identity), _word(row.login), place, _word(row.tier), _moment(row.expires)]
    if row.code:
        words.append(_word(f"code:{row.code}"))
    how = ["pattern", json.dumps(row.pattern)] if row.pattern else ["exact"]
    return " ".join([*words, *how, _command(row.command)])


def parse(text: str) -> list[Row]:
    """The entries of a list, sorted, each once. Raises ListingError and nothing else."""
    if len(text) > SIZE_LIMIT:
        raise ListingError(f"a list has at most {SIZE_LIMIT:,} characters")
    lines = text.split("\n")
    if lines[0].rstrip() != HEADER:
        raise ListingError(f"line 1: a list begins with `{HEADER}`")
    rows = set()
    for number, line in enumerate(lines[1:], 2):
        if line.strip() and not line.startswith("#"):
            try:
                rows.add(_row(line))
            except (ValueError, RecursionError, OverflowError) as error:
                raise ListingError(f"line {number}: {error}") from None
    return sorted(rows)


def diff(first: Iterable[Row], second: Iterable[Row], *, place: bool = True) -> list[Change]:
    """What it takes to get from the first to the second; without `place`, wherever the entries are for."""
    old = {row.what(place=place): row for row in sorted(first)}
    new = {row.what(place=place): row for row in sorted(second)}
    gone = [Change("-", old[key]) for key in old.keys() - new.keys()]
    added = [Change("+", new[key]) for key in new.keys() - old.keys()]
    both = old.keys() & new.keys()
    changed = [
        Change("~", new[key]) for key in both if (old[key].tier, old[key].expires) != (new[key].tier, new[key].expires)
    ]
    return sorted([*gone, *added, *changed], key=lambda change: (change.row, change.sign))


def _row(line: str) -> Row:
    words, quoted = _split(line)
    if len(words) < 7:
        raise ValueError("fewer words than an entry has")
    identity, login, place, tier, until, *rest = words
    kind, colon, name = place.partition(":")
    if kind not in ("target", "env") or not colon or not name:
        raise ValueError("the place is target:NAME or env:NAME")
    code = rest.pop(0).removeprefix("code:") if rest[0].startswith("code:") else ""
    how = rest.pop(0) if rest else ""
    if (how, len(rest)) not in (("exact", 1), ("pattern", 2)):
        raise ValueError("an entry ends in `exact COMMAND` or `pattern TEXT COMMAND`")
    row = Row(
        identity=identity,
        login=login,
        target=name if kind == "target" else "",
        env=name if kind == "env" else "",
        pattern=rest[0] if how == "pattern" else "",
        command=rest[-1].encode() if quoted else _bytes(rest[-1]),
        code=code,
        tier=tier,
        expires=_micros(until),
    )
    if line_of(row) != line:
        raise ValueError("not in its one spelling: `bastion whitelist export` writes it")
    return row


def _split(line: str) -> tuple[list[str], bool]:
    """The words, and whether the last of them is a JSON string."""
    words, at, quoted = [], 0, False
    while at < len(line):
        match = _TOKEN.match(line, at)
        if match is None:
            raise ValueError("words are separated by one blank; a text is a JSON string")
        word = match[1]
        quoted = word.startswith('"')
        words.append(str(json.loads(word)) if quoted else word)
        at = match.end()
    return words, quoted


def _word(text: str) -> str:
    return text if _BARE.fullmatch(text) and text != "-" else json.dumps(text)


def _command(command: bytes) -> str:
    try:
        text = command.decode()
    except UnicodeDecodeError:
        return f"base64:{base64.b64encode(command).decode()}"
    return json.dumps(text)


def _bytes(word: str) -> bytes:
    if not word.startswith("base64:"):
        raise ValueError("a command is a JSON string or base64:…")
    try:
        return base64.b64decode(word.removeprefix("base64:"), validate=True)
    except binascii.Error:
        raise ValueError("the command is no base64") from None


def _moment(micros: int) -> str:
    if micros == 0:
        return "-"
    moment = _EPOCH + timedelta(microseconds=micros)
    return moment.replace(tzinfo=None).isoformat() + "Z"


def _micros(word: str) -> int:
    if word == "-":
        return 0
    if not _MOMENT.fullmatch(word):
        raise ValueError("the end is `-` or like 2026-11-28T05:00:00Z")
    return (datetime.fromisoformat(word.replace("Z", "+00:00")) - _EPOCH) // timedelta(microseconds=1)
