"""What agents do in a soak beside single commands: shells with lines in them, and files. Each returns what became of it
in a word, and raises AssertionError when that is not what was asked for."""

from __future__ import annotations

import asyncio
import os
import random
from pathlib import Path

import asyncssh

PATIENCE = 90.0
"""Seconds for a shell's answer: requests are held for 30, and a busy machine is slow."""


async def shell(connection: asyncssh.SSHClientConnection, name: str, dice: random.Random) -> str:
    """A governed shell: a line, its output, and its end; or the agent leaves in the middle."""
    process = await connection.create_process(term_type="xterm", term_size=(100, 30), encoding=None)
    seen = bytearray()

    async def until(words: bytes) -> bool:
        """Whether they came; not if a request expired."""
        async with asyncio.timeout(PATIENCE):
            while words not in seen:
                data = await process.stdout.read(1 << 14)
                assert data, f"shell {name} ended after {bytes(seen[-300:])!r}"
                seen.extend(data)
                if b"bastion: expired" in seen:
                    return False
        return True

    await until(b"$ ")
    seen.clear()
    process.stdin.write(f"echo $((40+2))-{name} # shell {name}\r".encode())
    if dice.random() < 0.2:
        await asyncio.sleep(dice.uniform(0, 1))
        process.close()
        return "left"
    if not await until(f"\n42-{name}\r\n".encode()) or not await until(b"$ "):
        return "expired"
    seen.clear()
    process.stdin.write(b"exit 3\r")
    async with asyncio.timeout(PATIENCE):
        ended = await process.wait()
    assert ended.exit_status in (3, 124), f"shell {name} ended with {ended.exit_status}: {bytes(seen[-300:])!r}"
    return str(ended.exit_status)


async def upload(connection: asyncssh.SSHClientConnection, path: Path) -> str:
    """A file over SFTP, which is there as it was sent once somebody has approved it."""
    data = os.urandom(20_000)
    async with connection.start_sftp_client() as sftp:
        try:
            async with sftp.open(str(path), "wb") as file:
                await file.write(data)
        except asyncssh.SFTPError as error:
            if "nobody decided" in error.reason:
                return "expired"
            raise AssertionError(f"upload {path.name}: {error.reason}") from None
    there = await asyncio.to_thread(path.read_bytes)
    assert there == data, f"upload {path.name}: {len(there)} bytes, and not those that were sent"
    path.unlink()
    return "there"
