"""What probes (tests/bypass/probes/) are made of. A probe is an attack that no list of steps can say: it raises Broken
when something that has to hold does not. The canary is looked at afterwards, as always."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import asyncssh

from tests.bypass.run import Broken, Run

REFUSED = (asyncssh.Error, asyncssh.ChannelListenError, OSError, EOFError)


def need(holds: object, what: str) -> None:
    """Raises Broken."""
    if not holds:
        raise Broken(what)


@contextlib.asynccontextmanager
async def connected(run: Run) -> AsyncIterator[asyncssh.SSHClientConnection]:
    """The agent's connection, gone afterwards."""
    connection = await run.adapter.connect()
    try:
        yield connection
    finally:
        connection.abort()


class Session(asyncssh.SSHClientSession[bytes]):
    """Takes what comes."""


async def channel_of(connection: asyncssh.SSHClientConnection) -> Any:
    """An open session channel; nothing was asked for on it yet."""
    loop = asyncio.get_running_loop()
    channel: Any = asyncssh.SSHClientChannel(connection, loop, "strict", None, "strict", 1 << 20, 32768)
    await channel._open(b"session")
    channel._session = Session()
    channel._session.connection_made(channel)
    channel.resume_reading()
    return channel


def touching(run: Run) -> str:
    """The command that must not run."""
    return f"touch {run.canary}"
