"""Words of a command line: what the shell will make of them, as far as that is certain beforehand. Pure.

A word is resolved where it is constant: quotes and backslashes are taken away, `$'…'` decoded, braces expanded
(bash(1) QUOTING, Brace Expansion). What is known only when it runs (variables, substitutions) stands as UNKNOWN in
the text, so that what surrounds it is still seen: `--file=$X` is `--file=` and something.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING

from bastion.policy.lexer import Differs

if TYPE_CHECKING:
    from bastion.policy.shell import Node

UNKNOWN = "\0"
"""Stands for text that is known only at run time. A command with a real NUL is never parsed."""

BRACES_LIMIT = 64
"""Braces in one word, and words that they are expanded to; beyond, the word counts as unknown."""


@dataclass(frozen=True, slots=True)
class Word:
    """One word of a command."""

    text: str
    """After quote removal; UNKNOWN where only run time knows."""
    raw: str
    """As written."""
    glob: bool = False
    """Holds unquoted `*`, `?` or `[`: stands for names of files."""
    splits: bool = False
    """Holds an unquoted expansion: may become no word or several."""
    inner: tuple[Node, ...] = ()
    """What its substitutions run."""

    @property
    def constant(self) -> bool:
        """The text is all there is."""
        return UNKNOWN not in self.text and not self.glob

    @property
    def may_be_option(self) -> bool:
        """Could turn out to begin with a dash that is not written there."""
        return self.splits or self.text.startswith(UNKNOWN) or (self.glob and self.text[:1] in ("*", "?", "["))


@dataclass(frozen=True, slots=True)
class Piece:
    """Part of a word under one kind of quoting."""

    text: str
    quoted: bool


_ESCAPES = {
    "a": "\a", "b": "\b", "e": "\x1b", "E": "\x1b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v",
    "\\": "\\", "'": "'", '"': '"', "?": "?",
}  # fmt: skip
_ANSI_C = re.compile(
    r"\\(?:([abeEfnrtv\\'\"?])|([0-7]{1,3})|x([0-9a-fA-F]{1,2})|u([0-9a-fA-F]{1,4})|U([0-9a-fA-F]{1,8})|(.))", re.DOTALL
)


def ansi_c(body: str) -> str:
    """The inside of `$'…'` decoded (bash(1) QUOTING). Raises Differs where shells disagree."""

    if "\\'" in body:  # where $'…' is not known, the string ends there, and a command begins
        raise Differs("uses a quote inside $'…'")

    def one(match: re.Match[str]) -> str:
        simple, octal, *codes, other = match.groups()
        if simple:
            return _ESCAPES[simple]
        if other:
            raise Differs("uses an unusual escape in $'…'")
        point = int(octal, 8) & 0xFF if octal else int(next(code for code in codes if code), 16)
        if not 0 < point < 0x80:
            raise Differs("spells bytes outside ASCII, or NUL, in $'…'")
        return chr(point)

    return _ANSI_C.sub(one, body)


def unquoted(text: str) -> list[Piece]:
    """Text outside quotes: a backslash quotes the next character, and with a newline vanishes."""
    if "\\" not in text:
        return [Piece(text, False)]
    pieces = []
    for match in re.finditer(r"\\(.)|([^\\]+)|(\\)$", text, re.DOTALL):
        if match[1] is not None:
            if match[1] != "\n":
                pieces.append(Piece(match[1], True))
        else:
            pieces.append(Piece(match[2] or match[3], match[3] is not None))
    return pieces


def double_quoted(text: str) -> str:
    """Text inside double quotes, without its expansions: a backslash quotes only what is special there."""
    return re.sub(r"\\([$`\"\\\n])", lambda match: "" if match[1] == "\n" else match[1], text)


def assemble(pieces: list[Piece], raw: str, inner: tuple[Node, ...]) -> list[Word]:
    """The words that a written word becomes; several when it holds braces."""
    if len(pieces) == 1 and (pieces[0].quoted or not _SPECIAL.search(pieces[0].text)):
        text = pieces[0].text
        return [Word(text, raw, inner=inner, splits=not pieces[0].quoted and UNKNOWN in text)]
    bare = "".join(piece.text for piece in pieces if not piece.quoted)
    if "{" not in bare:
        return [_join(pieces, raw, inner)]
    if bare.count("{") > BRACES_LIMIT:
        return [Word(UNKNOWN, raw, splits=True, inner=inner)]
    expanded = _expand([(char, piece.quoted) for piece in pieces for char in piece.text])
    if len(expanded) > BRACES_LIMIT:
        return [Word(UNKNOWN, raw, splits=True, inner=inner)]
    words = [_join([Piece(char, quoted) for char, quoted in chars], raw, ()) for chars in expanded]
    return [replace(words[0], inner=inner), *words[1:]]


_SPECIAL = re.compile(r"[*?\[{\0]")


def _join(pieces: list[Piece], raw: str, inner: tuple[Node, ...]) -> Word:
    bare = "".join(piece.text for piece in pieces if not piece.quoted)
    glob = any(sign in bare for sign in "*?[")
    return Word("".join(piece.text for piece in pieces), raw, glob, UNKNOWN in bare, inner)


_Char = tuple[str, bool]


def _expand(chars: list[_Char]) -> list[list[_Char]]:  # noqa: PLR0912 - one scan over the braces
    """Brace expansion; `{1..5}` is left as unknown digits or letters."""
    depth, opened = 0, -1
    commas: list[int] = []
    for at, (char, quoted) in enumerate(chars):
        if quoted or char not in "{},":
            continue
        if char == "{":
            if not depth:
                opened, commas = at, []
            depth += 1
        elif char == "," and depth == 1:
            commas.append(at)
        elif char == "}" and depth:
            depth -= 1
            if depth:
                continue
            head, tail = chars[:opened], chars[at + 1 :]
            if not commas:
                inside = "".join(char for char, _ in chars[opened + 1 : at])
                if ".." in inside:
                    return [[*head, (UNKNOWN, False), *rest] for rest in _expand(tail)]
                return [[*chars[: opened + 1], *rest] for rest in _expand(chars[opened + 1 :])]
            edges = [opened, *commas, at]
            results = []
            for left, right in pairwise(edges):
                for middle in _expand(chars[left + 1 : right]):
                    for rest in _expand(tail):
                        results.append([*head, *middle, *rest])
                        if len(results) > BRACES_LIMIT:
                            return results
            return results
    return [chars]
