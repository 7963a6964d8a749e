"""SQL as its client and server will cut it: statements, client commands, no comments, harmless literals. Pure.

Theory of operation. Whoever cuts SQL otherwise than the server does can be shown one thing and run another: a comment
that is none (`1--1` in MySQL), a quote behind a backslash, a line `.version; DROP …` in the middle of a statement. So
the text is cut here by each dialect's own rules before sqlglot sees it, and what reaches sqlglot leaves no room for
another opinion: comments are gone, each literal holds plain characters only. Where versions or settings of a server
disagree (`\\'` under NO_BACKSLASH_ESCAPES or standard_conforming_strings, nested comments in unknown dialects), and
where something does not end, the text is not followed: `Unfollowed`.

Rules: psqlscan.l of PostgreSQL 15, "mysql Client Commands" and "Comments" of the MySQL 8.0 manual, shell.c of SQLite.
"""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass

SIMPLE = re.compile(r"[^\w %.,:/()=*+@<>-]")
"""What a literal loses before sqlglot sees it."""
_TAG = re.compile(r"\$(?:[A-Za-z_]\w*)?\$", re.ASCII)
_PREFIX = re.compile(r"(?:[eEnNbBxX]|[uU]&|_utf8(?:mb4)?\s?)$")


class Unfollowed(Exception):
    """The text cannot be cut with certainty; says why."""


@dataclass(frozen=True, slots=True)
class Piece:
    """One statement, or one command to the client."""

    text: str
    client: bool = False


def pieces(text: str, language: str) -> list[Piece]:
    """The statements and client commands of a text; `language` as in sql.py. Raises Unfollowed."""
    return list(_pieces(text, language))


@functools.lru_cache(maxsize=16)  # two ask for the same one after the other; the longest has 20,000 characters
def _pieces(text: str, language: str) -> tuple[Piece, ...]:
    if "\r" in text:
        raise Unfollowed("a carriage return")
    scan = _Scan(text, language)
    while scan.at < len(text):
        scan.step()
    scan.end()
    return tuple(scan.found)


class _Scan:
    """One pass over the text."""

    def __init__(self, text: str, language: str) -> None:
        self.text, self.language, self.at = text, language, 0
        self.found: list[Piece] = []
        self.out: list[str] = []
        """The statement so far."""

    def end(self) -> None:
        """A statement ends here."""
        statement = "".join(self.out)
        if statement.strip():
            self.found.append(Piece(statement))
        self.out = []

    def step(self) -> None:
        """One mark of the text."""
        char = self.text[self.at]
        if char == ";":
            self.at += 1
            self.end()
        elif self._client(char) or self._comment(char):
            pass
        elif char in "'\"`" or (char == "[" and self.language == "sqlite"):
            self._quoted(char)
        elif char == "$" and self._dollar():
            pass
        else:
            self._plain(char)

    def _plain(self, char: str) -> None:
        known = char.isalnum() or char in "\n\t" or (char.isascii() and char.isprintable())
        if not known or char in "{}\\":
            raise Unfollowed("a character that servers read differently")
        before = self.text[self.at - 1 : self.at]
        after = self.text[self.at + 1 : self.at + 2]
        if char == ":" and self.language == "psql" and before != ":" and re.match(r"[^\W\d]|['\"{]", after):
            raise Unfollowed("a variable of the client")
        self.out.append(char)
        self.at += 1

    # ------------------------------------------------------------------ what the client takes for itself

    def _client(self, char: str) -> bool:
        """A command to the client stands here; it takes the rest of its line."""
        fresh = not "".join(self.out).strip()
        line_start = not self.text[self.text.rfind("\n", 0, self.at) + 1 : self.at].strip()
        if self.language == "sqlite":
            return char == "." and fresh and line_start and self._line()
        if char != "\\":
            return False
        if self.language == "psql":
            if self.text.startswith("\\;", self.at):
                self.at += 2
                self.end()
                return True
            self.end()
            return self._line()
        if self.language == "mysql" and self.text[self.at + 1 : self.at + 2] in ("g", "G"):
            self.at += 2
            self.end()
            return True
        if self.language == "mysql":
            self.end()
            self.found.append(Piece(self.text[self.at : self.at + 2], client=True))
            self.at += 2
            return True
        raise Unfollowed("a backslash outside quotes")

    def _line(self) -> bool:
        end = self.text.find("\n", self.at)
        end = len(self.text) if end < 0 else end
        self.found.append(Piece(self.text[self.at : end].strip(), client=True))
        self.at = end
        return True

    # ------------------------------------------------------------------ comments

    def _comment(self, char: str) -> bool:
        text, at, language = self.text, self.at, self.language
        if text.startswith("--", at):
            after = text[at + 2 : at + 3]
            if language in ("mysql", "ansi") and after and not after.isspace():
                if language == "ansi":
                    raise Unfollowed("a comment that not every server takes for one")
                self.out.append("- ")
                self.at += 1
                return True
            return self._to_line_end()
        if char == "#" and language == "mysql":
            return self._to_line_end()
        if char == "#" and language == "ansi":
            raise Unfollowed("a comment that not every server takes for one")
        if not text.startswith("/*", at):
            return False
        if text[at + 2 : at + 3] in ("!", "+", "M", "m"):
            raise Unfollowed("SQL in a comment that some servers run")
        return self._block()

    def _to_line_end(self) -> bool:
        end = self.text.find("\n", self.at)
        self.at = len(self.text) if end < 0 else end
        self.out.append(" ")
        return True

    def _block(self) -> bool:
        end = self.text.find("*/", self.at + 2)
        if end < 0 or "/*" in self.text[self.at + 2 : end]:
            raise Unfollowed("a comment inside a comment, or without an end")
        self.at = end + 2
        self.out.append(" ")
        return True

    # ------------------------------------------------------------------ literals

    def _quoted(self, opening: str) -> None:
        if opening == "`" and self.language == "psql":
            raise Unfollowed("a backtick")
        closing = "]" if opening == "[" else opening
        escapes = False
        if opening == "'":
            escapes = self._prefix()
        start = self.at = self.at + 1
        text = self.text
        while self.at < len(text):
            char = text[self.at]
            if char == "\\" and opening != "[" and self.language != "sqlite":
                self._backslash(escapes)
            elif char == closing and closing != "]" and text.startswith(closing, self.at + 1):
                self.at += 2
            elif char == closing:
                inside = SIMPLE.sub("_", text[start : self.at])
                quote = "'" if opening == "'" else '"' if self.language != "mysql" else opening
                self.out.append(f"{quote}{inside}{quote}")
                self.at += 1
                return
            else:
                self.at += 1
        raise Unfollowed("a quotation without an end")

    def _prefix(self) -> bool:
        """Takes `E`, `N`, `U&` … in front of a literal away; whether backslashes escape in it."""
        before = "".join(self.out)
        match = _PREFIX.search(before)
        if match is None or re.search(r"[\w$]$", before[: match.start()]):
            if self.language == "ansi" and re.search(r"\w$", before):
                raise Unfollowed("a kind of literal that is not known")
            return False
        self.out = [before[: match.start()] + " "]
        return match[0] in ("e", "E") and self.language == "psql"

    def _backslash(self, escapes: bool) -> None:
        if self.language == "ansi":
            raise Unfollowed("a backslash in a literal")
        text = self.text
        run = len(text) - self.at - len(text[self.at :].lstrip("\\"))
        self.at += run
        if run % 2 and text[self.at : self.at + 1] in ("'", '"', "`"):
            if not escapes:
                raise Unfollowed("a quote behind a backslash")
            self.at += 1

    def _dollar(self) -> bool:
        """`$tag$ … $tag$` (PostgreSQL, section 4.1.2.4)."""
        tag = _TAG.match(self.text, self.at)
        if tag is None:
            return False
        if self.language != "psql" or re.search(r"[\w$]$", self.text[: self.at]):
            raise Unfollowed("dollar signs that servers read differently")
        end = self.text.find(tag[0], tag.end())
        if end < 0:
            raise Unfollowed("a quotation without an end")
        self.out.append("'" + SIMPLE.sub("_", self.text[tag.end() : end]) + "'")
        self.at = end + len(tag[0])
        return True
