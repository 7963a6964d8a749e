"""OpenSSH's scp and sftp as an agent's clients of a House."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from pathlib import Path

from tests.support.house import House

READS_FLOW = """policy "tests" {
  version 1
  allow low
  deny path "**/forbidden/**"
}
"""
"""What reads runs unasked; the rest is held."""


def options(house: House, who: str = "agent-7") -> list[str]:
    """ssh's options, as scp and sftp take them."""
    words = house.ssh_command("web-1", who=who)[1:-1]
    return ["-P" if word == "-p" else word for word in words]


async def start(
    house: House, program: str, *words: str | Path, stdin: str | None = None, **env: str
) -> asyncio.subprocess.Process:
    """An agent's client, with pipes."""
    process = await asyncio.create_subprocess_exec(
        program, *options(house), *map(str, words),
        stdin=asyncio.subprocess.DEVNULL if stdin is None else asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE, cwd=house.work,
        env={"PATH": os.environ["PATH"], "HOME": str(house.work), **env},
    )  # fmt: skip
    if stdin is not None:
        assert process.stdin is not None
        process.stdin.write(stdin.encode())
        process.stdin.close()
    return process


def far(path: str | Path) -> str:
    """A path on the target, as scp takes it."""
    return f"web-1@127.0.0.1:{path}"


async def scp(house: House, *words: str | Path) -> asyncio.subprocess.Process:
    """scp, speaking SFTP."""
    return await start(house, "scp", *words)


async def sftp(house: House, *lines: str, arguments: Sequence[str] = ()) -> asyncio.subprocess.Process:
    """sftp with a batch on stdin."""
    return await start(house, "sftp", "-b", "-", *arguments, "web-1@127.0.0.1", stdin="\n".join(lines) + "\n")
