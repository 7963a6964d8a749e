"""Lines off a byte stream, bounded: the framing of the control protocol, for both ends and both transports.

asyncio.StreamReader and asyncssh.SSHReader disagree on how a line limit is set and on what happens past it, so that
only `read` is used of either.
"""

from __future__ import annotations

from typing import Protocol

from bastion.control.wire import LINE_LIMIT, WireError

CHUNK = 1 << 16
"""Bytes asked for at once."""


class ByteReader(Protocol):
    """What asyncio.StreamReader and an asyncssh.SSHReader without encoding have in common."""

    async def read(self, n: int = -1, /) -> bytes:
        """Up to `n` bytes; empty at the end."""


class ByteWriter(Protocol):
    """What asyncio.StreamWriter and asyncssh.SSHWriter have in common."""

    def write(self, data: bytes, /) -> None:
        """Queue bytes."""

    async def drain(self) -> None:
        """Wait until the other end keeps up."""

    def close(self) -> None:
        """Send what is queued, then end."""


class LineReader:
    """Lines of one stream, without their newline."""

    def __init__(self, reader: ByteReader, limit: int = LINE_LIMIT) -> None:
        self._reader = reader
        self._limit = limit
        self._rest = bytearray()
        self._seen = 0
        """Bytes of `_rest` that are known to hold no newline, so that a long line is not searched again and again."""

    async def next(self) -> bytes | None:
        """The next line; None at the end, where a partial line is dropped.

        Raises WireError when a line, its newline included, has more than `limit` bytes; OSError as the stream does.
        """
        while True:
            at = self._rest.find(b"\n", self._seen)
            if at >= self._limit or (at < 0 and len(self._rest) >= self._limit):
                raise WireError(f"a line of more than {self._limit} bytes")
            if at >= 0:
                line = bytes(self._rest[:at])
                del self._rest[: at + 1]
                self._seen = 0
                return line
            self._seen = len(self._rest)
            data = await self._reader.read(CHUNK)
            if not data:
                return None
            self._rest += data


def abort(writer: ByteWriter) -> None:
    """End the stream now, dropping what the other end has not taken."""
    transport = getattr(writer, "transport", None) or getattr(writer, "channel", None)
    if transport is None:
        writer.close()
    else:
        transport.abort()
