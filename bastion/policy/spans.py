"""Where the syntax tree has words, compared with where the shell's quoting rules put them (`lexer.py`). Pure."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass, field

from bastion.policy.lexer import Differs, Lexer

RESERVED = frozenset(
    b"if then else elif fi for while until do done case esac in { } ! [[ ]] [ function select time".split()
)


@dataclass(slots=True)
class Spans:
    """First byte, and the one behind the last, of what a tree has."""

    commands: list[list[tuple[int, int]]] = field(default_factory=list)
    """The words of each simple command; (-1, -1) for one that is not to be looked at."""
    seen: set[int] = field(default_factory=set)
    """Where words begin that were read."""
    free: list[tuple[int, int]] = field(default_factory=list)
    """In which words follow rules of their own: tests, arithmetic, patterns; not in their substitutions."""
    tests: list[tuple[int, int]] = field(default_factory=list)
    delimiters: dict[int, int] = field(default_factory=dict)
    """Of here-documents, from and to."""
    ignored: list[tuple[int, int]] = field(default_factory=list)
    """Which the tree says are no commands: comments and here-documents."""

    def compare(self, source: bytes) -> None:
        """The tree's words and the lexer's must be the same, and no word may be hidden. Raises Differs."""
        lexer = Lexer(source)
        lexer.read()
        for spans in self.commands:
            for position, (start, end) in enumerate(spans):
                if start < 0:
                    continue
                if lexer.words.get(start) != end or (position and lexer.after[start]):
                    raise Differs("can be read in two ways")
        for start, end in self.tests:
            # `[ a | sh = b ]` is two commands, and `[[ … ]]` is, where sh is no bash
            if not lexer.only_words(start, end):
                raise Differs("uses an operator of the shell inside a test")
        starts = sorted(lexer.words)
        free = [(start, end, _level(lexer, starts, start, end)) for start, end in self.free]
        for start, sign in lexer.targets.items():
            known = (
                self.delimiters.get(start) == lexer.words[start]
                if sign in (b"<<", b"<<-")
                else start in self.seen or _within(free, lexer, start)
            )
            if not known:
                raise Differs("can be read in two ways")
        for start, end in lexer.words.items():
            if any(first <= start < last for first, last in self.ignored):
                raise Differs("can be read in two ways")
            if (
                start not in self.seen
                and lexer.after[start]
                and source[start:end] not in RESERVED
                and not _within(free, lexer, start)
            ):
                raise Differs("can be read in two ways")


def _within(free: list[tuple[int, int, int]], lexer: Lexer, start: int) -> bool:
    """Whether a word is one of a span's own."""
    return any(first <= start < last and lexer.depth[start] == level for first, last, level in free)


def _level(lexer: Lexer, starts: list[int], first: int, last: int) -> int:
    """How deep a span's own words are. `starts`: of all words, in order."""
    within = starts[bisect_left(starts, first) : bisect_left(starts, last)]
    return min((lexer.depth[at] for at in within), default=0)
