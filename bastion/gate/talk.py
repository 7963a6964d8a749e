"""What an agent has said to the program that runs, as far as it can be judged: its statements. Pure.

A line for psql is SQL. It is judged together with the lines before it that belong to the same statement, since the
program will run them together; once nobody can tell where a statement ends, nothing is judged any more.
"""

from __future__ import annotations

from collections.abc import Callable

from bastion.model import UNRATED, Assessment
from bastion.policy.repl import repl_of
from bastion.policy.statement import Standing, standing

JUDGED = frozenset({"bash", "psql", "mysql", "sqlite", "redis", "mongo"})
"""Languages that risk.assess knows."""


class Talk:
    """With the program of one command."""

    def __init__(self, command: bytes) -> None:
        repl = repl_of(command)
        self._language = repl.language if repl is not None else None
        self._statement = b""

    def assess(self, line: bytes, assess: Callable[..., Assessment]) -> Assessment:
        """What this line would do, as the rest of the statement that it belongs to."""
        if self._language is None or self._language.value not in JUDGED:
            return UNRATED
        return assess(self._statement + line, language=self._language.value)

    def interrupted(self) -> None:
        """A control key was sent. In the middle of a statement nobody knows what it left of it: psql throws away what
        it has, so that the line after `select '` and ^C is a statement of its own, and not the rest of a string."""
        if self._statement:
            self.lost()

    def lost(self) -> None:
        """Nobody knows any more where the program is: keys passed that nobody read."""
        self._language = None

    def said(self, line: bytes) -> None:
        """It was sent."""
        if self._language is None:
            return
        self._statement += line
        match standing(self._language, self._statement):
            case Standing.COMPLETE:
                self._statement = b""
            case Standing.UNKNOWN:
                self._language = None
