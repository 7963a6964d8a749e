"""An agent that speaks SSH as no client program does: single packets, in any order and number."""

from __future__ import annotations

import asyncio
from typing import Any

import asyncssh

from tests.support.house import House


def connect(house: House, who: str = "agent-7", target: str = "web-1") -> Any:
    """A connection to the bastion, as asyncssh's context manager."""
    return asyncssh.connect(
        "127.0.0.1",
        house.port,
        username=target,
        client_keys=[str(house.work / who)],
        known_hosts=str(house.work / "known_hosts"),
        config=None,
    )


class Session(asyncssh.SSHClientSession[bytes]):
    """Takes what comes, and does nothing with it."""


async def channel_of(connection: asyncssh.SSHClientConnection, window: int) -> Any:
    """An open session channel with that receive window; nothing was asked for on it yet."""
    channel: Any = asyncssh.SSHClientChannel(
        connection, asyncio.get_running_loop(), "strict", None, "strict", window, 32768
    )
    await channel._open(b"session")
    channel._session = Session()
    channel._session.connection_made(channel)
    return channel
