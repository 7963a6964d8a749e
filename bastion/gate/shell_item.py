"""An item while it is entered: lines until the shell's grammar has a whole command, with the comments before it. Pure.

A comment belongs to the command behind it (`# reason: …`), so lines of nothing but comments are kept for that. One item
is one `eval`: where the reading here is wrong, the shell says so, and nothing is ever split.
"""

from __future__ import annotations

from bastion.policy.complete import Reader

ITEM_LIMIT = 65_536
"""Bytes of one item, as of type-ahead: what was pasted in one go."""


class Item:
    """Lines and comments so far."""

    def __init__(self) -> None:
        self._reader = Reader()
        self._lines: list[str] = []
        self._comments: list[str] = []
        self.size = 0
        """Bytes of both, kept beside them: many short lines must not be added up for each."""

    @property
    def begun(self) -> bool:
        """There are lines that are no whole command yet."""
        return bool(self._lines)

    def add(self, text: str) -> bool:
        """What was entered; whether more has to come."""
        more = False
        for line in text.split("\n"):
            self._lines.append(line)
            self.size += _size(line)
            more = bool(self._reader.open(line))
        return more

    def take(self) -> str | None:
        """The whole item, and begin anew; None where there is no command yet, but comments for the next."""
        lines = [line.strip() for line in self._lines]
        if all(not line or line.startswith("#") for line in lines):
            self._comments += [line for line in self._lines if line.strip()]
            self.size -= sum(_size(line) for line in self._lines if not line.strip())
            self._lines, self._reader = [], Reader()
            return None
        item = "\n".join([*self._comments, *self._lines])
        self.forget()
        return item

    def forget(self) -> None:
        """Begin anew."""
        self._lines, self._comments, self.size, self._reader = [], [], 0, Reader()


def _size(line: str) -> int:
    """Bytes of a line and its end."""
    return len(line.encode("utf-8", "surrogateescape")) + 1
