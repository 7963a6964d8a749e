"""What a command line is made of: simple commands, pipelines, and blocks for everything that groups. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from bastion.policy.words import Word


class BlockKind(StrEnum):
    """Why commands stand together."""

    LIST = "list"
    SUBSHELL = "subshell"
    GROUP = "group"
    IF = "if"
    LOOP = "loop"
    CASE = "case"
    FUNCTION = "function"
    NEGATION = "negation"
    TEST = "test"
    ARITHMETIC = "arithmetic"


@dataclass(frozen=True, slots=True)
class Redirect:
    """One redirection. `operator` is as written, without the descriptor."""

    operator: str
    fd: str
    """Descriptor as written; empty for the operator's own."""
    word: Word | None
    """Destination, or the text of a here-string or here-document; None for `>&-`."""


@dataclass(frozen=True, slots=True)
class Assignment:
    """`name=value` in front of a command or on its own."""

    name: str
    value: Word
    """Elements of an array are joined by blanks."""


@dataclass(frozen=True, slots=True)
class Command:
    """A simple command (POSIX XCU 2.9.1)."""

    words: tuple[Word, ...]
    """Empty when there are only assignments or redirections."""
    assignments: tuple[Assignment, ...] = ()
    redirects: tuple[Redirect, ...] = ()


@dataclass(frozen=True, slots=True)
class Pipeline:
    """Commands whose output goes into the next one's input."""

    parts: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Block:
    """A compound command, a list, a function's body, or a test."""

    kind: BlockKind
    parts: tuple[Node, ...]
    words: tuple[Word, ...] = ()
    """Values of a `for` or `case`, the words of a test, the name of a function."""
    redirects: tuple[Redirect, ...] = ()
    variable: str = ""
    """What a `for` sets."""
    evaluates: bool = False
    """Evaluates a variable as arithmetic, where `a[$(cmd)]` inside its value would run (bash(1) ARITHMETIC)."""


Node = Command | Pipeline | Block


@dataclass(frozen=True, slots=True)
class Parsed:
    """A command line that is read in one certain way."""

    root: Block
    functions: frozenset[str]
    """Names that the line itself defines."""

    def commands(self) -> Iterator[Command]:
        """All simple commands, in order, those inside substitutions before the one that uses them."""
        yield from commands(self.root)


@dataclass(frozen=True, slots=True)
class Unparsed:
    """A command line that is not read in one certain way."""

    reason: str
    """Continues `this line …`: `is not UTF-8`, `cannot be parsed`."""


def commands(node: Node) -> Iterator[Command]:
    """The simple commands of a node, with those of its substitutions."""
    match node:
        case Command():
            for word in _words_of(node):
                for part in word.inner:
                    yield from commands(part)
            yield node
        case Pipeline():
            for part in node.parts:
                yield from commands(part)
        case Block():
            for word in _words_of(node):
                for part in word.inner:
                    yield from commands(part)
            for part in node.parts:
                yield from commands(part)


def _words_of(node: Command | Block) -> Iterator[Word]:
    yield from node.words
    if isinstance(node, Command):
        for assignment in node.assignments:
            yield assignment.value
    for redirect in node.redirects:
        if redirect.word is not None:
            yield redirect.word
