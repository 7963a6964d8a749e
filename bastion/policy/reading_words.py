"""The words of a command line, from tree-sitter's nodes: what is constant of them, and the commands inside. Pure."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Iterator

import tree_sitter

from bastion.policy.lexer import Differs
from bastion.policy.nodes import Assignment, Block, BlockKind, Command, Node, Redirect
from bastion.policy.spans import Spans
from bastion.policy.words import UNKNOWN, Piece, Word, ansi_c, assemble, double_quoted, unquoted

SUBSTITUTIONS = frozenset(("command_substitution", "process_substitution"))
EXPANSIONS = frozenset(("simple_expansion", "expansion", "brace_expression")) | SUBSTITUTIONS
_PLAIN = frozenset(("word", "number", "test_operator", "variable_name", "extglob_pattern", "regex"))
LITERALS = frozenset(("$", "[", "]", "{", "}", "!", "==", "=~", "=", "%", "+", "-"))
_ASSIGNING = re.compile(r"\$\{(\w+(?:\[[^\]]*\])?):?=")
"""`${name:=word}` sets the variable (bash(1) Parameter Expansion)."""
_HARMLESS_EXPANSION = re.compile(
    r"\$\{#?(?:\w+|[@*#?$!-])(?:\[(?:\d+|[@*])\])?(?:\}|(?::?[-+=?]|##?|%%?|//?|\^\^?|,,?|: *-?\d+(?::\d+)?\}).*)",
    re.DOTALL,
)
"""Parameter expansions that evaluate nothing of what the variable holds; not `${!x}`, `${x@P}`, `${x[i]}`."""


class WordReader(ABC):
    """Raises Differs on whatever it does not know."""

    def __init__(self, source: bytes) -> None:
        self.source = source
        self.spans = Spans()

    @abstractmethod
    def statement(self, node: tree_sitter.Node, depth: int) -> Node:
        """One statement of any kind: substitutions hold them."""

    @abstractmethod
    def redirect(self, node: tree_sitter.Node, depth: int) -> tuple[Redirect, list[tuple[Word, tuple[int, int]]]]:
        """The redirection, and the words after it that the grammar took for further destinations."""

    def words(self, node: tree_sitter.Node, depth: int) -> list[Word]:
        """The words that one written word becomes."""
        self.spans.seen.add(node.start_byte)
        raw = self.text(node)
        if node.type in ("word", "number") and not node.child_count:
            return assemble(unquoted(raw), raw, ())
        inner: list[Node] = []
        pieces = self._pieces(node, depth, inner)
        return assemble(pieces, raw, tuple(inner))

    def _pieces(self, node: tree_sitter.Node, depth: int, inner: list[Node]) -> list[Piece]:
        kind = node.type
        raw = self.text(node)
        if kind in EXPANSIONS or kind == "arithmetic_expansion":
            return [self._expansion(node, depth, inner)]
        if kind in _PLAIN:
            if node.named_child_count:
                raise Differs(f"uses a construct that is not judged ({kind.replace('_', ' ')})")
            return unquoted(raw)
        if kind == "raw_string":
            if raw.endswith("\\'"):  # to fish that is a quote inside the text, and what follows is in the next one
                raise Differs("ends a quoted text in a backslash")
            return [Piece(raw[1:-1], True)]
        if kind == "ansi_c_string":
            return [Piece(ansi_c(raw[2:-1]), True)]
        if kind in ("string", "translated_string"):
            opening = 2 if raw.startswith('$"') else 1
            word = self.quoted(node, node.start_byte + opening, node.end_byte - 1, depth, raw)
            inner += word.inner
            return [Piece(word.text, True)]
        if kind == "concatenation":
            return [piece for child in node.children for piece in self._part(child, depth, inner)]
        if not node.is_named and kind in LITERALS:
            return [Piece(raw, False)]
        raise Differs(f"uses a construct that is not judged ({kind.replace('_', ' ')})")

    def _part(self, child: tree_sitter.Node, depth: int, inner: list[Node]) -> list[Piece]:
        return [Piece(self.text(child), False)] if not child.is_named else self._pieces(child, depth, inner)

    def _expansion(self, node: tree_sitter.Node, depth: int, inner: list[Node]) -> Piece:
        """What only run time knows. Its commands are collected in `inner`."""
        kind = node.type
        if kind in SUBSTITUTIONS:
            inner.append(Block(BlockKind.SUBSHELL, tuple(self._substituted(node, depth))))
            if kind == "process_substitution":
                return Piece("/dev/fd/63", True)
            return Piece(UNKNOWN, False)
        if self.text(node) in ("$HOME", "${HOME}"):
            return Piece("~", True)
        if kind == "expansion" and (b"<(" in self.bytes_of(node) or b">(" in self.bytes_of(node)):
            raise Differs("may run a command inside ${…}")
        for leaf in descend(node):
            if leaf.type in SUBSTITUTIONS:
                self._expansion(leaf, depth + 1, inner)
        if kind == "arithmetic_expansion":
            names = any(
                leaf.type in ("variable_name", "word", "subscript", "simple_expansion", "expansion")
                for leaf in descend(node)
            )
            if names:
                inner.append(Block(BlockKind.ARITHMETIC, (), evaluates=True))
            return Piece("1", True)
        if kind == "expansion":
            assigns = _ASSIGNING.match(self.text(node))
            if assigns is not None:
                inner.append(Command((), (Assignment(assigns[1], Word(UNKNOWN, self.text(node))),)))
            evaluates = _HARMLESS_EXPANSION.fullmatch(self.text(node)) is None
            if evaluates or any(leaf.type == "arithmetic_expansion" for leaf in descend(node)):
                inner.append(Block(BlockKind.ARITHMETIC, (), evaluates=True))
        return Piece(UNKNOWN, False)

    def _substituted(self, node: tree_sitter.Node, depth: int) -> Iterator[Node]:
        redirects = []
        for child in node.named_children:
            if child.type.endswith("_redirect"):
                redirects.append(self.redirect(child, depth + 1)[0])
            elif child.type == "comment":
                self.spans.ignored.append((child.start_byte, child.end_byte))
            else:
                yield self.statement(child, depth + 1)
        if redirects:
            yield Command((), redirects=tuple(redirects))

    def quoted(self, node: tree_sitter.Node, start: int, end: int, depth: int, raw: str) -> Word:
        """Double-quoted text, or the body of a here-document: expansions inside literal text."""
        parts: list[str] = []
        inner: list[Node] = []
        at = start
        for child in node.named_children:
            if child.type in EXPANSIONS or child.type == "arithmetic_expansion":
                parts.append(double_quoted(self.source[at : child.start_byte].decode()))
                parts.append(self._expansion(child, depth, inner).text)
                at = child.end_byte
        parts.append(double_quoted(self.source[at:end].decode()))
        return Word("".join(parts), raw, inner=tuple(inner))

    def bytes_of(self, node: tree_sitter.Node) -> bytes:
        """As they were written."""
        return self.source[node.start_byte : node.end_byte]

    def text(self, node: tree_sitter.Node) -> str:
        """As it was written."""
        return self.source[node.start_byte : node.end_byte].decode()


def descend(node: tree_sitter.Node) -> Iterator[tree_sitter.Node]:
    """The node and all below it, not going into substitutions (their commands are read as commands)."""
    pending = [node]
    while pending:
        current = pending.pop()
        yield current
        if current is node or current.type not in SUBSTITUTIONS:
            pending += reversed(current.children)
