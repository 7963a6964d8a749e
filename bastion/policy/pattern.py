"""A remembered command with holes in it: its text, and what it matches. Pure.

    tail -n {number} {path below /var/log/nginx}
    docker restart {container}

Theory of operation. Everything outside the holes is compared byte for byte with the command, blanks, quotes and
operators included. A hole stands for one whole word, and what fills it is drawn from an alphabet in which no shell,
in any quoting, sees anything but that word: no blank, quote, backslash, glob, variable, operator, tilde, `=`, comma
or colon; and it never begins with a dash. So a command that matches has the same parse as the one that was approved,
with other plain words in the holes, and nothing has to be parsed to know it. That is also how the ledger's verifier
can check it by itself (recorder/patterns.py: a second implementation, compared with this one by a test).

`{{` and `}}` stand for a literal brace. Each pattern has one text and each text one pattern.

What a match does not tell: whether a path below a directory is a symlink that leads elsewhere, or what a unit or a
container of that name does. The risk classifier judges each use anew (policy/whitelist.py).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache

HOLES_LIMIT = 8
"""Holes in one pattern; somebody has to see at a glance what it lets through."""

WORD_LIMIT = 255
"""Bytes in a hole: NAME_MAX of Linux, which is more than any name of a unit, container, package or host has."""

PATTERN_LIMIT = 4096
"""Bytes of a pattern's text, as of a whitelisted command."""


class Kind(StrEnum):
    """What fills a hole."""

    PATH = "path"
    NUMBER = "number"
    UNIT = "unit"
    CONTAINER = "container"
    PACKAGE = "package"
    HOST = "host"
    NAME = "name"
    COMMIT = "commit"


SHAPES = {
    Kind.PATH: r"(?:/[A-Za-z0-9._+@-]+)+",
    Kind.NUMBER: r"[0-9]{1,18}",
    Kind.UNIT: r"[A-Za-z0-9_][A-Za-z0-9_.@-]*",
    Kind.CONTAINER: r"[A-Za-z0-9][A-Za-z0-9_.-]*",
    # no dot and no sign at the end: apt-get(8) takes `a.b` for a regular expression, `NAME-` for a removal
    Kind.PACKAGE: r"[a-z0-9](?:[a-z0-9_-]*[a-z0-9])?",
    Kind.HOST: r"[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?",
    Kind.NAME: r"[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?",
    Kind.COMMIT: r"[0-9a-f]{7,40}",
}
"""What a word of each kind looks like, all of it ASCII. Where a tool gives a character of its names another meaning,
the character is left out, and such a command is held."""

_SHAPES = {kind: re.compile(shape, re.ASCII) for kind, shape in SHAPES.items()}
_DIRECTORY = re.compile(SHAPES[Kind.PATH], re.ASCII)
_HOLE = re.compile(r"([a-z]+)(?: below (.+))?", re.ASCII)


class PatternError(ValueError):
    """The text is no pattern; the message says why."""


@dataclass(frozen=True, slots=True)
class Hole:
    """One word that may differ."""

    kind: Kind
    below: str = ""
    """For a path: the directory that it must be in, at any depth."""

    def admits(self, word: str) -> bool:
        """Whether this word may stand here."""
        if len(word) > WORD_LIMIT * (16 if self.kind is Kind.PATH else 1) or not _SHAPES[self.kind].fullmatch(word):
            return False
        return self.kind is not Kind.PATH or (word.startswith(f"{self.below}/") and plain_path(word))

    def __str__(self) -> str:
        return f"{{{self.kind}{f' below {self.below}' if self.below else ''}}}"


@dataclass(frozen=True, slots=True)
class Pattern:
    """Literal text and holes, beginning and ending with text (which may be empty)."""

    texts: tuple[str, ...]
    """One more than there are holes."""
    holes: tuple[Hole, ...]

    def __str__(self) -> str:
        parts = [_escaped(self.texts[0])]
        for hole, text in zip(self.holes, self.texts[1:], strict=True):
            parts += [str(hole), _escaped(text)]
        return "".join(parts)

    def matches(self, command: bytes) -> bool:
        """Whether `command` is this with plain words of the right kinds in the holes."""
        found = _expression(self).fullmatch(command)
        return found is not None and all(
            hole.admits(word.decode("ascii")) for hole, word in zip(self.holes, found.groups(), strict=True)
        )


def plain_path(path: str) -> bool:
    """An absolute path in its one plain spelling: no `.` or `..`, no empty part, no `/` at its end."""
    return _DIRECTORY.fullmatch(path) is not None and not {".", ".."} & set(path.split("/"))


@lru_cache(maxsize=16384)
def parse(text: str) -> Pattern:
    """The pattern that this text states. Raises PatternError for anything that is not in its one form."""
    if len(text.encode(errors="replace")) > PATTERN_LIMIT:
        raise PatternError(f"a pattern has at most {PATTERN_LIMIT} bytes")
    texts, holes, literal, at = [], [], "", 0
    while at < len(text):
        char = text[at]
        if char in "{}" and text[at : at + 2] == char * 2:
            literal, at = literal + char, at + 2
        elif char == "}":
            raise PatternError("a } without its { (a literal one is written }})")
        elif char == "{":
            end = text.find("}", at)
            holes.append(_hole(text[at + 1 : end] if end > 0 else text[at + 1 :]))
            texts.append(literal)
            literal, at = "", end + 1
            if end < 0:
                raise PatternError("a { without its } (a literal one is written {{)")
        else:
            literal, at = literal + char, at + 1
    pattern = Pattern((*texts, literal), tuple(holes))
    _check(pattern)
    return pattern


def _hole(inside: str) -> Hole:
    match = _HOLE.fullmatch(inside)
    kinds = ", ".join(each.value for each in Kind if each is not Kind.PATH)
    if match is None or match[1] not in tuple(Kind):
        raise PatternError(f"{{{inside[:40]}}} is no hole; there are {kinds} and `path below /DIRECTORY`")
    kind, below = Kind(match[1]), match[2] or ""
    if (kind is Kind.PATH) != bool(below):
        raise PatternError("a path, and only a path, is `below` a directory")
    if below and not plain_path(below):
        raise PatternError(f"{below[:60]!r} is no plain absolute directory")
    return Hole(kind, below)


def _check(pattern: Pattern) -> None:
    if not pattern.holes:
        raise PatternError("there is no hole in it: remember the exact command")
    if len(pattern.holes) > HOLES_LIMIT:
        raise PatternError(f"more than {HOLES_LIMIT} holes")
    if not pattern.texts[0].strip():
        raise PatternError("a program cannot be a hole")
    if any(not text.startswith((" ", "\t", "\n", ";", "|", "&", ")")) for text in pattern.texts[1:] if text):
        raise PatternError("a hole is a whole word")
    if any(not text.endswith((" ", "\t")) for text in pattern.texts[:-1]) or "" in pattern.texts[1:-1]:
        raise PatternError("a hole is a whole word")


@lru_cache(maxsize=16384)
def _expression(pattern: Pattern) -> re.Pattern[bytes]:
    """The texts with `a run of word characters` between them. Linear: no text begins with a word character."""
    parts = [re.escape(pattern.texts[0].encode())]
    for text in pattern.texts[1:]:
        parts += [rb"([A-Za-z0-9._+@/-]+)", re.escape(text.encode())]
    return re.compile(b"".join(parts))


def _escaped(text: str) -> str:
    return text.replace("{", "{{").replace("}", "}}")
