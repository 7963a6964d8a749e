"""One client of the control protocol, as the daemon has it: who it is, what is pushed to it, and how it is written to.

Theory of operation. Pushes are queued here and written by a task of their own (`push`), answers by whoever answers,
each message whole, under one lock (`Line`). Nothing here waits for a client but its own writers: one that takes no byte
for WRITE_SECONDS, or that is PUSH_LIMIT messages behind, is cut; it comes again and starts from the present.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import asyncssh

from bastion.control import wire
from bastion.control.lines import ByteWriter, abort
from bastion.model import Role

PUSH_LIMIT = 4096
"""Pushes waiting for one client: every held request and open session of a full bastion, twice. Past it the client is
cut, reconnects and starts from the present."""

OUTPUT_LIMIT = 16 << 20
"""Bytes of a watched session's output among them: a command can put out faster than its watcher's network takes it."""

WRITE_SECONDS = 60.0
"""A client that takes no byte for so long is cut: it would hold its place and its pushes for ever. TCP's own
retransmission gives up after a quarter of an hour."""

log = logging.getLogger("bastion.control")


GONE = (
    OSError,
    EOFError,
    asyncssh.Error,
    asyncssh.BreakReceived,
    asyncssh.SignalReceived,
    asyncssh.TerminalSizeChanged,
)
"""What a stream raises when its other end is gone, or (over SSH) sends what no control client sends."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Who is at the other end."""

    name: str
    """An identity's name, or `local:UID`."""
    roles: frozenset[Role]
    local: bool = False
    uid: int = -1
    """Of a local caller's process."""
    way: str = ""
    """`console`: the console that the daemon serves itself (ssh/console.py); empty: a client of their own."""


class Connection:
    """One client, as a call's handler sees it."""

    def __init__(self, caller: Caller) -> None:
        self.caller = caller
        self.closed = False
        self._closing: list[Callable[[], None]] = []
        self._pushes: deque[wire.Push] = deque()
        self._output = 0
        self._wake = asyncio.Event()
        self._overflow = False

    def push(self, message: wire.Push) -> None:
        """Queue a message for the client. Never blocks and never raises; a client that is too far behind is cut."""
        if self.closed or self._overflow:
            return
        if isinstance(message, wire.SessionOutput):
            self._output += len(message.frame.data)
        if len(self._pushes) >= PUSH_LIMIT or self._output > OUTPUT_LIMIT:
            self._overflow = True
            self._pushes.clear()
        else:
            self._pushes.append(message)
        self._wake.set()

    def on_close(self, callback: Callable[[], None]) -> None:
        """Have `callback` called once when the client is gone; at once if it is gone already."""
        if self.closed:
            callback()
        else:
            self._closing.append(callback)

    async def next_push(self) -> wire.Push | None:
        """The next message to send; None when the client is too far behind."""
        while not self._pushes and not self._overflow:
            self._wake.clear()
            await self._wake.wait()
        if self._overflow:
            return None
        message = self._pushes.popleft()
        if isinstance(message, wire.SessionOutput):
            self._output -= len(message.frame.data)
        return message

    def close(self) -> None:
        """The client is gone."""
        self.closed = True
        self._pushes.clear()
        callbacks, self._closing = self._closing, []
        for callback in callbacks:
            try:
                callback()
            except Exception:  # whatever one fails with, the others are called: they take back what the client held
                log.exception("closing the control connection of %s", self.caller.name)


class Line:
    """The writing half of a connection: whole messages, one at a time; silent once the client is gone."""

    def __init__(self, writer: ByteWriter) -> None:
        self._writer = writer
        self._lock = asyncio.Lock()
        self.broken = False

    async def send(self, message: wire.Welcome | wire.Reply | wire.Failed | wire.Push) -> None:
        """Write a message and wait until the client keeps up. Raises WireError if it is too long."""
        data = wire.encode(message)
        async with self._lock:
            if self.broken:
                return
            try:
                async with asyncio.timeout(WRITE_SECONDS):
                    self._writer.write(data)
                    await self._writer.drain()
            except GONE:
                self.broken = True
                abort(self._writer)  # not close: that would wait for the other end to read

    async def refuse(self, error: str, message: str, hint: str, call_id: int | None = None) -> None:
        """Say no."""
        await self.send(wire.Failed(id=call_id, error=error, message=message[:1000], hint=hint))

    def end(self) -> None:
        """Close the stream, so that its reader ends too."""
        self.broken = True
        with contextlib.suppress(*GONE):
            self._writer.close()


async def push(line: Line, connection: Connection) -> None:
    while not line.broken:
        message = await connection.next_push()
        if message is None:
            log.warning("control client of %s is too far behind: cut", connection.caller.name)
            await line.refuse("Unreachable", "too far behind: reconnect", "")
            line.end()
            return
        try:
            await line.send(message)
        except wire.WireError:
            log.exception("push to %s", connection.caller.name)
            line.end()
            return
