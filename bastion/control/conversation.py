"""One connection to a daemon, from the tools' side: calls and their answers, and pushes.

Theory of operation. A Conversation owns one Link and one task, which reads: an answer wakes the call that waits for its
id, a push goes into a bounded queue. When the stream ends, for whatever reason, every waiting call and every reader of
`pushes` gets Unreachable, and so does whoever comes later: it is used once, a reconnection makes a new one.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterator
from typing import Self, TypeVar

import asyncssh
import msgspec

from bastion.control import wire
from bastion.control.endpoints import Link
from bastion.control.lines import LineReader, abort
from bastion.errors import BastionError, Unreachable, UsageError
from bastion.oserrors import in_words

CALL_SECONDS = 60.0
"""For one answer. The slowest call, check-target, may take several times the 10 s of its connection."""

PUSH_LIMIT = 8192
"""Pushes that nobody has taken yet. Eight times what the daemon queues: past it this client is at fault."""

HANG_UP_SECONDS = 2.0
"""For closing in good order; then the connection is cut."""

NAME = "agent-bastion"
"""What `hello` says of the client; for the daemon's log only."""

T = TypeVar("T")


class Conversation:
    """Made of a link on which the daemon has greeted; ended with `close`, or as an async context manager."""

    def __init__(self, link: Link, welcome: wire.Welcome, lines: LineReader, name: str) -> None:
        self.welcome = welcome
        """Who the daemon takes us for, the ledger's origin and its newest checkpoint."""
        self._link = link
        self._name = name
        self._lines = lines
        self._next_id = 1
        self._waiting: dict[int, asyncio.Future[msgspec.Raw]] = {}
        self._pushes: deque[wire.Push] = deque()
        self._news = asyncio.Event()
        self._sending = asyncio.Lock()
        self._lost = ""
        """Why the connection is no more; empty while it is."""
        self._task = asyncio.get_running_loop().create_task(self._read(), name="control client")

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """End the connection. Waiting calls get Unreachable."""
        self._lose("closed")
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task
        await hang_up(self._link)

    # --- calls --------------------------------------------------------------------------------------------------

    async def call(
        self, call_type: type[wire.Call], result_type: type[T], /, *, seconds: float = CALL_SECONDS, **fields: object
    ) -> T:
        """Make one call and wait for its answer, at most `seconds`.

        `result_type` is what the call's docstring names (types.NoneType for null). Raises the bastion.errors class
        that the daemon failed with; Unreachable when the connection is lost or nothing comes in time; UsageError
        when the call does not fit a message.
        """
        call_id, self._next_id = self._next_id, self._next_id + 1
        try:
            data = wire.encode(call_type(id=call_id, **fields))
        except (wire.WireError, UnicodeEncodeError) as error:
            raise UsageError(f"this cannot be sent: {error}") from None
        future: asyncio.Future[msgspec.Raw] = asyncio.get_running_loop().create_future()
        self._waiting[call_id] = future
        try:
            async with asyncio.timeout(seconds):
                await self._send(data)
                raw = await future
        except TimeoutError:
            raise Unreachable(f"{self._name} did not answer within {seconds:.0f} s") from None
        finally:
            self._waiting.pop(call_id, None)
        try:
            result: T = wire.convert(raw, result_type)
        except wire.WireError as error:
            raise Unreachable(f"{self._name} answered with something else: {error}") from None
        return result

    async def pushes(self) -> AsyncIterator[wire.Push]:
        """What the daemon pushes after `subscribe` and `watch-session`, as it comes; for one reader at a time.

        Never ends by itself: raises Unreachable when the connection is lost.
        """
        while True:
            while self._pushes:
                yield self._pushes.popleft()
            if self._lost:
                raise self._unreachable()
            self._news.clear()
            await self._news.wait()

    # --- the stream ---------------------------------------------------------------------------------------------

    async def _send(self, data: bytes) -> None:
        async with self._sending:
            if self._lost:
                raise self._unreachable()
            try:
                self._link.writer.write(data)
                await self._link.writer.drain()
            except (OSError, asyncssh.Error) as error:
                self._lose(in_words(error))
                raise self._unreachable() from None

    async def _read(self) -> None:
        try:
            while True:
                line = await self._lines.next()
                if line is None:
                    self._lose("it closed the connection")
                    return
                match wire.decode_answer(line):
                    case wire.Reply() as reply:
                        self._settle(reply.id, reply.result, None)
                    case wire.Failed(id=None) as failed:
                        self._lose(failed.message)
                        return
                    case wire.Failed(id=call_id) as failed:
                        self._settle(call_id, None, wire.failure(failed))
                    case wire.Welcome():
                        self._lose("it sent a second welcome")
                        return
                    case push:
                        if len(self._pushes) >= PUSH_LIMIT:
                            self._lose("this program does not keep up with what is pushed")
                            return
                        self._pushes.append(push)
                        self._news.set()
        except wire.WireError as error:
            self._lose(f"it sent no message of this protocol: {error}")
        except (OSError, EOFError, asyncssh.Error) as error:
            self._lose(in_words(error))
        finally:
            self._lose("the reader ended")
            abort(self._link.writer)

    def _settle(self, call_id: int | None, result: msgspec.Raw | None, error: BastionError | None) -> None:
        future = self._waiting.get(call_id) if call_id is not None else None
        if future is None or future.done():
            return  # its caller has given up
        if error is not None:
            future.set_exception(error)
        elif result is not None:
            future.set_result(result)

    def _lose(self, why: str) -> None:
        """Note that the connection is no more; the first reason stays."""
        if self._lost:
            return
        self._lost = why
        for future in self._waiting.values():
            if not future.done():
                future.set_exception(self._unreachable())
        self._news.set()

    def _unreachable(self) -> Unreachable:
        return Unreachable(f"lost the connection to {self._name}: {self._lost}")


async def greet(link: Link, lines: LineReader, name: str) -> wire.Welcome:
    try:
        async with asyncio.timeout(CALL_SECONDS):
            link.writer.write(wire.encode(wire.Hello(wire.VERSION, NAME)))
            await link.writer.drain()
            line = await lines.next()
        answer = wire.decode_answer(line) if line is not None else None
    except wire.WireError as error:
        raise Unreachable(f"{name} does not speak the control protocol: {error}") from None
    except (OSError, EOFError, asyncssh.Error) as error:
        raise Unreachable(f"{name} did not greet: {in_words(error)}") from None
    match answer:
        case wire.Welcome(version=wire.VERSION):
            return answer
        case wire.Failed():
            raise wire.failure(answer)
        case None:
            raise Unreachable(f"{name} closed the connection")
        case _:
            raise Unreachable(f"{name} does not speak the control protocol")


async def hang_up(link: Link) -> None:
    try:
        async with asyncio.timeout(HANG_UP_SECONDS):
            await link.hang_up()
    except TimeoutError:
        abort(link.writer)
