"""Agents and an approver who do whatever comes next by chance, at the same time, for some seconds. The seed is printed;
SEED=… runs one again (the machine's own timing is part of the chance, so it finds the same only mostly)."""

from __future__ import annotations

import asyncio
import os
import random
from typing import ClassVar

from tests.bypass.adapters.ours import Ours
from tests.support.client import Client


class Chaos:
    """One run. What the agents type and how the approver decides is for the tests that inherit it."""

    SECONDS: ClassVar[float]
    AGENTS: ClassVar[int]
    LINES: ClassVar[int]
    """That an agent types before it leaves, at least."""

    def __init__(self, ours: Ours) -> None:
        self.ours = ours
        self.seed = int(os.environ.get("SEED") or random.randrange(1 << 32))
        print(f"SEED={self.seed}")
        self.until = asyncio.get_running_loop().time() + self.SECONDS

    @property
    def going(self) -> bool:
        return asyncio.get_running_loop().time() < self.until

    async def type(self, client: Client, rng: random.Random, name: str) -> None:
        """The next thing that an agent does; `name` is one that nothing else has."""
        raise NotImplementedError

    async def approver(self, rng: random.Random) -> None:
        """Decides on what is held now."""
        raise NotImplementedError

    async def run(self) -> None:
        """To its end; nothing runs or is held afterwards."""
        async with asyncio.TaskGroup() as tasks:
            for number in range(self.AGENTS):
                tasks.create_task(self._agent(number))
            tasks.create_task(self._approver())
            self.others(tasks)
        await self.ours.cut()
        for item in await self.ours.held():
            await self.ours.deny(item)
        assert not self.ours.house.dead
        assert "Traceback" not in self.ours.house.log.read_text(), self.ours.house.log.read_text()[-3000:]

    def others(self, tasks: asyncio.TaskGroup) -> None:
        """Who else there is."""

    async def _agent(self, number: int) -> None:
        rng = random.Random(f"{self.seed}-{number}")
        count = 0
        while self.going:
            client = await Client.start(self.ours.ssh(options=("-tt",)), terminal=True)
            for _ in range(rng.randint(self.LINES, 30)):
                if not self.going or client.status is not None:
                    break
                count += 1
                await self.type(client, rng, f"race-{number}-{count}")
            await client.close()

    async def _approver(self) -> None:
        rng = random.Random(f"{self.seed}-approver")
        while self.going:
            await self.approver(rng)
            await asyncio.sleep(rng.choice((0, 0.01, 0.05)))
