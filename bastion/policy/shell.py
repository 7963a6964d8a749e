"""A command line, parsed: simple commands, pipelines, lists, redirections, substitutions. Pure.

Theory of operation. tree-sitter's bash grammar gives the structure; words are resolved where they are constant
(`words.py`); a second reading by the shell's quoting rules must agree on every word (`lexer.py`). The result is a
small tree: `Command` (a simple command), `Pipeline`, and `Block` for everything that groups. Nothing is executed and
no variable is looked up: whatever depends on run time is marked as such.

Anything that is not read in one certain way is `Unparsed`, with the reason as a sentence for a person: error nodes,
control characters, bytes that are not UTF-8, constructs that are not listed here. Unparsed is never low, never
remembered and never compared with anything.

Not seen, and nothing here pretends otherwise: what variables, globs, aliases and functions of a running shell session
mean; which program of a name the target has.
"""

from __future__ import annotations

import functools
import re
import warnings
from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import StrEnum

import tree_sitter
import tree_sitter_bash

from bastion.policy.lexer import Differs, Lexer
from bastion.policy.words import UNKNOWN, Piece, Word, ansi_c, assemble, double_quoted, unquoted

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
DEPTH_LIMIT = 60
"""Nesting of commands; the interpreter's own limit is far above."""


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
        reader = _Reader(command)
        root = Block(BlockKind.LIST, tuple(reader.statements(tree.root_node, 0)))
        reader.compare()
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


def _before_continuations(text: str) -> Iterator[str]:
    at = text.find("\\\n")
    while at >= 0:
        yield text[at - 1] if at else " "
        at = text.find("\\\n", at + 2)


_LISTS = frozenset(("program", "list", "do_group", "else_clause", "elif_clause"))
_GROUPS = {
    "subshell": BlockKind.SUBSHELL,
    "compound_statement": BlockKind.GROUP,
    "if_statement": BlockKind.IF,
    "while_statement": BlockKind.LOOP,
    "negated_command": BlockKind.NEGATION,
} | dict.fromkeys(_LISTS, BlockKind.LIST)
_SUBSTITUTIONS = frozenset(("command_substitution", "process_substitution"))
_EXPANSIONS = frozenset(("simple_expansion", "expansion", "brace_expression")) | _SUBSTITUTIONS
_PLAIN = frozenset(("word", "number", "test_operator", "variable_name", "extglob_pattern", "regex"))
_RESERVED = frozenset(
    b"if then else elif fi for while until do done case esac in { } ! [[ ]] [ function select time".split()
)
_MISREAD = frozenset(word.decode() for word in _RESERVED - {b"[", b"time"}) | {"coproc"}
"""Reserved words that the grammar would take for a program's name."""
_COMPARISONS = frozenset(("-eq", "-ne", "-lt", "-le", "-gt", "-ge", "-v", "-R"))
"""Operators of `[[` and `test` that evaluate arithmetic or a subscript."""


_NAMED = re.compile(r"[\w.,:/=!<>()-]*|\w+\[\d+\]|\[|\]|-\w+")
"""Leaves of `[ … ]` that can hide no subscript."""
_NUMERIC = re.compile(r"-?\d+|\$[#?$!]|\$\{#\w+\}|\"\$[#?]\"|\$\(\(.*\)\)", re.DOTALL)
"""Sides of a comparison that are numbers; what stands in `$((…))` is looked at by itself."""


class _Reader:
    """Turns tree-sitter's nodes into ours. Raises Differs on whatever it does not know."""

    def __init__(self, source: bytes) -> None:
        self.source = source
        self.functions: set[str] = set()
        self._commands: list[list[tuple[int, int]]] = []
        self._seen: set[int] = set()
        self._free: list[tuple[int, int]] = []
        """Spans in which words follow rules of their own: tests, arithmetic, patterns; not in their substitutions."""
        self._tests: list[tuple[int, int]] = []
        self._delimiters: dict[int, int] = {}
        """Of here-documents, from and to."""
        self._ignored: list[tuple[int, int]] = []
        """Spans that the tree says are no commands: comments and here-documents."""

    # ------------------------------------------------------------------ structure

    def statements(self, node: tree_sitter.Node, depth: int) -> Iterator[Node]:
        """The statements among a node's children."""
        for child in node.named_children:
            if child.type == "comment":
                self._ignored.append((child.start_byte, child.end_byte))
            else:
                yield self.statement(child, depth)

    def statement(self, node: tree_sitter.Node, depth: int) -> Node:
        """One statement of any kind."""
        if depth > DEPTH_LIMIT:
            raise Differs("is nested too deeply")
        kind = node.type
        if kind in ("command", "declaration_command", "unset_command"):
            return self._command(node, depth)
        if kind == "pipeline":
            return Pipeline(tuple(self.statements(node, depth + 1)))
        if kind == "compound_statement" and node.children and node.children[0].type == "((":
            return self._test(node, depth, BlockKind.ARITHMETIC)
        if kind in _GROUPS:
            return Block(_GROUPS[kind], tuple(self.statements(node, depth + 1)))
        if kind == "redirected_statement":
            return self._redirected(node, depth)
        if kind in ("variable_assignment", "variable_assignments"):
            targets = [node] if kind == "variable_assignment" else node.named_children
            return Command((), tuple(self._assignment(target, depth) for target in targets))
        if kind == "test_command":
            return self._test(node, depth, BlockKind.TEST)
        if kind == "for_statement":
            return self._for(node, depth)
        if kind == "c_style_for_statement":
            return self._c_for(node, depth)
        if kind == "case_statement":
            return self._case(node, depth)
        if kind == "function_definition":
            return self._function(node, depth)
        raise Differs(f"uses a construct that is not judged ({kind.replace('_', ' ')})")

    def _command(self, node: tree_sitter.Node, depth: int) -> Command:
        words: list[Word] = []
        spans: list[tuple[int, int]] = []
        assignments: list[Assignment] = []
        redirects: list[Redirect] = []
        for child in node.children:
            kind = child.type
            if kind == "command_name":
                child, kind = child.children[0], "name"  # noqa: PLW2901
            if kind == "variable_assignment" and node.type == "command":
                assignments.append(self._assignment(child, depth))
            elif kind == "variable_assignment":
                assignment = self._assignment(child, depth)
                text = f"{assignment.name}={assignment.value.text}"
                words.append(replace(assignment.value, text=text))
                spans.append((child.start_byte, child.end_byte))
            elif kind.endswith("_redirect"):
                redirect, extra = self._redirect(child, depth)
                redirects.append(redirect)
                for word, span in extra:
                    words.append(word)
                    spans.append(span)
            elif child.is_named or kind in _LITERALS:
                spans.append((child.start_byte, child.end_byte))
                words += self.words(child, depth)
            elif kind in _DECLARATIONS:
                spans.append((child.start_byte, child.end_byte))
                self._seen.add(child.start_byte)
                words.append(Word(kind, kind))
            else:
                raise Differs(f"uses a construct that is not judged ({kind})")
        if words and words[0].raw in _MISREAD:
            raise Differs(f"uses a construct that is not judged ({words[0].raw})")
        self._commands.append(spans)
        return Command(tuple(words), tuple(assignments), tuple(redirects))

    def _redirected(self, node: tree_sitter.Node, depth: int) -> Node:
        body: Node = Command(())
        redirects: list[Redirect] = []
        extra: list[Word] = []
        after: list[Node] = []
        for child in node.named_children:
            if child.type == "heredoc_redirect":
                redirect, more, following = self._heredoc(child, depth)
                redirects += redirect
                extra += more
                after += following
            elif child.type.endswith("_redirect"):
                found, arguments = self._redirect(child, depth)
                redirects.append(found)
                extra += [word for word, _ in arguments]
                if arguments:
                    self._commands.append([(-1, -1), *[span for _, span in arguments]])
            else:
                body = self.statement(child, depth + 1)
        body = self._attach(body, tuple(redirects), extra)
        for part in after:
            if isinstance(part, Pipeline):
                parts = body.parts if isinstance(body, Pipeline) else (body,)
                body = Pipeline((*parts, *part.parts))
            else:
                body = Block(BlockKind.LIST, (body, part))
        return body

    def _attach(self, body: Node, redirects: tuple[Redirect, ...], extra: list[Word]) -> Node:
        """Redirections (and the words that the grammar mistook for their destinations) go to the last command."""
        match body:
            case Command():
                return replace(body, words=(*body.words, *extra), redirects=(*body.redirects, *redirects))
            case Pipeline():
                return Pipeline((*body.parts[:-1], self._attach(body.parts[-1], redirects, extra)))
            case Block(kind=BlockKind.LIST | BlockKind.NEGATION) if body.parts:
                return replace(body, parts=(*body.parts[:-1], self._attach(body.parts[-1], redirects, extra)))
            case Block() if not extra:
                return replace(body, redirects=(*body.redirects, *redirects))
        raise Differs("has words behind a redirection of a compound command")

    def _test(self, node: tree_sitter.Node, depth: int, kind: BlockKind) -> Block:
        """`[ … ]`, `[[ … ]]`, `((…))`: only what its words substitute is run."""
        self._free.append((node.start_byte, node.end_byte))
        words, evaluates = [], False
        double = node.children[0].type == "[["
        if kind is BlockKind.TEST:
            self._tests.append((node.start_byte, node.end_byte))
        names = False
        for leaf in _descend(node):
            if leaf.type in _EXPANSIONS or leaf.type == "arithmetic_expansion":
                words += self.words(leaf, depth)
            if kind is BlockKind.ARITHMETIC:
                evaluates = evaluates or (leaf.is_named and not leaf.named_child_count and leaf.type != "number")
            elif double and any(child.type == "test_operator" for child in leaf.children):
                evaluates = evaluates or self._compares(leaf)
            names = names or (not leaf.named_child_count and self._text(leaf) in ("-v", "-R"))
        if names and not double:
            evaluates = any(
                not leaf.named_child_count and not _NAMED.fullmatch(self._text(leaf)) for leaf in _descend(node)
            )
        return Block(kind, (), tuple(words), evaluates=evaluates)

    def _compares(self, node: tree_sitter.Node) -> bool:
        """`-eq` and its like take both sides as arithmetic, `-v` a subscript (bash(1) CONDITIONAL EXPRESSIONS)."""
        operator = next(self._text(child) for child in node.children if child.type == "test_operator")
        if operator not in _COMPARISONS:
            return False
        sides = [self._text(child) for child in node.named_children if child.type != "test_operator"]
        plain = _NAMED if operator in ("-v", "-R") else _NUMERIC
        return any(not plain.fullmatch(side) for side in sides)

    def _for(self, node: tree_sitter.Node, depth: int) -> Block:
        values: list[Word] = []
        for value in node.children_by_field_name("value"):
            values += self.words(value, depth)
            self._seen.add(value.start_byte)
        body = node.child_by_field_name("body")
        if body is None:
            raise Differs("has a loop without a body")
        self._free.append((node.start_byte, body.start_byte))
        variable = node.child_by_field_name("variable")
        name = self._text(variable) if variable is not None else UNKNOWN
        return Block(BlockKind.LOOP, (self.statement(body, depth + 1),), tuple(values), variable=name)

    def _c_for(self, node: tree_sitter.Node, depth: int) -> Block:
        body = node.child_by_field_name("body")
        if body is None:
            raise Differs("has a loop without a body")
        self._free.append((node.start_byte, body.start_byte))
        if any(leaf.type in _EXPANSIONS for child in node.children if child != body for leaf in _descend(child)):
            raise Differs("uses substitutions in the head of a loop")
        return Block(BlockKind.LOOP, (self.statement(body, depth + 1),), evaluates=True)

    def _case(self, node: tree_sitter.Node, depth: int) -> Block:
        words: list[Word] = []
        parts: list[Node] = []
        value = node.child_by_field_name("value")
        if value is not None:
            words += self.words(value, depth)
        for item in node.named_children:
            if item.type != "case_item":
                continue
            patterns = item.children_by_field_name("value")
            words += [word for pattern in patterns for word in self.words(pattern, depth)]
            self._free.append((item.start_byte, max(pattern.end_byte for pattern in patterns) + 1))
            inside = [child for child in item.named_children if child not in patterns and child.type != "comment"]
            parts.append(Block(BlockKind.LIST, tuple(self.statement(child, depth + 1) for child in inside)))
        return Block(BlockKind.CASE, tuple(parts), tuple(words))

    def _function(self, node: tree_sitter.Node, depth: int) -> Block:
        name, body = node.child_by_field_name("name"), node.child_by_field_name("body")
        if name is None or body is None:
            raise Differs("has a function without a name or body")
        self._seen.add(name.start_byte)
        self._free.append((node.start_byte, body.start_byte))
        text = self._text(name)
        self.functions.add(text)
        inside = self.statement(body, depth + 1)
        redirects = tuple(self._redirect(child, depth)[0] for child in node.children_by_field_name("redirect"))
        return Block(BlockKind.FUNCTION, (inside,), (Word(text, text),), redirects)

    # ------------------------------------------------------------------ redirections and assignments

    def _redirect(self, node: tree_sitter.Node, depth: int) -> tuple[Redirect, list[tuple[Word, tuple[int, int]]]]:
        """The redirection, and the words after it that the grammar took for further destinations."""
        operator, fd = "", ""
        found: list[tuple[Word, tuple[int, int]]] = []
        for child in node.children:
            if child.type == "file_descriptor":
                fd = self._text(child)
            elif not child.is_named:
                operator = self._text(child)
            else:
                self._seen.add(child.start_byte)
                span = (child.start_byte, child.end_byte)
                found += [(word, span) for word in self.words(child, depth)]
        if not found:
            return Redirect(operator, fd, None), []
        return Redirect(operator, fd, found[0][0]), found[1:]

    def _heredoc(self, node: tree_sitter.Node, depth: int) -> tuple[list[Redirect], list[Word], list[Node]]:
        """The here-document, and what the grammar hangs below it: more redirections, a pipe, `&& …`."""
        redirects: list[Redirect] = []
        extra: list[Word] = []
        after: list[Node] = []
        body = Word("", "")
        literal, fd = False, ""
        for child in node.children:
            kind = child.type
            if kind == "heredoc_start":
                self._delimiters[child.start_byte] = child.end_byte
                literal = self._bytes(child)[:1] in (b"'", b'"', b"\\")
            elif kind == "heredoc_body":
                self._ignored.append((child.start_byte, child.end_byte))
                body = self._body(child, literal, depth)
            elif kind == "file_descriptor":
                fd = self._text(child)
            elif kind == "pipeline":
                after.append(Pipeline(tuple(self.statements(child, depth + 1))))
            elif kind.endswith("_redirect"):
                found, arguments = self._redirect(child, depth)
                redirects.append(found)
                if arguments:
                    raise Differs("has words behind a here-document")
            elif kind in ("heredoc_end", "<<", "<<-", "|", "|&") or (kind in ("&&", "||")):
                continue
            elif child.is_named and node.child_by_field_name("right") == child:
                after.append(self.statement(child, depth + 1))
            else:
                raise Differs("has words behind a here-document")
        redirects.insert(0, Redirect("<<", fd, body))
        return redirects, extra, after

    def _body(self, node: tree_sitter.Node, literal: bool, depth: int) -> Word:
        raw = self._text(node)
        if literal:
            return Word(raw, raw)
        if "\\" in raw.replace("\\$", "").replace("\\\\", "").replace("\\`", "") and "\\\n" in raw:
            raise Differs("continues a line inside a here-document")
        self._all_seen(node)
        return self._quoted(node, node.start_byte, node.end_byte, depth, raw)

    def _all_seen(self, body: tree_sitter.Node) -> None:
        """Whatever the shell expands in a here-document is a node right below its body: the grammar takes backquotes
        for text, and what stands first in a line of `<<-`."""
        starts = {child.start_byte for child in body.named_children}
        at = body.start_byte
        while at < body.end_byte:
            byte = self.source[at]
            if byte == 0x60:
                raise Differs("uses backquotes inside a here-document")
            if byte == 0x24 and self.source[at + 1 : at + 2] in (b"(", b"{", b"[") and at not in starts:
                raise Differs("can be read in two ways")
            at += 2 if byte == 0x5C else 1

    def _assignment(self, node: tree_sitter.Node, depth: int) -> Assignment:
        self._seen.add(node.start_byte)
        name, value = node.child_by_field_name("name"), node.child_by_field_name("value")
        if name is None:
            raise Differs("has an assignment without a name")
        inner: list[Node] = []
        if name.type == "subscript":
            for leaf in _descend(name):
                if leaf.type in _EXPANSIONS:
                    raise Differs("assigns to a computed subscript")
        if value is None:
            words: list[Word] = []
        elif value.type == "array":
            self._free.append((value.start_byte, value.end_byte))
            words = [word for child in value.named_children for word in self.words(child, depth)]
        else:
            words = self.words(value, depth)
        for word in words:
            inner += word.inner
        text = " ".join(word.text for word in words)
        return Assignment(self._text(name), Word(text, self._text(node), inner=tuple(inner)))

    # ------------------------------------------------------------------ words

    def words(self, node: tree_sitter.Node, depth: int) -> list[Word]:
        """The words that one written word becomes."""
        self._seen.add(node.start_byte)
        raw = self._text(node)
        if node.type in ("word", "number") and not node.child_count:
            return assemble(unquoted(raw), raw, ())
        inner: list[Node] = []
        pieces = self._pieces(node, depth, inner)
        return assemble(pieces, raw, tuple(inner))

    def _pieces(self, node: tree_sitter.Node, depth: int, inner: list[Node]) -> list[Piece]:
        kind = node.type
        raw = self._text(node)
        if kind in _EXPANSIONS or kind == "arithmetic_expansion":
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
            word = self._quoted(node, node.start_byte + opening, node.end_byte - 1, depth, raw)
            inner += word.inner
            return [Piece(word.text, True)]
        if kind == "concatenation":
            return [piece for child in node.children for piece in self._part(child, depth, inner)]
        if not node.is_named and kind in _LITERALS:
            return [Piece(raw, False)]
        raise Differs(f"uses a construct that is not judged ({kind.replace('_', ' ')})")

    def _part(self, child: tree_sitter.Node, depth: int, inner: list[Node]) -> list[Piece]:
        return [Piece(self._text(child), False)] if not child.is_named else self._pieces(child, depth, inner)

    def _expansion(self, node: tree_sitter.Node, depth: int, inner: list[Node]) -> Piece:
        """What only run time knows. Its commands are collected in `inner`."""
        kind = node.type
        if kind in _SUBSTITUTIONS:
            inner.append(Block(BlockKind.SUBSHELL, tuple(self._substituted(node, depth))))
            if kind == "process_substitution":
                return Piece("/dev/fd/63", True)
            return Piece(UNKNOWN, False)
        if self._text(node) in ("$HOME", "${HOME}"):
            return Piece("~", True)
        if kind == "expansion" and (b"<(" in self._bytes(node) or b">(" in self._bytes(node)):
            raise Differs("may run a command inside ${…}")
        for leaf in _descend(node):
            if leaf.type in _SUBSTITUTIONS:
                self._expansion(leaf, depth + 1, inner)
        if kind == "arithmetic_expansion":
            names = any(
                leaf.type in ("variable_name", "word", "subscript", "simple_expansion", "expansion")
                for leaf in _descend(node)
            )
            if names:
                inner.append(Block(BlockKind.ARITHMETIC, (), evaluates=True))
            return Piece("1", True)
        if kind == "expansion":
            assigns = _ASSIGNING.match(self._text(node))
            if assigns is not None:
                inner.append(Command((), (Assignment(assigns[1], Word(UNKNOWN, self._text(node))),)))
            evaluates = _HARMLESS_EXPANSION.fullmatch(self._text(node)) is None
            if evaluates or any(leaf.type == "arithmetic_expansion" for leaf in _descend(node)):
                inner.append(Block(BlockKind.ARITHMETIC, (), evaluates=True))
        return Piece(UNKNOWN, False)

    def _substituted(self, node: tree_sitter.Node, depth: int) -> Iterator[Node]:
        redirects = []
        for child in node.named_children:
            if child.type.endswith("_redirect"):
                redirects.append(self._redirect(child, depth + 1)[0])
            elif child.type == "comment":
                self._ignored.append((child.start_byte, child.end_byte))
            else:
                yield self.statement(child, depth + 1)
        if redirects:
            yield Command((), redirects=tuple(redirects))

    def _quoted(self, node: tree_sitter.Node, start: int, end: int, depth: int, raw: str) -> Word:
        """Double-quoted text, or the body of a here-document: expansions inside literal text."""
        parts: list[str] = []
        inner: list[Node] = []
        at = start
        for child in node.named_children:
            if child.type in _EXPANSIONS or child.type == "arithmetic_expansion":
                parts.append(double_quoted(self.source[at : child.start_byte].decode()))
                parts.append(self._expansion(child, depth, inner).text)
                at = child.end_byte
        parts.append(double_quoted(self.source[at:end].decode()))
        return Word("".join(parts), raw, inner=tuple(inner))

    def _bytes(self, node: tree_sitter.Node) -> bytes:
        return self.source[node.start_byte : node.end_byte]

    def _text(self, node: tree_sitter.Node) -> str:
        return self.source[node.start_byte : node.end_byte].decode()

    # ------------------------------------------------------------------ the second reading

    def compare(self) -> None:
        """The tree's words and the lexer's must be the same, and no word may be hidden. Raises Differs."""
        lexer = Lexer(self.source)
        lexer.read()
        for spans in self._commands:
            for position, (start, end) in enumerate(spans):
                if start < 0:
                    continue
                if lexer.words.get(start) != end or (position and lexer.after[start]):
                    raise Differs("can be read in two ways")
        for start, end in self._tests:
            if not lexer.only_words(
                start, end
            ):  # `[ a | sh = b ]` is two commands, and `[[ … ]]` is, where sh is no bash
                raise Differs("uses an operator of the shell inside a test")
        starts = sorted(lexer.words)
        free = [(start, end, _level(lexer, starts, start, end)) for start, end in self._free]
        for start, sign in lexer.targets.items():
            known = (
                self._delimiters.get(start) == lexer.words[start]
                if sign in (b"<<", b"<<-")
                else start in self._seen or _within(free, lexer, start)
            )
            if not known:
                raise Differs("can be read in two ways")
        for start, end in lexer.words.items():
            if any(first <= start < last for first, last in self._ignored):
                raise Differs("can be read in two ways")
            if (
                start not in self._seen
                and lexer.after[start]
                and self.source[start:end] not in _RESERVED
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


_DECLARATIONS = frozenset(("declare", "typeset", "export", "readonly", "local", "unset", "unsetenv"))
_ASSIGNING = re.compile(r"\$\{(\w+(?:\[[^\]]*\])?):?=")
"""`${name:=word}` sets the variable (bash(1) Parameter Expansion)."""
_HARMLESS_EXPANSION = re.compile(
    r"\$\{#?(?:\w+|[@*#?$!-])(?:\[(?:\d+|[@*])\])?(?:\}|(?::?[-+=?]|##?|%%?|//?|\^\^?|,,?|: *-?\d+(?::\d+)?\}).*)",
    re.DOTALL,
)
"""Parameter expansions that evaluate nothing of what the variable holds; not `${!x}`, `${x@P}`, `${x[i]}`."""
_LITERALS = frozenset(("$", "[", "]", "{", "}", "!", "==", "=~", "=", "%", "+", "-"))


def _descend(node: tree_sitter.Node) -> Iterator[tree_sitter.Node]:
    """The node and all below it, not going into substitutions (their commands are read as commands)."""
    pending = [node]
    while pending:
        current = pending.pop()
        yield current
        if current is node or current.type not in _SUBSTITUTIONS:
            pending += reversed(current.children)
