"""A network between two programs that can be cut: a relay of TCP on loopback."""

from __future__ import annotations

import asyncio
import contextlib


class Relay:
    """Listens, and passes bytes on to another port, until it is told not to."""

    def __init__(self, port: int, delay: float = 0) -> None:
        """`delay`: seconds that everything takes each way."""
        self._to, self._delay = port, delay
        self._open = asyncio.Event()
        self._open.set()
        self._pairs: set[tuple[asyncio.StreamWriter, asyncio.StreamWriter]] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None
        self.port = 0
        self.taken = 0
        """Connections so far."""

    async def __aenter__(self) -> Relay:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *exc: object) -> None:
        assert self._server is not None
        self._server.close()
        self.heal()
        while self._tasks:
            self.cut()
            await asyncio.wait(self._tasks, timeout=0.1)
            self._tasks = {task for task in self._tasks if not task.done()}

    @property
    def open(self) -> int:
        """Connections at this moment."""
        return len(self._pairs)

    def swallow(self) -> None:
        """From now on nothing arrives, and nobody is told: a black hole."""
        self._open.clear()

    def heal(self) -> None:
        """What was sent meanwhile arrives, and what comes."""
        self._open.set()

    def cut(self) -> None:
        """All connections end, with a reset."""
        for pair in self._pairs:
            for writer in pair:
                writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self.taken += 1
        try:
            there, back = await asyncio.open_connection("127.0.0.1", self._to)
        except OSError:
            writer.transport.abort()
            return
        pair = (writer, back)
        self._pairs.add(pair)
        try:
            await asyncio.gather(self._pass(reader, back), self._pass(there, writer))
        finally:
            self._pairs.discard(pair)
            for each in pair:
                each.transport.abort()

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(1 << 16):
                await self._open.wait()
                if self._delay:
                    await asyncio.sleep(self._delay)
                writer.write(data)
                await writer.drain()
            await self._open.wait()
            writer.write_eof()
