"""The structure of a command line, from tree-sitter's nodes. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

import tree_sitter

from bastion.policy.lexer import Differs
from bastion.policy.nodes import Assignment, Block, BlockKind, Command, Node, Pipeline, Redirect
from bastion.policy.reading_words import EXPANSIONS, LITERALS, WordReader, descend
from bastion.policy.spans import RESERVED
from bastion.policy.words import UNKNOWN, Word

DEPTH_LIMIT = 60
"""Nesting of commands; the interpreter's own limit is far above."""

_LISTS = frozenset(("program", "list", "do_group", "else_clause", "elif_clause"))
_GROUPS = {
    "subshell": BlockKind.SUBSHELL,
    "compound_statement": BlockKind.GROUP,
    "if_statement": BlockKind.IF,
    "while_statement": BlockKind.LOOP,
    "negated_command": BlockKind.NEGATION,
} | dict.fromkeys(_LISTS, BlockKind.LIST)
_MISREAD = frozenset(word.decode() for word in RESERVED - {b"[", b"time"}) | {"coproc"}
"""Reserved words that the grammar would take for a program's name."""
_COMPARISONS = frozenset(("-eq", "-ne", "-lt", "-le", "-gt", "-ge", "-v", "-R"))
"""Operators of `[[` and `test` that evaluate arithmetic or a subscript."""


_NAMED = re.compile(r"[\w.,:/=!<>()-]*|\w+\[\d+\]|\[|\]|-\w+")
"""Leaves of `[ … ]` that can hide no subscript."""
_NUMERIC = re.compile(r"-?\d+|\$[#?$!]|\$\{#\w+\}|\"\$[#?]\"|\$\(\(.*\)\)", re.DOTALL)
"""Sides of a comparison that are numbers; what stands in `$((…))` is looked at by itself."""
_DECLARATIONS = frozenset(("declare", "typeset", "export", "readonly", "local", "unset", "unsetenv"))


class Reader(WordReader):
    """Turns tree-sitter's nodes into ours. Raises Differs on whatever it does not know."""

    def __init__(self, source: bytes) -> None:
        super().__init__(source)
        self.functions: set[str] = set()

    # ------------------------------------------------------------------ structure

    def statements(self, node: tree_sitter.Node, depth: int) -> Iterator[Node]:
        """The statements among a node's children."""
        for child in node.named_children:
            if child.type == "comment":
                self.spans.ignored.append((child.start_byte, child.end_byte))
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
        for part in node.children:
            child, kind = part, part.type
            if kind == "command_name":
                child, kind = part.children[0], "name"
            if kind == "variable_assignment" and node.type == "command":
                assignments.append(self._assignment(child, depth))
            elif kind == "variable_assignment":
                assignment = self._assignment(child, depth)
                text = f"{assignment.name}={assignment.value.text}"
                words.append(replace(assignment.value, text=text))
                spans.append((child.start_byte, child.end_byte))
            elif kind.endswith("_redirect"):
                redirect, extra = self.redirect(child, depth)
                redirects.append(redirect)
                for word, span in extra:
                    words.append(word)
                    spans.append(span)
            elif child.is_named or kind in LITERALS:
                spans.append((child.start_byte, child.end_byte))
                words += self.words(child, depth)
            elif kind in _DECLARATIONS:
                spans.append((child.start_byte, child.end_byte))
                self.spans.seen.add(child.start_byte)
                words.append(Word(kind, kind))
            else:
                raise Differs(f"uses a construct that is not judged ({kind})")
        if words and words[0].raw in _MISREAD:
            raise Differs(f"uses a construct that is not judged ({words[0].raw})")
        self.spans.commands.append(spans)
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
                found, arguments = self.redirect(child, depth)
                redirects.append(found)
                extra += [word for word, _ in arguments]
                if arguments:
                    self.spans.commands.append([(-1, -1), *[span for _, span in arguments]])
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
        self.spans.free.append((node.start_byte, node.end_byte))
        words, evaluates = [], False
        double = node.children[0].type == "[["
        if kind is BlockKind.TEST:
            self.spans.tests.append((node.start_byte, node.end_byte))
        names = False
        for leaf in descend(node):
            if leaf.type in EXPANSIONS or leaf.type == "arithmetic_expansion":
                words += self.words(leaf, depth)
            if kind is BlockKind.ARITHMETIC:
                evaluates = evaluates or (leaf.is_named and not leaf.named_child_count and leaf.type != "number")
            elif any(child.type == "test_operator" for child in leaf.children):
                evaluates = evaluates or (self._compares(leaf) if double else self._subscripted(leaf))
            names = names or (not leaf.named_child_count and self.text(leaf) in ("-v", "-R"))
        if names and not double:
            evaluates = any(
                not leaf.named_child_count and not _NAMED.fullmatch(self.text(leaf)) for leaf in descend(node)
            )
        return Block(kind, (), tuple(words), evaluates=evaluates)

    def _compares(self, node: tree_sitter.Node) -> bool:
        """`-eq` and its like take both sides as arithmetic, `-v` a subscript (bash(1) CONDITIONAL EXPRESSIONS)."""
        operator = next(self.text(child) for child in node.children if child.type == "test_operator")
        if operator not in _COMPARISONS:
            return False
        sides = [self.text(child) for child in node.named_children if child.type != "test_operator"]
        plain = _NAMED if operator in ("-v", "-R") else _NUMERIC
        return any(not plain.fullmatch(side) for side in sides)

    def _subscripted(self, node: tree_sitter.Node) -> bool:
        """`[ 'a[$(x)]' -eq 1 ]` is text to bash, and arithmetic to ksh."""
        sides = [self.text(child) for child in node.named_children if child.type != "test_operator"]
        return self._compares(node) and any("[" in side and not side.lstrip('"').startswith("$") for side in sides)

    def _for(self, node: tree_sitter.Node, depth: int) -> Block:
        values: list[Word] = []
        for value in node.children_by_field_name("value"):
            values += self.words(value, depth)
            self.spans.seen.add(value.start_byte)
        body = node.child_by_field_name("body")
        if body is None:
            raise Differs("has a loop without a body")
        self.spans.free.append((node.start_byte, body.start_byte))
        variable = node.child_by_field_name("variable")
        name = self.text(variable) if variable is not None else UNKNOWN
        return Block(BlockKind.LOOP, (self.statement(body, depth + 1),), tuple(values), variable=name)

    def _c_for(self, node: tree_sitter.Node, depth: int) -> Block:
        body = node.child_by_field_name("body")
        if body is None:
            raise Differs("has a loop without a body")
        self.spans.free.append((node.start_byte, body.start_byte))
        if any(leaf.type in EXPANSIONS for child in node.children if child != body for leaf in descend(child)):
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
            self.spans.free.append((item.start_byte, max(pattern.end_byte for pattern in patterns) + 1))
            inside = [child for child in item.named_children if child not in patterns and child.type != "comment"]
            parts.append(Block(BlockKind.LIST, tuple(self.statement(child, depth + 1) for child in inside)))
        return Block(BlockKind.CASE, tuple(parts), tuple(words))

    def _function(self, node: tree_sitter.Node, depth: int) -> Block:
        name, body = node.child_by_field_name("name"), node.child_by_field_name("body")
        if name is None or body is None:
            raise Differs("has a function without a name or body")
        self.spans.seen.add(name.start_byte)
        self.spans.free.append((node.start_byte, body.start_byte))
        text = self.text(name)
        self.functions.add(text)
        inside = self.statement(body, depth + 1)
        redirects = tuple(self.redirect(child, depth)[0] for child in node.children_by_field_name("redirect"))
        return Block(BlockKind.FUNCTION, (inside,), (Word(text, text),), redirects)

    # ------------------------------------------------------------------ redirections and assignments

    def redirect(self, node: tree_sitter.Node, depth: int) -> tuple[Redirect, list[tuple[Word, tuple[int, int]]]]:
        """The redirection, and the words after it that the grammar took for further destinations."""
        operator, fd = "", ""
        found: list[tuple[Word, tuple[int, int]]] = []
        for child in node.children:
            if child.type == "file_descriptor":
                fd = self.text(child)
            elif not child.is_named:
                operator = self.text(child)
            else:
                self.spans.seen.add(child.start_byte)
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
                self.spans.delimiters[child.start_byte] = child.end_byte
                literal = self.bytes_of(child)[:1] in (b"'", b'"', b"\\")
            elif kind == "heredoc_body":
                self.spans.ignored.append((child.start_byte, child.end_byte))
                body = self._body(child, literal, depth)
            elif kind == "file_descriptor":
                fd = self.text(child)
            elif kind == "pipeline":
                after.append(Pipeline(tuple(self.statements(child, depth + 1))))
            elif kind.endswith("_redirect"):
                found, arguments = self.redirect(child, depth)
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
        raw = self.text(node)
        if literal:
            return Word(raw, raw)
        if "\\" in raw.replace("\\$", "").replace("\\\\", "").replace("\\`", "") and "\\\n" in raw:
            raise Differs("continues a line inside a here-document")
        self._all_seen(node)
        return self.quoted(node, node.start_byte, node.end_byte, depth, raw)

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
        self.spans.seen.add(node.start_byte)
        name, value = node.child_by_field_name("name"), node.child_by_field_name("value")
        if name is None:
            raise Differs("has an assignment without a name")
        inner: list[Node] = []
        if name.type == "subscript":
            for leaf in descend(name):
                if leaf.type in EXPANSIONS:
                    raise Differs("assigns to a computed subscript")
        if value is None:
            words: list[Word] = []
        elif value.type == "array":
            self.spans.free.append((value.start_byte, value.end_byte))
            words = [word for child in value.named_children for word in self.words(child, depth)]
        else:
            words = self.words(value, depth)
        for word in words:
            inner += word.inner
        text = " ".join(word.text for word in words)
        return Assignment(self.text(name), Word(text, self.text(node), inner=tuple(inner)))
