"""The daemon's end of the control protocol: transport only. What a call means is `control.calls`' business.

Theory of operation. One `ControlServer` serves any number of byte streams: those of the local unix socket, which it
accepts itself, and those of the SSH subsystem, which ssh/session.py hands to `serve` with the caller it authenticated.

Each connection has one reader (the body of `serve`), one task per call in flight and one task for pushes. Everything
is written under one lock, and a call keeps its place until its answer is written: a client that does not read is not
read from either (back-pressure), and never makes the daemon buffer more than CALLS_IN_FLIGHT answers and PUSH_LIMIT
pushes.

A call that has begun is never cancelled because its client went away: its handler may be between the ledger and
memory. So calls belong to the server, not to the connection, and only `close` cancels them, after CLOSE_SECONDS.

What a connection is made of is connection.py's, the unix socket door.py's.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from typing import Any

from bastion.control import wire
from bastion.control.connection import GONE, Caller, Connection, Line, push
from bastion.control.door import BACKLOG, bind, peer_of
from bastion.control.lines import ByteReader, ByteWriter, LineReader
from bastion.errors import BastionError
from bastion.model import Role

CONNECTIONS = 64
"""Control connections at once. A person has a TUI and a command or two; sshd's MaxStartups ends at 100."""

CONNECTIONS_EACH = 16
"""Of them, for one caller: a runaway script of one approver does not lock out the others."""

CALLS_IN_FLIGHT = 16
"""Calls of one connection at work; the next waits unread. HTTP/2 servers allow 100, whose calls are far smaller."""

HELLO_SECONDS = 10.0
"""From connecting to `hello`: a silent connection holds no place for longer."""

CLOSE_SECONDS = 5.0
"""What calls in flight get to finish when the daemon stops."""

log = logging.getLogger("bastion.control")


Handle = Callable[[wire.AnyCall, "Connection"], Awaitable[object]]
"""Answers one call: returns the result type that the call names, or raises BastionError."""


class ControlServer:
    """Serves the control protocol on the local socket and on any stream handed in. See the theory of operation."""

    def __init__(
        self,
        handle: Handle,
        welcome: Callable[[Caller], wire.Welcome],
        barred: Callable[[int], bool] = lambda pid: False,
    ) -> None:
        """`barred`: whether a process, whoever's it is, has no business at the local socket."""
        self._barred = barred
        self._handle = handle
        self._welcome = welcome
        self._callers: Counter[str] = Counter()
        self._lines: set[Line] = set()
        self._calls: set[asyncio.Task[None]] = set()
        self._serving: set[asyncio.Task[Any]] = set()
        self._listener: asyncio.Server | None = None
        self._socket: tuple[Path, int] | None = None

    # --- the local socket ---------------------------------------------------------------------------------------

    async def listen(self, path: Path) -> None:
        """Serve the local socket at `path`. A dead daemon's socket is replaced, a live one's is not.

        Raises Conflict when another daemon listens there, UsageError when the directory is open to others or the path
        is too long.
        """
        door = bind(path)
        self._socket = (path, os.stat(path).st_ino)
        self._listener = await asyncio.start_unix_server(self._accept, sock=door, backlog=BACKLOG)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        pid, uid = peer_of(writer)
        if uid not in (0, os.geteuid()) or self._barred(pid):
            log.warning("control socket: refused process %d of uid %d", pid, uid)
            writer.close()
            return
        caller = Caller(f"local:{uid}", frozenset(Role), local=True, uid=uid)
        self._spawn(self._serving, self.serve(reader, writer, caller), f"control {caller.name}")

    async def close(self) -> None:
        """Stop listening, end every connection, let calls finish for CLOSE_SECONDS."""
        if self._listener is not None:
            self._listener.close()
        if self._socket is not None:
            path, inode = self._socket
            with contextlib.suppress(OSError):
                if path.stat().st_ino == inode:
                    path.unlink()
            self._socket = None
        if self._calls:
            await asyncio.wait(self._calls, timeout=CLOSE_SECONDS)
        for line in list(self._lines):
            line.end()
        rest = self._calls | self._serving
        for task in rest:
            task.cancel()
        if rest:
            await asyncio.wait(rest)

    # --- one connection -----------------------------------------------------------------------------------------

    async def serve(self, reader: ByteReader, writer: ByteWriter, caller: Caller) -> None:
        """Serve one stream until its end; closes `writer`. Raises nothing but cancellation.

        Over SSH `caller` must be the identity that the connection's key authenticated, and the streams without
        encoding.
        """
        line = Line(writer)
        if self._callers.total() >= CONNECTIONS or self._callers[caller.name] >= CONNECTIONS_EACH:
            await line.refuse("Conflict", "too many control connections", "close another one first")
            line.end()
            return
        self._callers[caller.name] += 1
        self._lines.add(line)
        connection = Connection(caller)
        try:
            await self._converse(LineReader(reader), line, connection)
        except wire.WireError as error:
            await line.refuse("UsageError", f"not the control protocol: {error}", "")
        except GONE:
            pass
        except Exception:  # a fault of ours ends this connection, and no other one nor the daemon
            log.exception("control connection of %s", caller.name)
        finally:
            connection.close()
            self._callers -= Counter([caller.name])
            self._lines.discard(line)
            line.end()

    async def _converse(self, lines: LineReader, line: Line, connection: Connection) -> None:
        try:
            async with asyncio.timeout(HELLO_SECONDS):
                first = await lines.next()
        except TimeoutError:
            raise wire.WireError(f"no hello within {HELLO_SECONDS:.0f} s") from None
        if first is None:
            return
        hello = wire.decode_call(first)
        if not isinstance(hello, wire.Hello):
            raise wire.WireError("the first message is hello")
        if hello.version != wire.VERSION:
            await line.refuse(
                "UsageError",
                f"this bastion speaks version {wire.VERSION} of the control protocol, the client {hello.version}",
                "use the same release on both sides",
            )
            return
        await line.send(self._welcome(connection.caller))
        places = asyncio.Semaphore(CALLS_IN_FLIGHT)
        name = f"control pushes {connection.caller.name}"
        pushing = self._spawn(self._serving, push(line, connection), name)
        try:
            await self._read_calls(lines, line, connection, places)
        finally:
            pushing.cancel()

    async def _read_calls(
        self, lines: LineReader, line: Line, connection: Connection, places: asyncio.Semaphore
    ) -> None:
        while not line.broken:
            await places.acquire()
            data = await lines.next()
            if data is None:
                return
            try:
                call = wire.decode_call(data)
            except wire.WireError as error:
                # An unknown call of a newer client: named, refused, and the connection lives. What has no id cannot
                # be answered, and is no call at all.
                call_id = wire.id_of(data)
                if call_id is None:
                    raise
                places.release()
                await line.refuse("UsageError", f"no such call here: {error}", "", call_id)
                continue
            if isinstance(call, wire.Hello):
                raise wire.WireError("a second hello")
            task = self._spawn(self._calls, self._answer(call, connection, line), f"control call {call.id}")
            task.add_done_callback(lambda _: places.release())

    async def _answer(self, call: wire.AnyCall, connection: Connection, line: Line) -> None:
        answer: wire.Reply | wire.Failed
        try:
            answer = wire.reply(call.id, await self._handle(call, connection))
        except BastionError as error:
            answer = wire.failed(call.id, error)
        except Exception:  # a fault of ours fails this call: its client is answered, and told nothing of the inside
            log.exception("control call %s of %s", type(call).__name__, connection.caller.name)
            answer = wire.Failed(id=call.id, error="BastionError", message="internal error", hint="see the log")
        try:
            await line.send(answer)
        except wire.WireError as error:
            await line.refuse("BastionError", f"the answer does not fit a message: {error}", "ask for less", call.id)

    def _spawn(self, owned: set[asyncio.Task[Any]], work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        """A task with a name, owned by this server until it is done."""
        task = asyncio.get_running_loop().create_task(work, name=name)
        owned.add(task)
        task.add_done_callback(owned.discard)
        return task
