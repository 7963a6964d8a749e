"""kill -9 at any moment, again and again, while agents work: held, approved, denied, whitelisted, long-running, bulk.

Each command writes its own number to a file on the target first, and the ledger must know all of them: no number
without an entry of its start; nothing that an agent was told had ended is missing its end; the record verifies, and no
session or command is left open in it after the last, orderly stop.

`BASTION_KILLS=100` for more rounds than a build has time for.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import signal
from collections import Counter
from pathlib import Path

import pytest

from bastion.control import wire
from bastion.errors import BastionError
from bastion.history import unpack
from bastion.model import Choice
from recorder.verify import Verdict, verify
from tests.support.house import House

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(3600)]

ROUNDS = int(os.environ.get("BASTION_KILLS", "3"))
AGENTS = 6
LONGEST = 2.0
"""Seconds that a daemon lives, at most."""
KINDS = ("echo done", "sleep 0.2", "head -c 300000 /dev/zero | tr '\\\\0' x", "sleep 30", "exit 3")


async def decide(house: House, dice: random.Random) -> None:
    """An approver who approves two of three, for as long as there is a daemon."""
    with contextlib.suppress(BastionError, OSError):
        client = await house.local()
        try:
            while True:
                for info in await client.call(wire.ListRequests, list[wire.RequestInfo], state="held"):
                    with contextlib.suppress(BastionError):
                        await client.vote(info, Choice.APPROVE if dice.random() < 0.66 else Choice.DENY, "so")
                await asyncio.sleep(0.02)
        finally:
            await client.close()


async def work(house: House, dice: random.Random, canary: Path, told: dict[str, int], names: list[str]) -> None:
    """An agent that asks for one command after the other, until the bastion is gone."""
    who = dice.choice(("agent-7", "agent-8"))
    while True:
        name = f"n{len(names)}"
        names.append(name)
        command = f"echo {name} >> {canary}; {dice.choice(KINDS)}"
        ssh = await house.ssh("web-1", command, who=who)
        try:
            outcome = await house.finish(ssh)
        except asyncio.CancelledError:
            ssh.kill()
            await ssh.wait()
            raise
        if outcome.status == 255:
            return
        told[name] = outcome.status


async def test_no_command_without_its_entry_whenever_the_daemon_dies(house: House, tmp_path: Path) -> None:
    seed = random.randrange(1 << 32)
    print("seed", seed)
    dice = random.Random(seed)
    canary = tmp_path / "canary"
    canary.touch()
    told: dict[str, int] = {}
    names: list[str] = []
    for _ in range(ROUNDS):
        house.start()
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(work(house, dice, canary, told, names)) for _ in range(AGENTS)]
            approver = group.create_task(decide(house, dice))
            await asyncio.sleep(dice.uniform(0.05, LONGEST))
            os.kill(house.pid, signal.SIGKILL)
            house.stop()
            await asyncio.wait(tasks)
            approver.cancel()
    assert verify(house.config.store).verdict in (Verdict.OK, Verdict.TORN)
    house.start()
    house.stop()
    report = verify(house.config.store)
    assert report.verdict is Verdict.OK, report

    with house.recorded() as reader:
        entries = list(reader.entries())
        asked = {
            entry.request: unpack(reader.payload(entry, "content")).command.decode()
            for entry in entries
            if entry.type == "request.proposed"
        }
    number = {request: command.split()[1] for request, command in asked.items()}
    started = Counter(number[entry.request] for entry in entries if entry.type == "command.started")
    finished = Counter(number[entry.request] for entry in entries if entry.type == "command.finished")
    ran = Counter(canary.read_text().split())
    assert ran, "nothing ran: the daemon lives too short here"
    assert set(ran) <= set(started), seed
    assert max(ran.values()) == 1, "a command ran twice"
    assert max(started.values()) == 1
    assert started == finished, seed
    assert {name for name, status in told.items() if status in (0, 3)} <= set(finished), seed
    opened = Counter(entry.session for entry in entries if entry.type == "session.opened")
    closed = Counter(entry.session for entry in entries if entry.type in ("session.closed", "session.interrupted"))
    assert opened == closed, seed
