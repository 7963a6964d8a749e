"""A second reading of a command line: where words begin and end by the shell's own quoting rules. Pure.

Theory of operation. `shell.py` takes its structure from tree-sitter's bash grammar, which is an editor's grammar: it
guesses where the shell does not (it reads `> out -delete` as one redirection and splits `r\\<newline>m`). A guess that
differs from the shell's reading is a way to hide a command. So the words of the tree are compared with this lexer,
which knows quoting, substitution, comments and here-documents and no grammar at all (POSIX.1-2024 XCU 2.3, bash(1)
DEFINITIONS). Where the two differ, the line is not judged: it is Unparsed, and so held.

It is deliberately small: whatever it does not know (extended globs, `case` inside `$(…)`) raises `Differs`.
"""

from __future__ import annotations

import re

BLANK = frozenset(b" \t")
META = frozenset(b"|&;()<>\n")
DEPTH_LIMIT = 40
"""Nested substitutions; people write two or three."""

_OPERATOR = re.compile(rb"&>>|&>|<<-|<<<|<<|>>|<&|>&|>\||<>|[<>]|&&|\|\||\|&|;;&|;;|;&|[|&;()]")
_REDIRECTS = frozenset((b"&>>", b"&>", b"<<-", b"<<<", b"<<", b">>", b"<&", b">&", b">|", b"<>", b"<", b">"))
_DESCRIPTOR = re.compile(rb"\d+(?=[<>])")
_PLAIN = re.compile(rb"[^ \t\n|&;()<>'\"`$\\]+")
_DOUBLE = re.compile(rb"[^\"`$\\]+")
_SINGLE = re.compile(rb"[^']*'")
_ANSI_C = re.compile(rb"(?:[^'\\]|\\.)*'", re.DOTALL)


class Differs(Exception):
    """This line cannot be read in one certain way; the message says why, for a person."""


class Lexer:
    """Words of one command line; after `read`, `words` maps the start of each word to its end and what is before it.

    `after[start]` is True where a control operator, a newline or the beginning precedes the word: a place where a
    command can begin. Redirections in between are looked through. `depth[start]` counts the substitutions round it.
    """

    def __init__(self, source: bytes) -> None:
        self.source = source
        self.words: dict[int, int] = {}
        self.after: dict[int, bool] = {}
        self.depth: dict[int, int] = {}
        self.targets: dict[int, bytes] = {}
        """Words behind an operator of redirection, with that operator."""
        self._heredocs: list[tuple[bytes, bool]] = []
        self._backquoted = False
        self._texts: set[bytes] = set()

    def read(self) -> None:
        """Reads everything. Raises Differs."""
        end = self._list(0, b"", 0)
        if end != len(self.source):
            raise Differs("has a closing parenthesis too many")
        if self._heredocs:
            raise Differs("has a here-document without an end")

    def only_words(self, at: int, end: int) -> bool:
        """Whether nothing but words and blanks stands there: no operator, redirection, newline or comment."""
        while at < end:
            if at in self.words:
                at = self.words[at]
            elif self.source[at] in BLANK:
                at += 1
            elif self.source.startswith(b"\\\n", at):
                at += 2
            else:
                return False
        return at == end

    def _list(self, at: int, closing: bytes, depth: int) -> int:  # noqa: PLR0912, PLR0915 - one loop, a case a byte
        """Words and operators up to `closing` (nothing: the end); returns the place of `closing`."""
        if depth > DEPTH_LIMIT:
            raise Differs("is nested too deeply")
        source, size = self.source, len(self.source)
        parentheses = 0
        start, target = True, b""
        while at < size:
            byte = source[at]
            if byte in BLANK:
                at += 1
            elif source.startswith(b"\\\n", at):
                at += 2
            elif target and (byte == 0x0A or (byte in META and not source.startswith((b"<(", b">("), at))):
                raise Differs("has a redirection without a destination")
            elif byte == 0x0A:
                at = self._bodies(at + 1)
                start = True
            elif byte == 0x23:
                stop = source.find(b"\n", at)
                at = size if stop < 0 else stop
            elif closing and source[at : at + 1] == closing and not parentheses:
                return at
            elif byte in META:
                if source.startswith((b"<(", b">("), at):
                    at = self._take(at, start, target, depth)
                    start, target = start and bool(target), b""
                    continue
                operator = _OPERATOR.match(source, at)
                if operator is None:
                    raise Differs("holds an operator that is not known")
                sign, at = operator[0], operator.end()
                if sign in _REDIRECTS:
                    target = sign
                    continue
                if sign[:2] in (b";;", b";&") and b"case" not in self._texts:
                    raise Differs("has a case's end without a case")
                parentheses += (sign == b"(") - (sign == b")")
                if parentheses < 0 and sign == b")":
                    parentheses = 0  # the end of a case pattern
                    if depth:
                        raise Differs("uses case inside a substitution")
                start, target = True, b""
            else:
                descriptor = _DESCRIPTOR.match(source, at)
                if descriptor and target:
                    raise Differs("has a redirection without a destination")
                if descriptor:
                    at = descriptor.end()
                    continue
                if byte == 0x60 and self._backquoted:
                    raise Differs("nests backquotes")
                begin = at
                at = self._take(at, start, target, depth)
                word = source[begin:at]
                if target in (b"<<", b"<<-"):
                    self._heredocs.append((_unquoted(word), target == b"<<-"))
                start, target = start and bool(target), b""
        if closing:
            raise Differs("has a substitution without an end")
        return at

    def _take(self, at: int, start: bool, target: bytes, depth: int) -> int:
        end = self._word(at, depth)
        if target:
            self.targets[at] = target
        self.words[at] = end
        self.after[at] = start and not target
        self.depth[at] = depth
        self._texts.add(self.source[at:end])
        return end

    def _word(self, at: int, depth: int) -> int:
        source, size = self.source, len(self.source)
        if source.startswith((b"<(", b">("), at):
            at = self._close(at + 2, b")", depth)
        while at < size:
            byte = source[at]
            if byte in BLANK or byte in META or (byte == 0x60 and self._backquoted):
                return at
            if byte == 0x27:
                at = self._match(_SINGLE, at + 1)
            elif byte == 0x22:
                at = self._double(at + 1, depth)
            elif byte == 0x5C:
                at += 2
            elif byte == 0x60:
                at = self._close(at + 1, b"`", depth)
            elif byte == 0x24:
                at = self._dollar(at, depth, quoted=False)
            else:
                plain = _PLAIN.match(source, at)
                at = plain.end() if plain else at + 1
        if at > size:
            raise Differs("ends in a backslash")
        return at

    def _match(self, pattern: re.Pattern[bytes], at: int) -> int:
        found = pattern.match(self.source, at)
        if found is None:
            raise Differs("has a quote without an end")
        return found.end()

    def _close(self, at: int, closing: bytes, depth: int) -> int:
        if closing == b"`":
            if self._backquoted:
                raise Differs("nests backquotes")
            self._backquoted = True
        inner = self._list(at, closing, depth + 1)
        if closing == b"`":
            self._backquoted = False
            if b"\\" in self.source[at:inner]:
                raise Differs("has backslashes inside backquotes")
        return inner + 1

    def _double(self, at: int, depth: int) -> int:
        source, size = self.source, len(self.source)
        while at < size:
            byte = source[at]
            if byte == 0x22:
                return at + 1
            if byte == 0x5C:
                at += 2
            elif byte == 0x60:
                at = self._close(at + 1, b"`", depth)
            elif byte == 0x24:
                at = self._dollar(at, depth, quoted=True)
            else:
                at = self._match(_DOUBLE, at)
        raise Differs("has a quote without an end")

    def _dollar(self, at: int, depth: int, *, quoted: bool) -> int:
        source = self.source
        following = source[at + 1 : at + 2]
        if source.startswith(b"$((", at):
            return self._arithmetic(at + 3, depth)
        if following == b"(":
            return self._close(at + 2, b")", depth)
        if following == b"{":
            return self._braces(at + 2, depth)
        if following == b"[":
            raise Differs("uses the obsolete $[…]")
        if following == b"'" and not quoted:
            return self._match(_ANSI_C, at + 2)
        return at + 1

    def _arithmetic(self, at: int, depth: int) -> int:
        """To the end of `$((…))`; anything quoted or nested deeper than parentheses is left to a person."""
        source, size, parentheses = self.source, len(self.source), 0
        while at < size:
            byte = source[at]
            if byte in b"'\"`\\":
                raise Differs("quotes inside arithmetic")
            if byte == 0x24 and source[at + 1 : at + 2] in (b"(", b"{"):
                at = self._dollar(at, depth + 1, quoted=True)
                continue
            if byte == 0x29 and not parentheses:
                if source[at + 1 : at + 2] != b")":
                    raise Differs("has $(( that is not arithmetic")
                return at + 2
            parentheses += (byte == 0x28) - (byte == 0x29)
            at += 1
        raise Differs("has arithmetic without an end")

    def _braces(self, at: int, depth: int) -> int:
        """To the end of `${…}`."""
        if depth > DEPTH_LIMIT:
            raise Differs("is nested too deeply")
        source, size = self.source, len(self.source)
        while at < size:
            byte = source[at]
            if byte == 0x7D:
                return at + 1
            if byte == 0x27:
                raise Differs("quotes inside ${…}")
            if byte == 0x22:
                at = self._double(at + 1, depth + 1)
            elif byte == 0x5C:
                at += 2
            elif byte == 0x60:
                at = self._close(at + 1, b"`", depth)
            elif byte == 0x24:
                at = self._dollar(at, depth + 1, quoted=True)
            else:
                at += 1
        raise Differs("has ${ without an end")

    def _bodies(self, at: int) -> int:
        """Skips the here-documents that begin after this newline."""
        for delimiter, strip in self._heredocs:
            while True:
                if at >= len(self.source):
                    raise Differs("has a here-document without an end")
                stop = self.source.find(b"\n", at)
                stop = len(self.source) if stop < 0 else stop
                line = self.source[at:stop]
                at = stop + 1
                if (line.lstrip(b"\t") if strip else line) == delimiter:
                    break
        self._heredocs = []
        return min(at, len(self.source))


def _unquoted(word: bytes) -> bytes:
    """The delimiter of a here-document after quote removal."""
    if re.fullmatch(rb"\w+", word):
        return word
    if re.fullmatch(rb"'[^'\\]*'|\"[^\"\\$`]*\"", word):
        return word[1:-1]
    if re.fullmatch(rb"\\\w+", word):
        return word[1:]
    raise Differs("has an unusual here-document delimiter")
