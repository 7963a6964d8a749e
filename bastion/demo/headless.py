"""The demo without a person: the scripted approvers decide, one agent after another, in the same order every time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack

from bastion.demo.agents import Runner
from bastion.demo.approver import decide
from bastion.demo.scenarios import AGENTS
from bastion.demo.stage import Stage
from bastion.errors import BastionError

SECONDS = 60.0
"""For all agents; they take about 5 s. A demo that hangs must not hang CI."""


async def play(ready: Stage, runner: Runner, words: dict[str, str], say: Callable[[str], None]) -> None:
    """All agents, printed as they go. Raises BastionError, alone or in a group."""

    def print_lines(lines: list[str]) -> None:
        for line in lines:
            say(line)

    try:
        async with asyncio.timeout(SECONDS), AsyncExitStack() as stack:
            clients = [await stack.enter_async_context(await ready.connect(name)) for name in ready.approvers]
            async with asyncio.TaskGroup() as group:
                deciding = [
                    group.create_task(
                        decide(client, strangers=client is clients[0], words=words),
                        name=f"approver {client.welcome.identity}",
                    )
                    for client in clients
                ]
                for agent in AGENTS:
                    await runner.play(agent, print_lines)
                for task in deciding:
                    task.cancel()
    except TimeoutError:
        raise BastionError(f"the agents were not done within {SECONDS:.0f} s", "--keep DIR keeps the logs") from None
