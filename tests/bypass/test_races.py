"""Agents and an approver who all do whatever comes next by chance (chaos.py). Whatever the interleaving: no file is
there whose command nobody approved."""

from __future__ import annotations

import asyncio
import random

import pytest

from tests.bypass.adapters.ours import SHELLS, Ours
from tests.bypass.chaos import Chaos
from tests.support.client import Client

pytestmark = [pytest.mark.e2e, pytest.mark.skipif(not SHELLS, reason="shells are not open in this release")]


class Races(Chaos):
    SECONDS, AGENTS, LINES = 12.0, 3, 4

    def __init__(self, ours: Ours) -> None:
        super().__init__(ours)
        self.approved: set[str] = set()
        """Names in commands that were approved, noted before the vote."""
        self.asked: set[str] = set()
        self.votes = 0

    async def type(self, client: Client, rng: random.Random, name: str) -> None:
        """Types, pastes, interrupts, resizes."""
        self.asked.add(name)
        touch = f"touch {self.ours.work}/{name}".encode()
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

    async def approver(self, rng: random.Random) -> None:
        """Approves, denies and lets wait."""
        for item in await self.ours.held():
            if rng.random() < 0.6:
                self.approved |= {word.rpartition("/")[2] for word in item.command.decode().split() if "race-" in word}
                self.votes += await self.ours.approve(item, rng.choice(("", "", "line", "none")) if item.line else "")
            elif rng.random() < 0.5:
                await self.ours.deny(item)

    def others(self, tasks: asyncio.TaskGroup) -> None:
        tasks.create_task(self.killer())

    async def killer(self) -> None:
        """Ends all sessions now and then."""
        rng = random.Random(f"{self.seed}-killer")
        while self.going:
            await asyncio.sleep(rng.uniform(2, 5))
            await self.ours.cut()


async def test_whatever_happens_when() -> None:
    async with Ours() as ours:
        races = Races(ours)
        await races.run()
        made = {path.name for path in ours.work.iterdir()}
        assert made <= races.approved, f"SEED={races.seed}: nobody approved {made - races.approved}"
        # it would show nothing if nothing had run, or everything had been approved
        assert made, f"SEED={races.seed}"
        assert races.votes > 5, f"SEED={races.seed}"
        assert races.asked - races.approved, f"SEED={races.seed}"
