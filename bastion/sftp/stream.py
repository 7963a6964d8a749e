"""Bytes of a client as they come, taken as lines, statuses and content: nothing is read ahead that is not kept here."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

READ_BLOCK = 256 << 10
"""Bytes that are taken at once."""


class Lost(Exception):
    """The client ended where it had more to say, or said what cannot be followed; the text says which."""


class Stream:
    """`read` gives at most so many bytes, none at the end."""

    def __init__(self, read: Callable[[int], Awaitable[bytes]]) -> None:
        self._read = read
        self._kept = b""

    async def some(self, most: int) -> bytes:
        """What there is, at most so many bytes; none at the end."""
        data, self._kept = self._kept or await self._read(min(most, READ_BLOCK)), b""
        self._kept = data[most:]
        return data[:most]

    async def line(self, limit: int) -> bytes | None:
        """The next line without its end; None when the client ended before it. Raises Lost for half a line, and for one
        that is longer."""
        line = b""
        while b"\n" not in line:
            more = await self.some(limit + 1 - len(line))
            if not more and line:
                raise Lost("the client ended in the middle of a line")
            if not more:
                return None
            line += more
            if b"\n" not in line and len(line) > limit:
                raise Lost(f"the client sent a line of more than {limit} bytes")
        line, _, rest = line.partition(b"\n")
        self._kept = rest + self._kept
        return line

    async def status(self, limit: int) -> bytes | None:
        """What is wrong, in the other end's words; None where it is fine. Raises Lost."""
        sign = await self.some(1)
        if sign == b"\0":
            return None
        if sign not in (b"\1", b"\2"):
            raise Lost("the client ended, or answered with what is no status" if sign else "the client ended")
        return await self.line(limit) or b""
