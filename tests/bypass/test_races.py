"""Agents and an approver who all do whatever comes next by chance, at the same time, for some seconds. Whatever the
interleaving: no file is there whose command nobody approved. The seed is printed; SEED=… runs one again (the machine's
own timing is part of the chance, so it finds the same only mostly)."""

from __future__ import annotations

import asyncio
import os
import random
from pathlib import Path

import pytest

from tests.bypass.adapters.ours import SHELLS, Ours
from tests.support.client import Client

pytestmark = [pytest.mark.e2e, pytest.mark.skipif(not SHELLS, reason="shells are not open in this release")]

SECONDS = 12.0
AGENTS = 3


class Chaos:
    """One run."""

    def __init__(self, ours: Ours, seed: int) -> None:
        self.ours, self.seed = ours, seed
        self.approved: set[str] = set()
        """Names in commands that were approved, noted before the vote."""
        self.asked: set[str] = set()
        self.votes = 0
        loop = asyncio.get_running_loop()
        self.until = loop.time() + SECONDS

    @property
    def going(self) -> bool:
        return asyncio.get_running_loop().time() < self.until

    async def agent(self, number: int) -> None:
        """Types, pastes, interrupts, resizes, leaves and comes again."""
        rng = random.Random(f"{self.seed}-{number}")
        count = 0
        while self.going:
            client = await Client.start(self.ours.ssh(options=("-tt",)), terminal=True)
            for _ in range(rng.randint(4, 30)):
                if not self.going or client.status is not None:
                    break
                count += 1
                path = f"{self.ours.work}/race-{number}-{count}"
                self.asked.add(Path(path).name)
                touch = f"touch {path}".encode()
                text = rng.choice(
                    (
                        touch + b"\r",
                        touch + b"\r",
                        b"sleep 0.1; " + touch + b"\r",
                        b"sleep 0.2\r" + touch + b"\r",
                        b"\x1b[200~" + touch + b"\ntrue\n\x1b[201~",
                        touch + b"\x03",
                        b"cat\r" + touch + b"\r\x04",
                        b"sh\r" + touch + b"\rexit\r",
                        touch + b"\x15true\r",
                        b'read x; eval "$x"\r' + touch + b"\r",
                        b"\x03",
                        b"\x1a",
                    )
                )
                while text:
                    size = rng.randint(1, len(text))
                    client.send(text[:size])
                    text = text[size:]
                    await asyncio.sleep(rng.choice((0, 0, 0.01, 0.05)))
                if rng.random() < 0.1:
                    client.resize(rng.randint(1, 200), rng.randint(1, 60))
                await asyncio.sleep(rng.choice((0, 0.02, 0.1, 0.3)))
            await client.close()

    async def approver(self) -> None:
        """Approves, denies and lets wait."""
        rng = random.Random(f"{self.seed}-approver")
        while self.going:
            for item in await self.ours.held():
                if rng.random() < 0.6:
                    self.approved |= {
                        word.rpartition("/")[2] for word in item.command.decode().split() if "race-" in word
                    }
                    self.votes += await self.ours.approve(
                        item, rng.choice(("", "", "line", "none")) if item.line else ""
                    )
                elif rng.random() < 0.5:
                    await self.ours.deny(item)
            await asyncio.sleep(rng.choice((0, 0.01, 0.05)))

    async def killer(self) -> None:
        """Ends all sessions now and then."""
        rng = random.Random(f"{self.seed}-killer")
        while self.going:
            await asyncio.sleep(rng.uniform(2, 5))
            await self.ours.cut()


async def test_whatever_happens_when() -> None:
    seed = int(os.environ.get("SEED") or random.randrange(1 << 32))
    print(f"SEED={seed}")
    async with Ours() as ours:
        chaos = Chaos(ours, seed)
        async with asyncio.TaskGroup() as tasks:
            for number in range(AGENTS):
                tasks.create_task(chaos.agent(number))
            tasks.create_task(chaos.approver())
            tasks.create_task(chaos.killer())
        await ours.cut()
        for item in await ours.held():
            await ours.deny(item)
        made = {path.name for path in ours.work.iterdir()}
        assert made <= chaos.approved, f"SEED={seed}: nobody approved {made - chaos.approved}"
        assert not ours.house.dead
        assert "Traceback" not in ours.house.log.read_text(), ours.house.log.read_text()[-3000:]
        # it would show nothing if nothing had run, or everything had been approved
        assert made, f"SEED={seed}"
        assert chaos.votes > 5, f"SEED={seed}"
        assert chaos.asked - chaos.approved, f"SEED={seed}"
