"""Colours for a shell's command line, on its visible text. Pure.

A reader's help and nothing else: it neither adds nor leaves out a character, and says nothing that the characters do
not say without colour. It is a scanner, not a parser; what the command *does* is said by the classifier, which parses.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from dataclasses import dataclass, field

LIMIT = 64 << 10
"""Characters that are coloured; a longer text stays plain: scanning takes about 1 ms for 10 KiB."""

TOKENS = re.compile(
    r"""
    (?P<blank>[ \t]+)
  | (?P<end>\n)
  | (?P<comment>(?<![^\s;&|()])\#[^\n]*)
  | (?P<string>\$?'[^'\n]*(?:'|$)|\$?"(?:\\.|[^"\\\n])*(?:"|$))
  | (?P<variable>\$\{[^}\n]*\}?|\$[A-Za-z_][A-Za-z0-9_]*|\$[0-9?$!@*\#-])
  | (?P<operator>\$\(+|`|&&|\|\|?&?|;;?&?|<<<?-?|[0-9]*[<>]&?-?[0-9]*|>>|[()&])
  | (?P<word>(?:\\.|[^\s'"$`|&;<>()\\])+|.)
    """,
    re.VERBOSE | re.MULTILINE,
)
BEGINS = frozenset({"&&", "||", "|", "|&", ";", ";;", "&", "(", "$(", "`", "$(("})
"""Operators behind which a program's name comes."""
_KEYWORDS = "if then elif else fi for while until do done case esac in function select time ! { } [[ ]]"
KEYWORDS = frozenset(_KEYWORDS.split())
OPENING = KEYWORDS & {"if", "then", "elif", "else", "while", "until", "do", "time", "!", "{"}
"""Keywords behind which a program's name comes."""
_PREFIXES = "sudo doas env exec command nohup nice ionice time timeout xargs watch"
PREFIXES = frozenset(_PREFIXES.split())
"""Programs whose arguments name another program; their options are theirs."""


@dataclass(frozen=True, slots=True)
class Colours:
    """Where which style begins."""

    starts: list[int] = field(default_factory=list)
    styles: list[str] = field(default_factory=list)

    def cut(self, start: int, end: int) -> list[tuple[int, str]]:
        """(end, style) of the pieces of the slice `[start, end)`."""
        at = max(0, bisect_left(self.starts, start + 1) - 1)
        pieces: list[tuple[int, str]] = []
        for index in range(at, len(self.starts)):
            if self.starts[index] >= end:
                break
            after = self.starts[index + 1] if index + 1 < len(self.starts) else end
            pieces.append((min(after, end), self.styles[index]))
        return pieces


def shell(text: str) -> Colours:
    """The colours of a command line; none where it is too long."""
    colours = Colours()
    if len(text) > LIMIT:
        return colours
    program = True
    """The next word is a program's name."""
    for token in TOKENS.finditer(text):
        kind, word = token.lastgroup, token[0]
        style = "command"
        if kind == "end":
            program = True
        elif kind == "operator":
            style, program = "operator", word in BEGINS
        elif kind in ("comment", "string", "variable"):
            style, program = kind, program and kind == "comment"
        elif kind == "word" and program and re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*=.*", word):
            style = "variable"
        elif kind == "word" and program and word in KEYWORDS:
            style, program = "operator", word in OPENING
        elif kind == "word" and word.startswith("-"):
            style = "option"
        elif kind == "word" and program:
            style, program = "program", word in PREFIXES
        if not colours.styles or colours.styles[-1] != style:
            colours.starts.append(token.start())
            colours.styles.append(style)
    return colours
