"""The daemon's end of the control protocol: transport only. What a call means is `control.calls`' business.

Theory of operation. One `ControlServer` serves any number of byte streams: those of the local unix socket, which it
accepts itself, and those of the SSH subsystem, which ssh/session.py hands to `serve` with the caller it authenticated.

Each connection has one reader (the body of `serve`), one task per call in flight and one task for pushes. Everything
is written under one lock, and a call keeps its place until its answer is written: a client that does not read is not
read from either (back-pressure), and never makes the daemon buffer more than CALLS_IN_FLIGHT answers and PUSH_LIMIT
pushes.

A call that has begun is never cancelled because its client went away: its handler may be between the ledger and
memory. So calls belong to the server, not to the connection, and only `close` cancels them, after CLOSE_SECONDS.

The unix socket is the host administrator's door: mode 0600 in a state directory of mode 0700, and the peer must be
root or the daemon's own user (SO_PEERCRED). Not protected against: root, and other processes of the same user.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
import stat
import struct
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncssh

from bastion.control import wire
from bastion.control.lines import ByteReader, ByteWriter, LineReader, abort
from bastion.errors import BastionError, Conflict, UsageError
from bastion.model import Role

CONNECTIONS = 64
"""Control connections at once. A person has a TUI and a command or two; sshd's MaxStartups ends at 100."""

CONNECTIONS_EACH = 16
"""Of them, for one caller: a runaway script of one approver does not lock out the others."""

CALLS_IN_FLIGHT = 16
"""Calls of one connection at work; the next waits unread. HTTP/2 servers allow 100, whose calls are far smaller."""

PUSH_LIMIT = 4096
"""Pushes waiting for one client: every held request and open session of a full bastion, twice. Past it the client is
cut, reconnects and starts from the present."""

OUTPUT_LIMIT = 16 << 20
"""Bytes of a watched session's output among them: a command can put out faster than its watcher's network takes it."""

HELLO_SECONDS = 10.0
"""From connecting to `hello`: a silent connection holds no place for longer."""

WRITE_SECONDS = 60.0
"""A client that takes no byte for so long is cut: it would hold its place and its pushes for ever. TCP's own
retransmission gives up after a quarter of an hour."""

CLOSE_SECONDS = 5.0
"""What calls in flight get to finish when the daemon stops."""

SOCKET_PATH_LIMIT = 107
"""Bytes of a unix socket's path: sun_path has 108 with its NUL (unix(7))."""

BACKLOG = 16
"""Connections that the kernel queues."""

log = logging.getLogger("bastion.control")


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


Handle = Callable[[wire.AnyCall, "Connection"], Awaitable[object]]
"""Answers one call: returns the result type that the call names, or raises BastionError."""


GONE = (
    OSError,
    EOFError,
    asyncssh.Error,
    asyncssh.BreakReceived,
    asyncssh.SignalReceived,
    asyncssh.TerminalSizeChanged,
)
"""What a stream raises when its other end is gone, or (over SSH) sends what no control client sends."""


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

    async def _next_push(self) -> wire.Push | None:
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

    def _close(self) -> None:
        self.closed = True
        self._pushes.clear()
        callbacks, self._closing = self._closing, []
        for callback in callbacks:
            try:
                callback()
            except Exception:
                log.exception("closing the control connection of %s", self.caller.name)


class ControlServer:
    """Serves the control protocol on the local socket and on any stream handed in. See the theory of operation."""

    def __init__(self, handle: Handle, welcome: Callable[[Caller], wire.Welcome]) -> None:
        self._handle = handle
        self._welcome = welcome
        self._callers: Counter[str] = Counter()
        self._lines: set[_Line] = set()
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
        door = _bind(path)
        self._socket = (path, os.stat(path).st_ino)
        self._listener = await asyncio.start_unix_server(self._accept, sock=door, backlog=BACKLOG)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        uid = _peer_uid(writer)
        if uid not in (0, os.geteuid()):
            log.warning("control socket: refused a process of uid %d", uid)
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
        line = _Line(writer)
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
        except Exception:
            log.exception("control connection of %s", caller.name)
        finally:
            connection._close()
            self._callers -= Counter([caller.name])
            self._lines.discard(line)
            line.end()

    async def _converse(self, lines: LineReader, line: _Line, connection: Connection) -> None:
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
        pushing = self._spawn(self._serving, _push(line, connection), name)
        try:
            await self._read_calls(lines, line, connection, places)
        finally:
            pushing.cancel()

    async def _read_calls(
        self, lines: LineReader, line: _Line, connection: Connection, places: asyncio.Semaphore
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

    async def _answer(self, call: wire.AnyCall, connection: Connection, line: _Line) -> None:
        answer: wire.Reply | wire.Failed
        try:
            answer = wire.reply(call.id, await self._handle(call, connection))
        except BastionError as error:
            answer = wire.failed(call.id, error)
        except Exception:
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


class _Line:
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


async def _push(line: _Line, connection: Connection) -> None:
    while not line.broken:
        message = await connection._next_push()
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


def _bind(path: Path) -> socket.socket:
    """A bound socket that nobody can connect to yet: `listen` comes after its mode is right."""
    if len(os.fsencode(path)) > SOCKET_PATH_LIMIT:
        raise UsageError(
            f"the path of the control socket is too long: {path}",
            f"at most {SOCKET_PATH_LIMIT} bytes: choose a shorter state directory",
        )
    mode = stat.S_IMODE(path.parent.stat().st_mode)
    if mode & 0o077:
        raise UsageError(f"{path.parent} is open to others (mode {mode:o})", f"chmod 700 {path.parent}")
    if path.is_socket():
        if _listening(path):
            raise Conflict(f"a daemon already listens on {path}", "stop it first, or use another state directory")
        path.unlink()
    door = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        door.setblocking(False)
        door.bind(str(path))
        path.chmod(0o600)
    except OSError as error:
        door.close()
        raise UsageError(f"cannot make the control socket {path}: {error.strerror}") from None
    return door


def _listening(path: Path) -> bool:
    """Whether somebody accepts there. Only a clear refusal says no: a full backlog or a foreign owner is a yes."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        try:
            probe.connect(str(path))
        except (ConnectionRefusedError, FileNotFoundError):
            return False
        except OSError:
            return True
        return True


def _peer_uid(writer: asyncio.StreamWriter) -> int:
    """User id of the process at the other end; -1 when the kernel does not say."""
    try:
        raw = writer.get_extra_info("socket").getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
    except OSError:
        return -1
    _, uid, _ = struct.unpack("3i", raw)
    return int(uid)
