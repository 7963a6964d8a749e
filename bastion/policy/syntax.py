"""A policy's text as a tree of statements; which words there are and what they mean is not known here. Pure.

The grammar stands in language.lark; lark makes an LALR table of it, which neither backtracks nor recurses.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

import lark
import lark.lexer

from bastion.errors import ConfigError
from bastion.policy.tokens import Place, Token, shown, statements

_NAMES = {
    "WORD": "a word",
    "TEXT": "a text in quotes",
    "NUMBER": "a number",
    "TIME": "a time",
    "STAR": "`*`",
    "COMMA": "`,`",
    "OPEN": "`{`",
    "CLOSE": "`}`",
    "END": "the end of the statement",
    "$END": "the end of the file",
}
"""Terminals as a person knows them."""


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement: a word, its values, and its block if it has one."""

    word: str
    values: tuple[Token, ...]
    """Commas among them."""
    body: tuple[Statement, ...] | None
    place: Place

    def text(self) -> str:
        """As it would be written, without its block."""
        parts = [self.word]
        for value in self.values:
            if value.kind == "COMMA":
                parts[-1] += ","
            else:
                parts.append(value.raw)
        return " ".join(parts)


class _Lexer(lark.lexer.Lexer):
    """Hands our tokens to lark."""

    def __init__(self, _conf: object) -> None: ...

    # lark hands a lexer without `__future_interface__` the data alone, whatever its base class says
    def lex(self, data: Any) -> Iterator[lark.Token]:  # type: ignore[override]
        source, file = data
        for token in statements(source, file):
            if token.kind != "EOF":
                made = lark.Token(token.kind, token.raw)
                made.value = token
                yield made


@functools.cache
def _parser() -> lark.Lark:
    grammar = files(__package__).joinpath("language.lark").read_text("utf-8")
    return lark.Lark(grammar, parser="lalr", lexer=_Lexer)


def parse(source: str, file: str) -> tuple[Statement, ...]:
    """The statements of one file. Raises ConfigError with line and column."""
    interactive: Any = _parser().parse_interactive((source, file))
    try:
        for _ in interactive.iter_parse():
            pass
        tree = interactive.feed_eof()
    except lark.UnexpectedToken as error:
        raise _unexpected(error.token.value, interactive.accepts(), source, file) from None
    return _body(tree)


def _unexpected(found: object, accepts: set[str], source: str, file: str) -> ConfigError:
    wanted = ", ".join(words for kind, words in _NAMES.items() if kind in accepts)
    if not isinstance(found, Token):
        lines = source.split("\n")
        found = Token("EOF", "", Place(file, len(lines), len(lines[-1]) + 1), "")
    return found.place.error(f"found {shown(found)}; expected {wanted}")


def _body(tree: Any) -> tuple[Statement, ...]:
    return tuple(_statement(child) for child in tree.children if isinstance(child, lark.Tree))


def _statement(tree: Any) -> Statement:
    head: Token = tree.children[0].value
    values = tuple(child.children[0].value for child in tree.children[1:] if _is(child, "value"))
    block = next((child for child in tree.children if _is(child, "block")), None)
    return Statement(head.text, values, None if block is None else _body(block), head.place)


def _is(child: object, rule: str) -> bool:
    return isinstance(child, lark.Tree) and child.data == rule
