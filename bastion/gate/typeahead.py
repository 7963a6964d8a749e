"""What an agent typed before anybody could act on it; and, where there is no terminal, its lines. Pure.

Type-ahead stays bytes until it is its turn: what they mean depends on what happens meanwhile (a line of the shell, a
line for a program). Only the keys that interrupt are seen at once, as a terminal's line discipline has it, and they
throw away what was typed before them (termios(3), NOFLSH off).
"""

from __future__ import annotations

from bastion.gate.line import Entered, Fed, Pressed

TYPE_AHEAD_LIMIT = 65_536
"""Bytes kept. A tty's queue has 4,096 (N_TTY_BUF_SIZE); agents paste scripts. With a terminal what is more is refused
with a bell; without one the agent's channel is not read any more."""


class TypeAhead:
    """A queue of bytes."""

    def __init__(self) -> None:
        self._bytes = bytearray()

    def __len__(self) -> int:
        return len(self._bytes)

    @property
    def full(self) -> bool:
        """Nothing more should come."""
        return len(self._bytes) >= TYPE_AHEAD_LIMIT

    def add(self, data: bytes) -> bool:
        """Append; False where something did not fit, and was dropped."""
        room = TYPE_AHEAD_LIMIT - len(self._bytes)
        self._bytes += data[: max(0, room)]
        return len(data) <= room

    def keep(self, data: bytes) -> None:
        """Append whatever it is: what is under way when reading was stopped, at most a window."""
        self._bytes += data

    def put_back(self, data: bytes) -> None:
        """In front of what is there."""
        self._bytes[:0] = data

    def take(self) -> bytes:
        """All of it."""
        data = bytes(self._bytes)
        self._bytes.clear()
        return data

    def clear(self) -> None:
        """Throw it away."""
        self._bytes.clear()


class Script:
    """Lines of stdin without a terminal: bytes as they are, each line up to its newline; no echo, no keys.

    Stands where an Editor does. Text is bytes with surrogateescape, so that every byte comes out as it came in.
    """

    def __init__(self) -> None:
        self._line = bytearray()

    @property
    def unfinished(self) -> int:
        """Bytes of the line that has no end yet."""
        return len(self._line)

    @property
    def text(self) -> str:
        """Of the line that has no end yet."""
        return self._line.decode("utf-8", "surrogateescape")

    def feed(self, data: bytes) -> Fed:
        """Take bytes up to the first line's end."""
        head, newline, rest = data.partition(b"\n")
        self._line += head
        typed: Entered | Pressed | None = None
        if newline:
            typed = Entered(self.text)
            self._line.clear()
        return Fed(b"", typed, rest)
