"""The values of one statement of a policy, taken one after the other. Pure.

Each function takes one kind of value from the cursor, or raises the ConfigError that says what stands there instead.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime

from bastion.errors import ConfigError
from bastion.policy.rules import DAY, Condition, Field, Selector, Where
from bastion.policy.syntax import Statement
from bastion.policy.tokens import Place, Token, shown
from bastion.policy.vocabulary import WITH_TEXT, nearest, vocabulary

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": DAY}
_GROUP = re.compile(r"[a-z0-9](?:[a-z0-9._-]{0,62}[a-z0-9])?", re.ASCII)
_PATTERN = re.compile(r"[a-z0-9*](?:[a-z0-9._*-]{0,126}[a-z0-9*])?", re.ASCII)
"""Of identities and targets: what names.NAME allows, and `*`."""
_WHAT = {
    Field.ENVIRONMENT: "an environment's label",
    Field.TARGET: "a target's name",
    Field.IDENTITY: "an identity's name",
    Field.LOGIN: "an account's name",
    Field.TASK: "a task",
}


@dataclass(frozen=True, slots=True)
class Around:
    """What the blocks around a statement say."""

    conditions: tuple[Condition, ...] = ()
    sections: tuple[Selector, ...] = ()


@dataclass(slots=True)
class Cursor:
    """The values of one statement, taken one after the other."""

    statement: Statement
    at: int = 0

    def peek(self) -> Token | None:
        values = self.statement.values
        return values[self.at] if self.at < len(values) else None

    def fail(self, expected: str, hint: str = "") -> ConfigError:
        token = self.peek()
        word = self.statement.word
        if token is None:
            last = self.statement.values[-1] if self.statement.values else None
            place = self.statement.place if last is None else last.place
            length = len(word) if last is None else len(last.raw)
            behind = "`{`" if self.statement.body is not None else "nothing more"
            found = Place(place.file, place.line, place.column + length)
            return found.error(f"found {behind} behind `{word}`; expected {expected}", hint)
        return token.place.error(f"found {shown(token)}; expected {expected}", hint)

    def take(self, kind: str, expected: str) -> str:
        token = self.peek()
        if token is None or token.kind != kind:
            raise self.fail(expected)
        self.at += 1
        return token.text

    def word(self, *words: str) -> bool:
        """Takes one of these words if it comes next."""
        token = self.peek()
        if token is None or token.kind != "WORD" or token.text not in words:
            return False
        self.at += 1
        return True

    def comma(self) -> bool:
        token = self.peek()
        if token is None or token.kind != "COMMA":
            return False
        self.at += 1
        return True

    def end(self, expected: str = "the end of the statement") -> None:
        if self.peek() is not None:
            raise self.fail(expected)


def pattern(cursor: Cursor, where: Field) -> str:
    if where is Field.GROUP:
        return group_name(cursor)
    expected = f"{_WHAT[where]} in quotes, `*` for any run of characters"
    token = cursor.peek()
    text = cursor.take("TEXT", expected)
    ok = text.isascii() if where not in (Field.IDENTITY, Field.TARGET) else _PATTERN.fullmatch(text)
    if not ok or not text or token is None:
        cursor.at -= 1
        raise cursor.fail(expected, "names are a-z 0-9 . _ -")
    return text


def where_of(cursor: Cursor, around: Around) -> Where:
    return Where(around.conditions, around.sections, cursor.statement.place, cursor.statement.text())


def selectors_of(cursor: Cursor) -> tuple[Selector, ...]:
    """`restart, deploy`, `command "git pull", "git status **"`, `*`."""
    found: list[Selector] = []
    word = ""
    while True:
        token = cursor.peek()
        if token is not None and token.kind == "STAR":
            cursor.at += 1
            found.append(Selector("anything"))
        elif token is not None and token.kind == "TEXT" and word:
            found.append(Selector(word, _selected(cursor, word)))
        else:
            if token is None or token.kind != "WORD":
                raise cursor.fail("a word for what is done, such as `restart`, `low` or `writes`")
            if token.text not in vocabulary().tags | WITH_TEXT:
                raise cursor.fail("a word for what is done", nearest(token.text, vocabulary().tags | WITH_TEXT))
            cursor.at += 1
            behind = cursor.peek()
            word = ""
            if behind is not None and behind.kind == "TEXT":
                if token.text not in WITH_TEXT:
                    raise cursor.fail(f"`,` or the end of the statement: `{token.text}` takes no text")
                word = token.text
                found.append(Selector(word, _selected(cursor, word)))
            elif token.text not in vocabulary().tags:
                raise cursor.fail(f"a text in quotes behind `{token.text}`")
            else:
                found.append(Selector(token.text))
        if not cursor.comma():
            return tuple(found)


def _selected(cursor: Cursor, word: str) -> str:
    text = cursor.take("TEXT", "a text in quotes")
    cursor.at -= 1
    if not text.strip() or not text.isascii():
        raise cursor.fail("a pattern of ASCII characters", "`*` stands for others")
    if word == "command" and any(mark in text for mark in ";|&<>()`$\"'\\"):
        raise cursor.fail("the words of one command, without quotes or operators", "`*` stands for any text in a word")
    cursor.at += 1
    return text


def texts(cursor: Cursor, expected: str) -> list[str]:
    texts: list[str] = []
    while True:
        cursor.take("TEXT", expected)
        cursor.at -= 1
        texts.append(_selected(cursor, "path"))
        if not cursor.comma():
            cursor.end("`,` or the end of the statement")
            return texts


def mixed(cursor: Cursor) -> tuple[str, ...]:
    """Words, texts and numbers with commas between them."""
    found: list[str] = []
    while True:
        token = cursor.peek()
        if token is None or token.kind not in ("WORD", "TEXT", "NUMBER"):
            raise cursor.fail("a word, a text in quotes or a number")
        cursor.at += 1
        found.append(token.text)
        if not cursor.comma():
            cursor.end("`,` or the end of the statement")
            return tuple(found)


def group_name(cursor: Cursor) -> str:
    token = cursor.peek()
    if token is None or token.kind not in ("WORD", "TEXT") or not _GROUP.fullmatch(token.text):
        raise cursor.fail("a group's name: a-z 0-9 . _ -")
    cursor.at += 1
    return token.text


def number(cursor: Cursor, least: int, most: int) -> int:
    expected = f"a whole number from {least} to {most}"
    text = cursor.take("NUMBER", expected)
    if len(text) > 9 or not least <= int(text) <= most:
        cursor.at -= 1
        raise cursor.fail(expected)
    return int(text)


def duration(cursor: Cursor, least: int, most: int) -> int:
    expected = f"a time from {_span(least)} to {_span(most)}"
    text = cursor.take("TIME", expected)
    if len(text) > 9 or not least <= int(text[:-1]) * _UNITS[text[-1]] <= most:
        cursor.at -= 1
        raise cursor.fail(expected)
    return int(text[:-1]) * _UNITS[text[-1]]


def _span(seconds: int) -> str:
    unit, size = next((unit, size) for unit, size in reversed(_UNITS.items()) if seconds % size == 0)
    return f"{seconds // size}{unit}"


def true_or_false(cursor: Cursor) -> bool:
    value = cursor.word("true")
    if not value and not cursor.word("false"):
        raise cursor.fail("`true` or `false`")
    cursor.end()
    return value


def moment(cursor: Cursor) -> tuple[int, bool]:
    """Minutes of a day, or microseconds since the epoch and True. UTC."""
    expected = 'a time of day such as "22:00" or a moment such as "2026-12-24 18:00", UTC'
    text = cursor.take("TEXT", expected)
    if match := re.fullmatch(r"([01][0-9]|2[0-3]):([0-5][0-9])|24:00", text, re.ASCII):
        return (1440 if match[1] is None else int(match[1]) * 60 + int(match[2])), False
    for form in ("%Y-%m-%d %H:%M", "%Y-%m-%d"):
        try:
            return int(datetime.strptime(text, form).replace(tzinfo=UTC).timestamp()) * 1_000_000, True
        except ValueError:
            continue
    cursor.at -= 1
    raise cursor.fail(expected)
