"""Shells in the shell, entered, left and killed by chance while lines are typed, held and approved: whatever the
interleaving, a line runs in the shell that it was approved for, or nowhere. The seed is printed; SEED=… runs one again
(the machine's own timing is part of the chance)."""

from __future__ import annotations

import asyncio
import os
import random
from pathlib import Path

import pytest

from bastion.control import wire
from tests.bypass.adapters.ours import SHELLS, Ours
from tests.support.client import Client
from tests.support.sshd import Sshd

pytestmark = [pytest.mark.e2e, pytest.mark.skipif(not SHELLS, reason="shells are not open in this release")]

SECONDS = 10.0
AGENTS = 2

DOCKER = """#!/bin/sh
# docker exec -it|-i NAME COMMAND...: a shell that knows where it is
INSIDE=$INSIDE/$3
export INSIDE
shift 3
exec "$@"
"""


class Chaos:
    """One run."""

    def __init__(self, ours: Ours, seed: int) -> None:
        self.ours, self.seed = ours, seed
        self.where: dict[str, set[str]] = {}
        """By the name of a line: the shells for which it was approved, noted before the vote."""
        self.until = asyncio.get_running_loop().time() + SECONDS

    @property
    def going(self) -> bool:
        return asyncio.get_running_loop().time() < self.until

    async def agent(self, number: int) -> None:
        """Goes in and out, and types ahead."""
        rng = random.Random(f"{self.seed}-{number}")
        count = 0
        while self.going:
            client = await Client.start(self.ours.ssh(options=("-tt",)), terminal=True)
            for _ in range(rng.randint(6, 30)):
                if not self.going or client.status is not None:
                    break
                count += 1
                mark = f'echo "at$INSIDE" >>{self.ours.work}/race-{number}-{count}'.encode()
                into = rng.choice((b"docker exec -it a sh\r", b"docker exec -it b bash\r"))
                client.send(
                    rng.choice(
                        (
                            into,
                            into,
                            into + mark + b"\r",
                            mark + b"\r",
                            mark + b"\r",
                            b"exit\r" + mark + b"\r",
                            b"\x04" + mark + b"\r",
                            b"(sleep 0.%d; kill -9 $$) & \r" % rng.randint(0, 9) + mark + b"\r",
                            b"(sleep 0.0%d; kill -9 $$) & " % rng.randint(0, 9) + mark + b"\r",
                            b"sh\r" + mark + b"\r",
                            b"cat\r" + mark + b"\r\x04",
                            b"\x03",
                            b"\x1a",
                        )
                    )
                )
                await asyncio.sleep(rng.choice((0, 0.05, 0.2, 0.4)))
            await client.close()

    async def approver(self) -> None:
        """Approves most, denies some."""
        rng = random.Random(f"{self.seed}-approver")
        while self.going:
            for info in await self.ours.ana.call(wire.ListRequests, list[wire.RequestInfo], state="held"):
                shown = await self.ours.ana.call(wire.ShowRequest, wire.RequestInfo, request=info.id)
                self.note(shown)
                item = next((each for each in await self.ours.held() if each.id == info.id), None)
                if item is None or rng.random() < 0.1:
                    continue
                await (self.ours.deny(item) if rng.random() < 0.1 else self.ours.approve(item))
            await asyncio.sleep(rng.choice((0, 0.01, 0.05)))

    def note(self, shown: wire.RequestInfo) -> None:
        text = shown.command.decode()
        if "race-" not in text or shown.kind != "line":
            return
        shells = [word.split()[-2:] for word in dict(shown.context).get("inside", "").split(" > ") if word]
        # a plain `sh` stays where it is
        path = "at" + "".join("/" + words[0] for words in shells if len(words) == 2)
        self.where.setdefault(text.rpartition("/")[2], set()).add(path)


async def test_a_line_runs_where_it_was_approved_for_or_nowhere(tmp_path: Path) -> None:
    seed = int(os.environ.get("SEED") or random.randrange(1 << 32))
    print(f"SEED={seed}")
    ours = Ours()
    bin_, home = ours.work / "bin", ours.work / "home"
    for made in (bin_, home):
        made.mkdir()
    (bin_ / "docker").write_text(DOCKER)
    (bin_ / "docker").chmod(0o755)
    for name in (".bashrc", ".bash_profile"):
        (home / name).write_text(f"PATH={bin_}:$PATH\n")
    ours._sshd = Sshd(tmp_path / "sshd", extra=f"SetEnv HOME={home} HISTFILE=/dev/null")
    async with ours:
        chaos = Chaos(ours, seed)
        async with asyncio.TaskGroup() as tasks:
            for number in range(AGENTS):
                tasks.create_task(chaos.agent(number))
            tasks.create_task(chaos.approver())
        await ours.cut()
        for item in await ours.held():
            await ours.deny(item)
        ran = {path.name: set(path.read_text().split()) for path in ours.work.glob("race-*")}
        wrong = {
            name: (places, chaos.where.get(name))
            for name, places in ran.items()
            if not places <= chaos.where.get(name, set())
        }
        assert not wrong, f"SEED={seed}"
        assert not ours.house.dead
        assert "Traceback" not in ours.house.log.read_text(), ours.house.log.read_text()[-3000:]
        # it would show nothing if nothing had run inside
        assert any(place != "at" for places in ran.values() for place in places), f"SEED={seed}"
