"""A governed shell on a real sshd, without a bastion round it: the driver, and somebody who listens."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TypeVar

import asyncssh
import pytest

from bastion.gate import driver
from bastion.gate import shell_events as ev
from bastion.ssh.driver import Driver
from bastion.ssh.driver_channels import Terminal
from tests.support.ports import until
from tests.support.sshd import LOGIN, Sshd

Event = TypeVar("Event")
SCREEN = Terminal("xterm-256color", 100, 30)


def plain_home(work: Path, extra: str = "") -> Sshd:
    """A target whose accounts have an empty home: what the start-up files of this machine do is not under test, and a
    shell that is killed in the middle of them must leave nothing behind."""
    home = work / "home"
    home.mkdir(parents=True)
    return Sshd(work, extra=f"SetEnv HOME={home}\n{extra}")


class Governed:
    """A listener that keeps everything, and short words for what tests do."""

    def __init__(self) -> None:
        self.events: list[ev.FromDriver] = []
        self.text = bytearray()
        self.errors = bytearray()
        self.flows = True
        self.driver: Driver
        self._count = 0

    def tell(self, event: ev.FromDriver) -> None:
        self.events.append(event)

    def output(self, kind: str, data: bytes) -> None:
        (self.text if kind == "output" else self.errors).extend(data)

    def writable(self, yes: bool) -> None:
        self.flows = yes

    def of(self, kind: type[Event]) -> list[Event]:
        return [event for event in self.events if isinstance(event, kind)]

    @property
    def failed(self) -> ev.DriverFailed | None:
        """How it ended, if it has."""
        return next(iter(self.of(ev.DriverFailed)), None)

    @property
    def cwd(self) -> str:
        return self.of(ev.CommandDone)[-1].cwd

    async def begin(self, command: str | bytes) -> str:
        """Start a command; its nonce, once it has begun."""
        self._count += 1
        nonce = f"n{self._count}"
        await self.driver.run(nonce, command.encode() if isinstance(command, str) else command)
        await until(lambda: self.failed or ev.CommandBegan(nonce) in self.events, f"{command!r} begins")
        return nonce

    async def finished(self, nonce: str) -> int | None:
        """Its status; None when the shell is gone instead."""
        done = lambda: [event for event in self.of(ev.CommandDone) if event.nonce == nonce]  # noqa: E731
        await until(lambda: self.failed or done(), f"{nonce} ends")
        return done()[0].status if done() else None

    async def run(self, command: str | bytes) -> tuple[int | None, bytes]:
        """Run a command: its status and what it put out."""
        self.text.clear()
        self.errors.clear()
        status = await self.finished(await self.begin(command))
        return status, bytes(self.text)

    async def has_given_the_terminal(self) -> None:
        """Wait until a program has the terminal, and not the shell itself: a key that interrupts while the shell is
        about to start one is for the shell, which then waits for the program all the same."""
        await until(self._given, "a program has the terminal")

    def _given(self) -> bool:
        assert self.driver._made is not None
        stat = Path(f"/proc/{self.driver._made.pid}/stat").read_text().rpartition(")")[2].split()
        group, foreground = stat[2], stat[5]  # proc(5): fields 5 and 8
        return group != foreground

    async def says(self, text: bytes) -> None:
        """Wait until the output has it."""
        await until(lambda: text in self.text or self.failed, f"{text!r} is put out")
        assert text in self.text, (bytes(self.text), self.failed)


async def connect(sshd: Sshd, login: str = LOGIN) -> asyncssh.SSHClientConnection:
    """A connection as the bastion makes one."""
    return await asyncssh.connect(
        "127.0.0.1",
        sshd.port,
        username=login,
        client_keys=[str(sshd.credential)],
        known_hosts=None,
        config=None,
        agent_path=None,
    )


@asynccontextmanager
async def governed(
    sshd: Sshd, login: str = LOGIN, *, terminal: Terminal | None = SCREEN, ready: bool = True
) -> AsyncIterator[Governed]:
    """A governed shell that is ready (or has failed, with ready=False)."""
    connection = await connect(sshd, login)
    shell = Governed()
    shell.driver = Driver(connection, shell, terminal=terminal)
    try:
        await shell.driver.start()
        assert not ready or shell.of(ev.DriverReady), shell.events
        yield shell
    finally:
        async with asyncio.timeout(20):
            await shell.driver.close()
        connection.abort()
        await connection.wait_closed()


def posix(monkeypatch: pytest.MonkeyPatch, program: str) -> None:
    """Have the target run this POSIX shell, as one without bash would; `bash` changes nothing."""
    if program != "bash":
        text = driver.TTY.replace("s=$(command -v bash)", "s=").replace("exec /bin/sh", f"exec {program}")
        assert text != driver.TTY
        monkeypatch.setattr(driver, "TTY", text)
