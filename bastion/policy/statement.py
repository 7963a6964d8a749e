"""Where a statement that is typed into a program ends. Pure.

Theory of operation. `standing(language, text)` takes all that was typed since the last statement's end, lines with
their newlines, and says whether the program, once it has read that, waits for a fresh statement:

    COMPLETE  it runs what it got and waits afresh: the next line can be judged by itself
    OPEN      it waits for more of this statement: the line alone would be judged wrong
    UNKNOWN   one of both, or its reading has changed; from here on no line of it can be judged by itself

The error that matters is COMPLETE for what is open: the next line `'; drop table t; --` would then be judged as a
string, and run as a command. So COMPLETE is said only where every version and setting of the program agrees (a quote
behind a backslash depends on a server's setting: UNKNOWN), and not after the program's own commands that can change how
it reads (`\\set`, `delimiter`), or what reads (`\\e`, `.shell`). To call a complete statement OPEN costs the agent a
line more; what is judged is then both lines together, which is what runs.

Not seen: statements that themselves read the terminal (`COPY … FROM STDIN`, `input()`). That is in the statement that
a person approves.
"""

from __future__ import annotations

import codeop
import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto

from bastion.policy.repl import Language, silent

STATEMENT_LIMIT = 65_536
"""Bytes of one statement that are looked at; the cap of what waits in a governed shell. More is UNKNOWN."""

PYTHON_LIMIT = 8_192
"""The same for Python, where the compiler looks: 8 KiB of the nastiest nesting takes 20 ms."""


class Standing(Enum):
    """What the program does once it has read the text."""

    COMPLETE = auto()
    OPEN = auto()
    UNKNOWN = auto()


def standing(language: Language, text: bytes) -> Standing:
    """What the program does once it has read `text`, which begins where a statement can. Never raises."""
    if len(text) > STATEMENT_LIMIT:
        return Standing.UNKNOWN
    try:
        decoded = text.decode()
    except UnicodeDecodeError:
        return Standing.UNKNOWN
    # a TAB completes, other controls edit: what the program gets is then not what was sent
    if any(not char.isprintable() and char != "\n" for char in decoded):
        return Standing.UNKNOWN
    rule = _RULES.get(language)
    return rule(decoded if decoded.endswith("\n") else decoded + "\n") if rule is not None else Standing.UNKNOWN


# --- SQL ----------------------------------------------------------------------------------------------------------


class _Unsure(Exception):
    """The program may be anywhere."""


@dataclass(frozen=True, slots=True)
class _Dialect:
    """How one SQL client reads its input."""

    quotes: dict[str, str]
    """Opening to closing; a closing one that is doubled stands for itself."""
    client: re.Pattern[str]
    """The client's own commands, from where `at_line` allows one: group `end` says that the statement before is sent
    or dropped, group `apart` that it stays. They take the rest of the line."""
    starts: str
    """What a client's command starts with, whether known or not; empty: any word at a statement's start."""
    middle: bool
    """It may stand inside a statement."""
    dollars: bool = False
    """`$tag$ … $tag$` quotes (PostgreSQL, 4.1.2.4)."""
    nested: bool = False
    """`/* … */` nest."""
    hashes: bool = False
    """`#` comments, and `--` does only in front of a blank (MySQL, 11.7)."""
    parentheses: bool = False
    """A `;` inside parentheses ends nothing (psql)."""


_PSQL = _Dialect(
    quotes={"'": "'", '"': '"'},
    client=re.compile(
        r"\\(?:(?P<end>(?:g|gx|gdesc|r|reset|crosstabview)(?=\s*\n))|(?P<apart>q|d[A-Za-z]*[S+]*|l\+?|z|\?|h|timing|x|a|t"
        r"|H|C|p|w|c|connect|conninfo|encoding|echo|qecho|warn|copyright|errverbose|sf\+?|sv\+?|pset)(?!\S))"
        r"[^\\\n`]*\n"
    ),
    starts="\\",
    middle=True,
    dollars=True,
    nested=True,
    parentheses=True,
)
"""psql(1) and its psqlscan.l."""

_MYSQL = _Dialect(
    quotes={"'": "'", '"': '"', "`": "`"},
    client=re.compile(
        r"(?P<end>\\[gGc])|(?P<apart>(?:\\[suqhrwWx#]|use|exit|quit|help|status|warnings|nowarning|rehash|ego|go|print)"
        r"(?![\w]))[^\\\n]*\n",
        re.IGNORECASE,
    ),
    starts="",
    middle=True,
    hashes=True,
)
"""mysql(1), "mysql Client Commands"."""

_SQLITE = _Dialect(
    quotes={"'": "'", '"': '"', "`": "`", "[": "]"},
    client=re.compile(
        r"(?P<end>(?!))|(?P<apart>\.(?:tables|schema|headers|mode|indexes|databases|quit|exit|help|width|nullvalue|timer"
        r"|changes|stats|show|eqp|explain|fullschema|dbinfo|bail|echo|limit)(?!\S))[^\n]*\n"
    ),
    starts=".",
    middle=False,
)
"""sqlite3(1) and its shell.c."""
_MYSQL_NAMES = (
    "charset clear connect delimiter edit ego exit go help nopager notee nowarning pager print prompt query_attributes "
    "quit rehash resetconnection sandbox source ssl_session_data_print status system tee use warnings"
)
_MYSQL_COMMANDS = frozenset(_MYSQL_NAMES.split())
"""Words that the client takes for itself at the start of a statement."""

_WORD = re.compile(r"\w+")
_DOLLAR = re.compile(r"\$(?:[^\W\d]\w*)?\$")


def _sql(dialect: _Dialect) -> Callable[[str], Standing]:
    def rule(text: str) -> Standing:
        try:
            return Standing.OPEN if _Scan(dialect, text).run() else Standing.COMPLETE
        except _Unsure:
            return Standing.UNKNOWN

    return rule


class _Scan:
    """One pass over what was typed. `run` returns whether a statement is open at the end; raises _Unsure."""

    def __init__(self, dialect: _Dialect, text: str) -> None:
        self.dialect, self.text, self.at = dialect, text, 0
        self.words: list[str] = []
        """Of the open statement, lower case; other marks as they are."""
        self.depth = 0

    def run(self) -> bool:
        while self.at < len(self.text):
            if self.text[self.at].isspace():
                self.at += 1
            elif not (self._client() or self._comment() or self._quoted()):
                self._token()
        return bool(self.words)

    def _client(self) -> bool:
        """The client's own command, if one stands here."""
        dialect, text, at = self.dialect, self.text, self.at
        before = text[text.rfind("\n", 0, at) + 1 : at]
        if dialect is _MYSQL:
            word = _WORD.match(text, at)
            named = word is not None and not before.strip() and not self.words and word[0].lower() in _MYSQL_COMMANDS
            if text[at] != "\\" and not named:
                return False
        elif not text.startswith(dialect.starts, at) or not (dialect.middle or not (before or self.words)):
            return False
        if text.startswith("\\;", at) and dialect is _PSQL:  # puts two statements into one
            self.at += 2
            return True
        found = dialect.client.match(text, at)
        if found is None:
            raise _Unsure
        if found["end"]:
            self._end()
        self.at = found.end("end") if found["end"] and dialect is _MYSQL else found.end()
        return True

    def _end(self) -> None:
        self.words, self.depth = [], 0

    def _comment(self) -> bool:
        text, at = self.text, self.at
        dashes = text.startswith("--", at) and (not self.dialect.hashes or text[at + 2].isspace())
        if dashes or (self.dialect.hashes and text[at] == "#"):
            self.at = text.index("\n", at) + 1
            return True
        if not text.startswith("/*", at):
            return False
        if text[at + 2 : at + 4].startswith(("!", "M!", "+")):  # MySQL runs what is inside
            raise _Unsure
        depth, marks = 1, re.compile(r"/\*|\*/" if self.dialect.nested else r"\*/")
        self.at = at + 2
        while depth:
            found = marks.search(text, self.at)
            if found is None:
                self.words.append("/*")
                self.at = len(text)
                return True
            self.at = found.end()
            depth += -1 if found[0] == "*/" else 1
        if self.dialect.hashes:
            self.words.append("/**/")  # the client keeps it, and waits for more
        return True

    def _quoted(self) -> bool:
        text, at = self.text, self.at
        if self.dialect.dollars and (tag := _DOLLAR.match(text, at)):
            end = text.find(tag[0], tag.end())
            self.at = len(text) if end < 0 else end + len(tag[0])
            self.words.append(tag[0])
            return True
        closing = self.dialect.quotes.get(text[at])
        if closing is None:
            return False
        escapes = self.dialect is _PSQL and bool(self.words) and self.words[-1] == "e" and text[at - 1] in "eE"
        self.words.append(text[at])
        self.at += 1
        while self.at < len(text):
            char = text[self.at]
            if char == "\\" and text[at] in "'\"" and self.dialect is not _SQLITE:
                run = len(text) - self.at - len(text[self.at :].lstrip("\\"))
                self.at += run
                if run % 2 and text[self.at] in "'\"":
                    if not escapes:
                        raise _Unsure  # standard_conforming_strings, NO_BACKSLASH_ESCAPES
                    self.at += 1
            elif char == closing:
                self.at += 1
                if not text.startswith(closing, self.at) or closing == "]":
                    return True
                self.at += 1
            else:
                self.at += 1
        return True

    def _token(self) -> None:
        text, at = self.text, self.at
        word = _WORD.match(text, at)
        mark = word[0].lower() if word else text[at]
        self.at += len(mark) if word is None else len(word[0])
        if mark == "$" or (word and text.startswith("$", self.at) and self.dialect.dollars):
            raise _Unsure  # a parameter, or an identifier with a dollar in front of what looks like a quote
        if self.dialect.parentheses:
            if mark == "(":
                self.depth += 1
            elif mark == ")":
                self.depth = max(0, self.depth - 1)
            elif mark == "begin" and "create" in self.words[:1]:
                raise _Unsure  # a body with semicolons of its own
            elif mark == ":" and not text.startswith((":", "="), self.at) and not text.startswith("::", at - 1):
                raise _Unsure  # a variable of psql: what it holds stands here
        if mark != ";" or self.depth:
            self.words.append(mark)
        elif not self._inside_trigger():
            self._end()

    def _inside_trigger(self) -> bool:
        """SQLite: a trigger ends with `;END;` only."""
        words = self.words
        inside = self.dialect is _SQLITE and {"create", "trigger"} <= set(words[:6]) and words[-2:] != [";", "end"]
        if inside:
            words.append(";")
        return inside


# --- others -------------------------------------------------------------------------------------------------------


def _python(text: str) -> Standing:
    """By the compiler that the interactive interpreter uses. What is an error here can be a statement in another
    version of Python, and an open string there, so it is not COMPLETE."""
    if len(text) > PYTHON_LIMIT:
        return Standing.UNKNOWN
    try:
        done = codeop.compile_command(text[:-1], symbol="single") is not None
    except (SyntaxError, ValueError, OverflowError, RecursionError, MemoryError):
        return Standing.UNKNOWN
    return Standing.COMPLETE if done else Standing.OPEN


def _redis(text: str) -> Standing:
    """redis-cli sends each line; one with an open quote is an error of that line."""
    return Standing.COMPLETE if text.count("\n") == 1 else Standing.UNKNOWN


_BC = re.compile(r'(?s)/\*.*?\*/|#[^\n]*|"[^"]*"|(?P<open>/\*|")|(?P<brace>[{}()])|\\\n|(?P<odd>\\)|.')


def _bc(text: str) -> Standing:
    """bc(1): lines, but for comments, strings and braces."""
    depth = 0
    for found in _BC.finditer(text):
        if found["odd"]:
            return Standing.UNKNOWN
        if found["open"]:
            return Standing.OPEN
        depth += {"{": 1, "(": 1, "}": -1, ")": -1}.get(found["brace"] or "", 0)
    if depth < 0:
        return Standing.UNKNOWN
    return Standing.OPEN if depth or text.endswith("\\\n") else Standing.COMPLETE


def _bash(text: str) -> Standing:
    """A line that starts something which may read the terminal is followed by lines for that: `psql`, then
    `ls # ; drop table t;` means another thing to psql than to a shell."""
    return Standing.COMPLETE if silent(text.encode()) else Standing.UNKNOWN


_RULES: dict[Language, Callable[[str], Standing]] = {
    Language.PSQL: _sql(_PSQL),
    Language.MYSQL: _sql(_MYSQL),
    Language.SQLITE: _sql(_SQLITE),
    Language.PYTHON: _python,
    Language.REDIS: _redis,
    Language.BC: _bc,
    Language.BASH: _bash,
}
"""JavaScript, Ruby and PHP have none: where a regular expression or a here-document begins takes a whole parser."""
