"""A shell as an agent uses it, and the person who approves: by a rule on the exact bytes of each line, never all."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

from tests.bypass.adapter import Adapter, Item
from tests.support.client import Client
from tests.support.ports import PATIENCE

POLL = 0.01


class Shell:
    """One client with a shell. Behind plain ssh, which holds nothing, the same steps show what a test expects."""

    def __init__(self, adapter: Adapter, client: Client) -> None:
        self.adapter, self.client = adapter, client
        self.approved: list[Item] = []

    async def held(self, text: bytes) -> Item:
        """Once exactly this is held."""
        others: list[bytes] = []
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(PATIENCE):
                while True:
                    for item in await self.adapter.held():
                        if item.command == text:
                            return item
                        others.append(item.command)
                    await asyncio.sleep(POLL)
        raise AssertionError(f"{text!r} is not held; held were {set(others)}; the agent sees\n{self.client.text}")

    async def approve(self, text: str, mode: str = "") -> None:
        """Approve exactly this, once it is held. A line that is held as input of a command which ends in this moment is
        taken back, and held anew as a command: then this one is approved."""
        async with asyncio.timeout(2 * PATIENCE):
            while self.adapter.holds:
                item = await self.held(text.encode())
                if await self.adapter.approve(item, mode):
                    self.approved.append(item)
                    return

    async def line(self, text: str, sees: str = "", mode: str = "") -> None:
        """Type a command, of one or more lines, and have it approved; then wait for what it puts out."""
        self.client.send(text.replace("\n", "\r").encode() + b"\r")
        await self.approve(text, mode)
        if sees:
            await self.sees(sees)

    async def sees(self, pattern: str) -> bytes:
        """Wait for what the agent gets next of this form; returns it."""
        return (await self.client.sees(pattern.encode()))[0]

    async def prompted(self) -> None:
        """Wait until the shell asks for a command."""
        await self.client.sees(rb"[#$] (?:\x1b\[[^a-zA-Z]*[a-zA-Z])*\Z")

    def type(self, text: str) -> None:
        """Keys."""
        self.client.send(text.encode())


@contextlib.asynccontextmanager
async def shell(
    adapter: Adapter,
    *,
    terminal: bool = True,
    options: tuple[str, ...] = (),
    command: list[str | bytes] | None = None,
    columns: int = 100,
    rows: int = 30,
) -> AsyncIterator[Shell]:
    """A shell that is ready, through OpenSSH's client or the given command."""
    flag = "-tt" if terminal else "-T"
    client = await Client.start(
        command or adapter.ssh(options=(flag, *options)), terminal=terminal, columns=columns, rows=rows
    )
    made = Shell(adapter, client)
    try:
        if terminal:
            await made.line("echo re''ady", r"ready\r?\n")
        yield made
    finally:
        await client.close()
        for item in await adapter.held():
            await adapter.deny(item)
