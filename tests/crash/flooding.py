"""An agent that floods the bastion with one kind of packet. A program of its own, so that what it takes of the
processor is not what others wait for: `flooding.py PORT KEY KNOWN_HOSTS KIND SECONDS`; prints how many it sent.

It reads what comes, and ignores it: also answers to what it never asked for in earnest.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Any

import asyncssh
from asyncssh.constants import (
    MSG_CHANNEL_OPEN,
    MSG_CHANNEL_OPEN_CONFIRMATION,
    MSG_CHANNEL_OPEN_FAILURE,
    MSG_GLOBAL_REQUEST,
    MSG_REQUEST_FAILURE,
    MSG_REQUEST_SUCCESS,
)
from asyncssh.packet import Boolean, String, UInt32

ANSWERS = (MSG_CHANNEL_OPEN_CONFIRMATION, MSG_CHANNEL_OPEN_FAILURE, MSG_REQUEST_FAILURE, MSG_REQUEST_SUCCESS)
BURST = 200
"""Packets between two looks at the clock."""
UNSENT = 1 << 16
"""Bytes that may wait for the network: more would measure this program's memory."""

Send = Callable[[int], None]


async def often(connection: Any, seconds: float, send: Send) -> int:
    """Send as fast as the other end reads; how many it were."""
    end, number = time.monotonic() + seconds, 0
    while time.monotonic() < end and not connection.is_closed():
        for _ in range(BURST):
            number += 1
            send(number)
        while unsent(connection) > UNSENT:  # noqa: ASYNC110 -- a transport tells nobody of so little
            await asyncio.sleep(0.001)
        await asyncio.sleep(0)
    return number


def unsent(connection: Any) -> int:
    return 0 if connection._transport is None else int(connection._transport.get_write_buffer_size())


async def channel_of(connection: Any) -> Any:
    """An open session channel, for which nothing was asked yet."""
    channel: Any = asyncssh.SSHClientChannel(
        connection, asyncio.get_running_loop(), "strict", None, "strict", 1 << 30, 32768
    )
    await channel._open(b"session")
    channel._session = asyncssh.SSHClientSession()
    channel._session.connection_made(channel)
    return channel


def size(number: int) -> bytes:
    return b"".join(UInt32(each) for each in (80 + number % 100, 24, 0, 0))


async def windows(connection: Any, seconds: float) -> int:
    """Window changes in a governed shell (RFC 4254 section 6.7)."""
    channel = await channel_of(connection)
    assert await channel._make_request(b"pty-req", String("xterm"), size(0), String(b""))
    assert await channel._make_request(b"shell")
    return await often(connection, seconds, lambda number: channel._send_request(b"window-change", size(number)))


async def variables(connection: Any, seconds: float) -> int:
    """Variables that are refused (6.4)."""
    channel = await channel_of(connection)
    return await often(
        connection, seconds, lambda number: channel._send_request(b"env", String(f"X{number}"), String("y" * 100))
    )


async def locales(connection: Any, seconds: float) -> int:
    """Variables that pass."""
    channel = await channel_of(connection)
    return await often(
        connection,
        seconds,
        lambda number: channel._send_request(
            b"env", String("LC_ALL"), String(f"{'abcdefghij'[number % 10] * 3}.UTF-8")
        ),
    )


def opening(kind: str, *rest: bytes) -> Callable[[Any, float], Awaitable[int]]:
    async def opens(connection: Any, seconds: float) -> int:
        def send(number: int) -> None:
            window = (UInt32(number), UInt32(1 << 20), UInt32(1 << 15))
            connection.send_packet(MSG_CHANNEL_OPEN, String(kind), *window, *rest)

        return await often(connection, seconds, send)

    return opens


def asking(name: str, *rest: bytes) -> Callable[[Any, float], Awaitable[int]]:
    async def asks(connection: Any, seconds: float) -> int:
        packet = (String(name), Boolean(True), *rest)
        return await often(connection, seconds, lambda _: connection.send_packet(MSG_GLOBAL_REQUEST, *packet))

    return asks


async def keys(connection: Any, seconds: float) -> int:
    """Key exchanges, one after the other (RFC 4253 section 9)."""
    end, number = time.monotonic() + seconds, 0
    while time.monotonic() < end and not connection.is_closed():
        if connection._kex_complete and not connection._kexinit_sent:
            connection._send_kexinit()
            connection._kexinit_sent = True
            number += 1
        await asyncio.sleep(0)
    return number


KINDS: dict[str, Callable[[Any, float], Awaitable[int]]] = {
    "windows": windows,
    "variables": variables,
    "locales": locales,
    "channels": opening("session"),
    "unknown channels": opening("no-such@example.org"),
    "forwards": opening("direct-tcpip", String("10.0.0.1"), UInt32(80), String("x"), UInt32(1)),
    "global requests": asking("tcpip-forward", String("localhost"), UInt32(8080)),
    "unknown global requests": asking("no-such@example.org"),
    "keys": keys,
}


async def flood(port: int, key: str, known_hosts: str, kind: str, seconds: float) -> int:
    connection: Any = await asyncssh.connect(
        "127.0.0.1", port, username="web-1", client_keys=[key], known_hosts=known_hosts, config=None
    )
    handlers = type(connection)._packet_handlers
    sent = 0
    with contextlib.suppress(asyncssh.Error, OSError):
        if kind not in ("windows", "variables", "locales"):
            connection._packet_handlers = {**handlers, **dict.fromkeys(ANSWERS, lambda *_: None)}
        sent = await KINDS[kind](connection, seconds)
    connection.abort()
    return sent


if __name__ == "__main__":
    port, key, known_hosts, kind, seconds = sys.argv[1:]
    print(asyncio.run(flood(int(port), key, known_hosts, kind, float(seconds))))
