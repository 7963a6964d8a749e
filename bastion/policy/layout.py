"""A policy's text in the one layout: two blanks a level, one statement a line, comments kept. Pure.

Works on tokens, not on meaning, so that whatever parses can be laid out, and nothing but blanks and line ends changes:
the tokens before and after are the same, comments included. Doing it twice changes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from bastion.policy import syntax
from bastion.policy.tokens import Token, scan

WIDTH = 100
"""Columns after which a list is broken behind a comma."""


def layout(source: str, file: str = "policy") -> str:
    """The text, laid out. Raises ConfigError where it does not parse."""
    syntax.parse(source, file)
    page = _Page()
    tokens = list(scan(source, file))
    for at, token in enumerate(tokens):
        if token.kind == "NEWLINE" and _behind(tokens, at) == "OPEN":
            continue
        page.take(token)
    return page.text()


def _behind(tokens: list[Token], at: int) -> str:
    return next(token.kind for token in tokens[at + 1 :] if token.kind != "NEWLINE")


@dataclass(slots=True)
class _Page:
    """What is written so far, and the statement that is being read."""

    lines: list[str] = field(default_factory=list)
    statement: list[Token] = field(default_factory=list)
    depth: int = 0

    def take(self, token: Token) -> None:
        goes_on = bool(self.statement) and self.statement[-1].kind == "COMMA"
        match token.kind:
            case "NEWLINE" if not goes_on:
                self.flush()
                if token.raw.count("\n") > 1 and self.lines and self.lines[-1] and not self.lines[-1].endswith("{"):
                    self.lines.append("")
            case "SEMICOLON" | "EOF":
                self.flush()
            case "COMMENT" if goes_on:
                self.lines.append(self.indent + _comment(token))  # above the statement that it stands in
            case "COMMENT":
                self.flush(_comment(token))
            case "OPEN":
                self.statement.append(token)
                self.flush()
                self.depth += 1
            case "CLOSE":
                self.flush()
                self.depth -= 1
                if not self.lines[-1]:
                    self.lines.pop()
                self.lines.append(self.indent + "}")
            case "NEWLINE":
                pass
            case _:
                self.statement.append(token)

    @property
    def indent(self) -> str:
        return "  " * self.depth

    def flush(self, comment: str = "") -> None:
        """Write the statement, broken behind commas where it is too long; further lines are two levels deeper."""
        if not self.statement and not comment:
            return
        current = self.indent
        for token in self.statement:
            gap = "" if not current.strip() or token.kind == "COMMA" else " "
            if gap and current.endswith(",") and len(current) + 2 + len(token.raw) > WIDTH:
                self.lines.append(current)
                current, gap = self.indent + "    ", ""
            current += gap + token.raw
        if comment:
            current += ("  " if current.strip() else "") + comment
        self.lines.append(current)
        self.statement = []

    def text(self) -> str:
        while self.lines and not self.lines[-1]:
            self.lines.pop()
        return "\n".join(self.lines) + "\n" if self.lines else ""


def _comment(token: Token) -> str:
    return token.raw.replace("\t", " ").rstrip()
