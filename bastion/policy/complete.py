"""Whether a command that comes line by line is whole, or the shell would ask for more. Pure.

Theory of operation. A reader goes over the text once and keeps a stack of what is open: quotes, substitutions,
compound commands, here-documents. Each line costs its own length, however long the whole is by then. That is why this
is not tree-sitter's tree: the grammar mends broken input by guessing, gives the same ERROR for `echo 'a` and `echo )`,
and would have to read everything again for each line.

It is a convenience and decides nothing. One item is one `eval` on the target: what is sent too early gives a syntax
error, what is sent too late waits for ^C; neither makes a command out of anything that was not approved. So what this
reader does not understand counts as whole, and the shell says what is wrong with it.

Grammar: POSIX.1-2024 XCU 2.3, 2.4, 2.10; bash(1) COMPOUND COMMANDS. Compared with `bash -n` in the tests.
Not known: aliases, `shopt -s extglob` patterns with unbalanced quotes, `[[ a =~ ( ]]`.
"""

from __future__ import annotations

import re
from collections import deque

DEPTH_LIMIT = 200
"""Constructs inside each other; beyond that the text counts as whole."""

_BLANK = " \t"
_PLAIN = re.compile(r"[^ \t\n'\"\\`$(){};&|<>#\[\]]+")
_DOUBLE = re.compile(r"[^\"\\`$]+")
_OPERATOR = re.compile(r"<<<|<<-|<<|>>|<&|>&|>\||<>|&>>|&>|<\(|>\(|[<>]")
_DELIMITER = re.compile(r"(?:\\.|'[^'\n]*'|\"[^\"\n]*\"|[^ \t\n;&|<>()'\"\\])+", re.DOTALL)

OPENERS = {"if": "fi", "while": "done", "until": "done", "for": "done", "select": "done", "case": "esac", "{": "}"}
"""Reserved words that begin a compound command, and the word that ends it."""
FOLLOWED = frozenset({"if", "while", "until", "then", "else", "elif", "do", "{", "!", "time", "coproc"})
"""Reserved words behind which a command begins."""
CLOSERS = frozenset(OPENERS.values())

REASONS = {
    "'": "a quote", '"': "a quote", "$'": "a quote", "`": "a backquote", "(": "a parenthesis", "$(": "a substitution",
    "=(": "a parenthesis", "${": "an expansion", "((": "arithmetic", "[[": "a condition", "fi": "if without fi",
    "done": "a loop without done", "esac": "case without esac", "}": "a brace",
}  # fmt: skip
"""What is open, for a person, by its mark on the stack."""


class Reader:
    """Reads one item line by line; each line without its newline."""

    def __init__(self) -> None:
        self._stack: list[str] = []
        self._patterns: list[bool] = []
        """For each `case` on the stack: its next word is a pattern."""
        self._bodies: deque[tuple[str, bool]] = deque()
        """Here-documents whose text has not begun: (delimiter, leading tabs go)."""
        self._body: tuple[str, bool] | None = None
        self._start = True
        """A command can begin here."""
        self._wants = ""
        """What has to follow: behind an operator, behind the head of a function."""
        self._in = ""
        """Behind `case`, `for` or `function`: that word, until `in` or a name came."""
        self._broken = False
        """Not understood: whole, as far as this reader goes."""

    def open(self, line: str) -> str:
        """Take one line; what is open behind it, in words, or "" when the item is whole."""
        if self._body is not None:
            self._here_line(line)
        else:
            self._read(line + "\n")
        return self._reason()

    def _reason(self) -> str:
        if self._broken or len(self._stack) > DEPTH_LIMIT:
            return ""
        if self._body is not None:
            return f"a here-document until {self._body[0]}"
        return REASONS[self._stack[-1]] if self._stack else self._wants

    def _here_line(self, line: str) -> None:
        assert self._body is not None  # noqa: S101 -- the caller looked
        delimiter, tabs = self._body
        if (line.lstrip("\t") if tabs else line) == delimiter:
            self._body = self._bodies.popleft() if self._bodies else None

    # --- one line ---------------------------------------------------------------------------------------------------

    def _read(self, text: str) -> None:
        at = 0
        if self._wants == "a continued line":
            self._wants = ""
        while at < len(text) and not self._broken and len(self._stack) <= DEPTH_LIMIT:
            top = self._stack[-1] if self._stack else ""
            match top:
                case "'":
                    at = self._until(text, at, "'", escapes=False)
                case "$'":
                    at = self._until(text, at, "'", escapes=True)
                case "`":
                    at = self._until(text, at, "`", escapes=True)
                case '"':
                    at = self._double(text, at)
                case "${":
                    at = self._expansion(text, at)
                case "((":
                    at = self._arithmetic(text, at)
                case "[[":
                    at = self._condition(text, at)
                case _:
                    at = self._command(text, at)

    def _until(self, text: str, at: int, end: str, *, escapes: bool) -> int:
        while at < len(text):
            char = text[at]
            if char == "\\" and escapes:
                at += 2
            elif char == end:
                self._stack.pop()
                return at + 1
            else:
                at += 1
        return len(text)

    def _dollar(self, text: str, at: int, *, quoted: bool) -> int:
        """At a `$`: push what it begins."""
        if text.startswith("$((", at):
            self._stack.append("((")
            return at + 3
        for mark in ("$(", "${", "$'"):
            if text.startswith(mark, at) and not (mark == "$'" and quoted):
                self._stack.append(mark)
                if mark == "$(":
                    self._start = True
                return at + 2
        return at + 1

    def _double(self, text: str, at: int) -> int:
        match text[at]:
            case '"':
                self._stack.pop()
                return at + 1
            case "\\":
                return at + 2
            case "`":
                self._stack.append("`")
                return at + 1
            case "$":
                return self._dollar(text, at, quoted=True)
        run = _DOUBLE.match(text, at)
        return run.end() if run else at + 1

    def _quoting(self, text: str, at: int) -> int:
        """A quote, an escape or a substitution at `at`: its end or inside; 0 if there is none."""
        char = text[at]
        if char == "\\":
            return at + 2
        if char == "$":
            return self._dollar(text, at, quoted=False)
        if char in "'\"`":
            self._stack.append(char)
            return at + 1
        return 0

    def _expansion(self, text: str, at: int) -> int:
        if text[at] == "}":
            self._stack.pop()
            return at + 1
        return self._quoting(text, at) or at + 1  # in "${x:-it's}" bash sees a quote, too

    def _arithmetic(self, text: str, at: int) -> int:
        if text[at] == "(":
            self._stack.append("=(")
            return at + 1
        if text.startswith("))", at):
            self._stack.pop()
            self._start = self._start and not self._stack
            return at + 2
        return self._quoting(text, at) or at + 1

    def _condition(self, text: str, at: int) -> int:
        if text.startswith("]]", at) and text[at - 1 : at] in ("", " ", "\t", "\n"):
            self._stack.pop()
            self._start = True
            return at + 2
        return self._quoting(text, at) or at + 1

    # --- where commands stand ---------------------------------------------------------------------------------------

    def _command(self, text: str, at: int) -> int:
        char = text[at]
        plain = "=(" in self._stack[-1:]
        if char == "\n":
            self._newline()
            return at + 1
        if text.startswith("\\\n", at):
            self._wants = "a continued line"
            return at + 2
        if char in _BLANK:
            return at + 1
        if char == "#" and (at == 0 or text[at - 1] in " \t;&|()\n"):
            return len(text) - 1
        if char == "(":
            return self._parenthesis(text, at)
        if char == ")":
            return self._close_parenthesis(at)
        if plain:
            return self._quoting(text, at) or at + 1
        if text.startswith(";;", at) or (text.startswith(";&", at)):
            return self._next_pattern(text, at)
        if char in ";&|" and not text.startswith("&>", at):
            two = text[at : at + 2] in ("&&", "||", "|&")
            pipe = char == "|" or text.startswith("&&", at)
            self._start, self._in = True, ""
            self._wants = "a command behind the operator" if pipe and not self._matching() else ""
            return at + 2 if two else at + 1
        if char in "<>&":
            return self._redirect(text, at)
        return self._word(text, at)

    def _matching(self) -> bool:
        """The next word is a pattern of a `case`."""
        return bool(self._stack and self._stack[-1] == "esac" and self._patterns[-1])

    def _newline(self) -> None:
        if self._wants == "a continued line":
            self._wants = ""
        if self._bodies:
            self._body = self._bodies.popleft()
        if self._in != "case":
            self._start, self._in = True, ""

    def _parenthesis(self, text: str, at: int) -> int:
        if text.startswith("((", at) and self._start and not self._matching():
            self._stack.append("((")
            self._start, self._wants = False, ""
            return at + 2
        if self._in == "for":
            self._stack.append("((" if text.startswith("((", at) else "(")
            self._in = ""
            return at + (2 if text.startswith("((", at) else 1)
        if self._matching():
            return at + 1  # in front of a pattern
        after = text[at + 1 :].lstrip(_BLANK)
        if after.startswith(")"):  # NAME ()
            self._start, self._wants = True, "the body of a function"
            return len(text) - len(after) + 1
        if self._start:
            self._stack.append("(")
            self._wants = ""
            return at + 1
        self._stack.append("=(")
        return at + 1

    def _close_parenthesis(self, at: int) -> int:
        if self._matching():
            self._patterns[-1], self._start = False, True
        elif self._stack and self._stack[-1] in ("(", "$(", "=("):
            closed = self._stack.pop()
            self._start = closed == "("
            self._wants = ""
        else:
            self._broken = True
        return at + 1

    def _next_pattern(self, text: str, at: int) -> int:
        if not self._stack or self._stack[-1] != "esac":
            self._broken = True
            return at + 2
        self._patterns[-1], self._start = True, True
        return at + (3 if text.startswith(";;&", at) else 2)

    def _redirect(self, text: str, at: int) -> int:
        operator = _OPERATOR.match(text, at)
        if operator is None:
            return at + 1
        end = operator.end()
        if operator[0] in ("<(", ">("):
            self._stack.append("$(")
            self._start = True
        elif operator[0] in ("<<", "<<-"):
            while end < len(text) and text[end] in _BLANK:
                end += 1
            word = _DELIMITER.match(text, end)
            if word is None:
                self._broken = True
                return len(text)
            self._bodies.append((_unquoted(word[0]), operator[0] == "<<-"))
            return word.end()
        elif operator[0] != "<<<":  # its word is none that begins a command
            while end < len(text) and text[end] in _BLANK:
                end += 1
            run = _PLAIN.match(text, end)
            end = run.end() if run else end
        return end

    def _word(self, text: str, at: int) -> int:
        """A word: a reserved one where a command can begin, else any."""
        begin, start = at, self._start
        if start and text.startswith("[[", at) and text[at + 2 : at + 3] in (" ", "\t", "\n"):
            self._stack.append("[[")
            self._wants = ""
            return at + 2
        run = _PLAIN.match(text, at)
        at = run.end() if run else at
        if run is None:
            at = self._quoting(text, at) or at + 1
        word = text[begin:at]
        whole = at >= len(text) or text[at] in " \t\n;&|()<>"
        if self._in == "function":  # its name
            self._start, self._in = True, ""
            return at
        if whole and self._in in ("case", "for") and word == "in":
            self._begin_list()
        elif whole and start and self._reserved(word):
            pass
        else:  # behind an assignment, too, no word is a reserved one
            self._start, self._wants = self._matching(), ""
        return at

    def _begin_list(self) -> None:
        if self._in == "case":
            self._patterns[-1], self._start = True, True
        self._in = ""

    def _reserved(self, word: str) -> bool:
        """Whether it was a reserved word, which is taken into account."""
        if self._matching():
            if word != "esac":
                return False
            self._close(word)
            return True
        if word in CLOSERS:
            self._close(word)
            return True
        if word in OPENERS:
            self._stack.append(OPENERS[word])
            if word == "case":
                self._patterns.append(False)
            self._in = word if word in ("case", "for", "select") else ""
            self._in = "for" if word == "select" else self._in
            self._start, self._wants = word in FOLLOWED, ""
            return True
        if word == "function":
            self._start, self._wants = False, "the body of a function"
            self._in = "function"
            return True
        if word in FOLLOWED:
            self._wants = ""
            return True
        return False

    def _close(self, word: str) -> None:
        if not self._stack or self._stack[-1] != word:
            self._broken = True
            return
        self._stack.pop()
        if word == "esac":
            self._patterns.pop()
        self._start, self._wants, self._in = True, "", ""


def _unquoted(word: str) -> str:
    return re.sub(r"\\(.)|['\"]", lambda found: found[1] or "", word, flags=re.DOTALL)


def what_is_open(text: str) -> str:
    """What is open at the end of `text`, in words; "" when it is whole."""
    reader = Reader()
    reason = ""
    for line in text.split("\n"):
        reason = reader.open(line)
    return reason
