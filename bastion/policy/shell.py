"""A command line, parsed: simple commands, pipelines, lists, redirections, substitutions. Pure.

Theory of operation. tree-sitter's bash grammar gives the structure (`reading.py`); words are resolved where they are
constant (`reading_words.py`, `words.py`); a second reading by the shell's quoting rules must agree on every word
(`spans.py`, `lexer.py`). The result is a small tree (`nodes.py`): `Command` (a simple command), `Pipeline`, and `Block`
for everything that groups. Nothing is executed and no variable is looked up: whatever depends on run time is marked as
such.

Anything that is not read in one certain way is `Unparsed`, with the reason as a sentence for a person: error nodes,
control characters, bytes that are not UTF-8, constructs that are not listed here. Unparsed is never low, never
remembered and never compared with anything.

Not seen, and nothing here pretends otherwise: what variables, globs, aliases and functions of a running shell session
mean; which program of a name the target has.
"""

from __future__ import annotations

import functools
import warnings
from collections.abc import Iterator

import tree_sitter
import tree_sitter_bash

from bastion.policy.lexer import Differs
from bastion.policy.nodes import Assignment, Block, BlockKind, Command, Node, Parsed, Pipeline, Redirect, Unparsed
from bastion.policy.reading import Reader

__all__ = ["Assignment", "Block", "BlockKind", "Command", "Node", "Parsed", "Pipeline", "Redirect", "Unparsed", "parse"]

_BASH = tree_sitter.Language(tree_sitter_bash.language())

NODES_LIMIT = 20_000
"""Tree nodes that are read; a script of some 2,000 lines. Reading them takes about 0.1 s."""
PARSE_MICROSECONDS = 200_000
"""For the tree. Long lines that are in error make tree-sitter look for a mending in quadratic time: 120 KB of
`a|a|…` took all there was of it. A script of 130 KB without errors takes 0.08 s."""
PIPES_LIMIT = 500
"""`|` in one line, quoted ones too. The grammar takes memory with their square, and looks at the clock too seldom to be
stopped: 2,000 took 80 MiB, 8,000 took 700 MiB and 2.4 s."""


def parse(command: bytes) -> Parsed | Unparsed:
    """Parses one command line as bash would read it from `bash -c`. Never raises."""
    return _parsed_short(command) if len(command) <= SHORT else _parsed_long(command)


def _parse(command: bytes) -> Parsed | Unparsed:
    try:
        text = command.decode()
    except UnicodeDecodeError:
        return Unparsed("is not UTF-8")
    if not text.isprintable() and any(not char.isprintable() and char not in "\n\t" for char in text):
        return Unparsed("holds control or invisible characters")
    if "\\\n" in text and any(before not in " \t" for before in _before_continuations(text)):
        return Unparsed("continues a line in the middle of a word")
    if command.count(b"|") > PIPES_LIMIT:
        return Unparsed(f"has more than {PIPES_LIMIT} pipes")
    tree = _tree(command)
    if tree is None:
        return Unparsed("takes too long to parse")
    if tree.root_node.has_error:
        return Unparsed("cannot be parsed with certainty")
    if tree.root_node.descendant_count > NODES_LIMIT:
        return Unparsed(f"is too long to judge (more than {NODES_LIMIT} elements)")
    try:
        reader = Reader(command)
        root = Block(BlockKind.LIST, tuple(reader.statements(tree.root_node, 0)))
        reader.spans.compare(command)
    except Differs as error:
        return Unparsed(str(error))
    except RecursionError:
        return Unparsed("is nested too deeply")
    return Parsed(root, frozenset(reader.functions))


SHORT = 512
"""Bytes of a line of which many are remembered: what an agent runs again and again. Its tree has some kilobytes."""
_parsed_short = functools.lru_cache(maxsize=128)(_parse)
_parsed_long = functools.lru_cache(maxsize=2)(_parse)
"""Whether it reads code, its risk, the policy: all ask about the same line."""


def _tree(command: bytes) -> tree_sitter.Tree | None:
    """The syntax tree; None when the time was over."""
    with warnings.catch_warnings():
        # its successor, progress_callback, is not called for bytes, and ends the process otherwise (0.25.2)
        warnings.simplefilter("ignore", DeprecationWarning)
        parser = tree_sitter.Parser(_BASH, timeout_micros=PARSE_MICROSECONDS)
    try:
        return parser.parse(command)
    except ValueError:
        return None


def _before_continuations(text: str) -> Iterator[str]:
    at = text.find("\\\n")
    while at >= 0:
        yield text[at - 1] if at else " "
        at = text.find("\\\n", at + 2)
