"""A real client program as an agent drives it: on a pseudo-terminal of its own, or on pipes. Bytes go in as they are,
and what comes out is kept; on a terminal it is also drawn, so that a test sees what the agent sees."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import pty
import re
import signal
import struct
import termios
from collections.abc import Callable, Sequence

from recorder.screen import Screen
from tests.support.ports import PATIENCE

DRAWN = 1 << 17
"""Bytes of the newest output that are drawn at once."""
ENVIRONMENT = {"PATH": os.environ["PATH"], "LANG": "C.UTF-8"}


class Client:
    """A program and what it wrote. `start` makes one; `close` ends it, whatever state it is in."""

    def __init__(self, columns: int, rows: int) -> None:
        self.output, self.errors = bytearray(), bytearray()
        self.status: int | None = None
        self.screen = Screen(columns, rows)
        self._drawn = 0
        self._master = -1
        self._process: asyncio.subprocess.Process
        self._waiting = bytearray()
        self._news = asyncio.Event()
        self._readers: list[asyncio.Task[None]] = []

    @classmethod
    async def start(
        cls,
        command: Sequence[str | bytes],
        *,
        terminal: bool,
        columns: int = 100,
        rows: int = 30,
        term: str = "xterm-256color",
        home: str = "/nonexistent",
    ) -> Client:
        """Run `command` with the terminal as its controlling one, or with pipes."""
        made = cls(columns, rows)
        environment = {**ENVIRONMENT, "HOME": home, "TERM": term}
        if not terminal:
            made._process = await asyncio.create_subprocess_exec(
                *command, stdin=-1, stdout=-1, stderr=-1, env=environment, start_new_session=True
            )
            made._readers = [
                asyncio.create_task(made._drain(made._process.stdout, made.output)),
                asyncio.create_task(made._drain(made._process.stderr, made.errors)),
            ]
        else:
            made._master, slave = pty.openpty()
            made.resize(columns, rows)
            made._process = await asyncio.create_subprocess_exec(
                *command, stdin=slave, stdout=slave, stderr=slave, env=environment, preexec_fn=_take_terminal
            )
            os.close(slave)
            os.set_blocking(made._master, False)
            asyncio.get_running_loop().add_reader(made._master, made._read)
        made._readers.append(asyncio.create_task(made._wait()))
        return made

    async def _drain(self, stream: asyncio.StreamReader | None, into: bytearray) -> None:
        assert stream is not None
        while data := await stream.read(1 << 16):
            into += data
            self._news.set()

    async def _wait(self) -> None:
        status = await self._process.wait()
        for reader in self._readers[:-1]:
            await reader
        self.status = status
        self._news.set()

    def _read(self) -> None:
        try:
            data = os.read(self._master, 1 << 16)
        except OSError:  # EIO: nobody has the other end any more
            data = b""
        if not data:
            asyncio.get_running_loop().remove_reader(self._master)
        self.output += data
        self._news.set()

    def send(self, data: bytes) -> None:
        """Type, or write to stdin; returns at once."""
        if self._master < 0:
            assert self._process.stdin is not None
            with contextlib.suppress(ConnectionError):
                self._process.stdin.write(data)
            return
        self._waiting += data
        asyncio.get_running_loop().add_writer(self._master, self._write)

    def _write(self) -> None:
        try:
            del self._waiting[: os.write(self._master, self._waiting)]
        except BlockingIOError:
            return
        except OSError:
            self._waiting.clear()
        if not self._waiting:
            asyncio.get_running_loop().remove_writer(self._master)

    def end_input(self) -> None:
        """EOF on stdin, for a client on pipes."""
        assert self._process.stdin is not None
        self._process.stdin.close()

    def resize(self, columns: int, rows: int) -> None:
        """The window has another size; the kernel tells the client."""
        self._draw()
        self.screen.resize(min(columns, 500) or 80, min(rows, 200) or 24)
        fcntl.ioctl(self._master, termios.TIOCSWINSZ, struct.pack("HHHH", rows % 65536, columns % 65536, 0, 0))

    def signal(self, number: signal.Signals) -> None:
        """Signal the client itself."""
        if self._process.returncode is None:
            self._process.send_signal(number)

    @property
    def pid(self) -> int:
        """Of the client."""
        return self._process.pid

    @property
    def text(self) -> str:
        """What the agent sees: the screen, or all that came on both pipes."""
        if self._master < 0:
            return bytes(self.output + self.errors).decode(errors="replace")
        self._draw()
        return "\n".join(self.screen.text())

    def _draw(self) -> None:
        """Only when somebody looks: a screen takes half a megabyte a second, and only its end is seen."""
        self.screen.feed(bytes(self.output[max(self._drawn, len(self.output) - DRAWN) :]))
        self._drawn = len(self.output)

    async def until(self, condition: Callable[[], object], what: str, patience: float = PATIENCE) -> None:
        """Return once it holds; AssertionError with the screen otherwise."""
        loop = asyncio.get_running_loop()
        end = loop.time() + patience
        while not condition():
            self._news.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(min(0.05, max(0.0, end - loop.time()))):
                    await self._news.wait()
            assert condition() or loop.time() < end, f"{what}: not within {patience} s\n{self.text}\n{self.status=}"

    async def sees(self, pattern: bytes, patience: float = PATIENCE) -> re.Match[bytes]:
        """Wait until the output holds the pattern; what was matched before does not count again."""
        expression = re.compile(pattern, re.DOTALL)
        found: list[re.Match[bytes]] = []

        def look() -> bool:
            match = expression.search(bytes(self.output), self._seen)
            found[:] = [match] if match else []
            return bool(match)

        await self.until(look, f"{pattern!r} comes", patience)
        self._seen = found[0].end()
        return found[0]

    _seen = 0

    async def ends(self, patience: float = 30) -> int:
        """Its status, once it has ended."""
        await self.until(lambda: self.status is not None, "the client ends", patience)
        assert self.status is not None
        return self.status

    async def close(self) -> None:
        """End it."""
        if self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
        await asyncio.gather(*self._readers, return_exceptions=True)
        if self._master >= 0:
            loop = asyncio.get_running_loop()
            loop.remove_reader(self._master)
            loop.remove_writer(self._master)
            os.close(self._master)
            self._master = -1


def _take_terminal() -> None:
    os.setsid()
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
