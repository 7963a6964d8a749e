"""Attacks on the approver's side: what a vote counts for."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

from asyncssh.packet import String

from tests.bypass.probing import channel_of, connected, need, touching
from tests.bypass.run import PATIENCE, Run


async def _one(run: Run, command: str) -> Any:
    await run.start(run.adapter.ssh(command), terminal=False)
    run.agent.end_input()
    return await run.held(command.encode())


async def other_digest(run: Run) -> None:
    """An approval with the digest of something else counts for nothing."""
    first = await _one(run, touching(run))
    forged = type(first)(**{**{name: getattr(first, name) for name in first.__slots__}, "digest": "0" * 64})
    with contextlib.suppress(AssertionError):
        need(not await run.adapter.approve(forged), "an approval of another digest counts")


async def twice(run: Run) -> None:
    """Once approved, a second approval is refused, and the command runs once."""
    command = f"sh -c 'echo x >> {run.evil}'"
    item = await _one(run, command)
    await run.approve(command.encode())
    need(not await run.adapter.approve(item), "the same approval counts twice")
    await run.agent.ends()
    need(run.evil.read_text() == "x\n", "it ran more than once")


async def denied_first(run: Run) -> None:
    """Deny wins."""
    item = await _one(run, touching(run))
    await run.adapter.deny(item)
    need(not await run.adapter.approve(item), "an approval counts after a denial")
    need(await run.agent.ends() != 0, "a denied command ended well")


async def withdrawn(run: Run) -> None:
    """The agent takes it back with a signal; the approver clicks too late."""
    touch = touching(run)
    async with connected(run) as connection:
        channel = await channel_of(connection)
        await channel._make_request(b"exec", String(touch))
        item = await run.held(touch.encode())
        channel._send_request(b"signal", String("INT"))
        async with asyncio.timeout(PATIENCE):
            for _ in iter(int, 1):
                if not await run.look():
                    break
                await asyncio.sleep(0.02)
        need(not await run.adapter.approve(item), "an approval counts for what was taken back")
