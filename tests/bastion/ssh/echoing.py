"""A command that gives back what it is sent, and whether it did."""

from __future__ import annotations

import asyncio
import hashlib
import os
from typing import Any

import asyncssh

PIECE = 1 << 17
"""Bytes that are written at once."""


async def echo(process: asyncssh.SSHServerProcess[bytes]) -> None:
    """The server's side."""
    while data := await process.stdin.read(1 << 16):
        process.stdout.write(data)
    process.exit(0)


async def returned(process: Any, size: int) -> bool:
    """The client's side: whether so many bytes come back as they were sent."""
    sent = os.urandom(size)

    async def feed() -> None:
        for at in range(0, size, PIECE):
            process.stdin.write(sent[at : at + PIECE])
            await process.stdin.drain()
        process.stdin.write_eof()

    feeding = asyncio.create_task(feed())
    back = await process.stdout.read(-1)
    await feeding
    return hashlib.sha256(back).digest() == hashlib.sha256(sent).digest()
