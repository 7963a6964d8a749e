"""Agents that flood the bastion with what is cheap to send: others go on being served meanwhile, the ledger does not
fill with it, and the daemon is as before when it is over.

Each flood lasts FLOOD_SECONDS and comes from a process of its own, while a neighbour on another connection has a
whitelisted command run again and again. How long that takes depends on the machine, so the bound is generous.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import asyncssh
import pytest
from asyncssh.packet import String

from bastion.control import wire
from bastion.model import Choice
from bastion.ssh.floods import EXCHANGES
from recorder.verify import Verdict, verify
from tests.bench.load import memory
from tests.crash.flooding import KINDS
from tests.support.house import ROOT, House
from tests.support.ports import until
from tests.support.raw import channel_of, connect
from tests.support.sshd import Sshd

pytestmark = pytest.mark.e2e

FLOOD_SECONDS = 2.0
PATIENCE = 5.0
"""Seconds that a neighbour's command may take at worst; on an idle machine it is a tenth of one."""
MEMORY = 32 << 20
"""Bytes by which the daemon may grow."""
ENTRIES = 200
"""That a flood may add to the ledger, its neighbour's aside."""


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory, target: Sshd) -> Iterator[House]:
    made = House(tmp_path_factory.mktemp("house"))
    made.add_target("web-1", target)
    made.start()
    yield made
    assert made.stop() == 0
    assert verify(made.config.store).verdict is Verdict.OK


@contextlib.asynccontextmanager
async def neighbour(house: House) -> AsyncIterator[list[float]]:
    """Another agent's commands, one after the other: the seconds that each took."""
    took: list[float] = []
    async with connect(house, "agent-8") as connection:

        async def work() -> None:
            while True:
                begun = time.monotonic()
                result = await connection.run("echo there")
                assert (result.exit_status, result.stdout) == (0, "there\n"), result.stderr
                took.append(time.monotonic() - begun)

        task = asyncio.create_task(work())
        try:
            yield took
        finally:
            if task.done():
                task.result()
            task.cancel()


async def flood(house: House, kind: str) -> int:
    """How many it sent."""
    program = (str(ROOT / "tests/crash/flooding.py"), str(house.port), str(house.work / "agent-7"))
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, *program, str(house.work / "known_hosts"), kind, str(FLOOD_SECONDS)), stdout=-1
    )
    said, _ = await process.communicate()
    assert process.returncode == 0
    return int(said)


def entries(house: House, actor: str) -> int:
    with house.recorded() as reader:
        return sum(entry.actor == actor for entry in reader.entries())


@pytest.mark.parametrize("kind", KINDS)
async def test_others_are_served_meanwhile(house: House, kind: str) -> None:
    root = await house.local()
    await house.whitelist(root, b"echo there", identity="agent-8")
    before, had = memory(house.pid), entries(house, "agent-7")
    async with neighbour(house) as took:
        sent = await flood(house, kind)
        again = len(took)
        await until(lambda: len(took) >= again + 2, "others are served after it", PATIENCE)
    grown, written = memory(house.pid) - before, entries(house, "agent-7") - had
    print(f"{sent} sent, {written} entries, {grown >> 10} KiB; of {len(took)} commands the worst {max(took):.3f} s")
    assert sent > 10
    assert max(took) < PATIENCE
    assert written < ENTRIES
    assert grown < MEMORY
    if kind == "keys":
        assert sent <= EXCHANGES + FLOOD_SECONDS + 1
    await root.close()


async def test_who_reads_nothing_keeps_nobody_waiting(house: House) -> None:
    """It takes none of a gigabyte that its command puts out, and its socket is full."""
    root = await house.local()
    endless = "head -c 1000000000 /dev/zero"
    await house.whitelist(root, b"echo there", identity="agent-8")
    await house.whitelist(root, endless.encode())
    before = memory(house.pid)
    async with neighbour(house) as took, connect(house) as connection:
        channel = await channel_of(connection, window=0xFFFFFFFF)
        channel._send_request(b"exec", String(endless))
        connection._transport.pause_reading()
        await until(lambda: len(took) >= 10, "others are served")
        grown = memory(house.pid) - before
        connection.abort()
    assert max(took) < PATIENCE
    assert grown < MEMORY
    await root.close()


async def test_a_burst_does_not_overshoot_what_may_be_held(tmp_path: Path, target: Sshd) -> None:
    """All at the same moment, from two agents: as many are held as may be, each other one is told, and has an entry
    that says how it ended; and when there is room again, the next is held."""
    house = House(tmp_path)
    house.add_target("web-1", target)
    house.configure("\n[limits]\nheld_requests = 5\n")
    house.start()
    try:
        root = await house.local()
        async with connect(house) as one, connect(house, "agent-8") as other:
            asked = [
                await (one, other)[number % 2].create_process(f"echo {number}", stdin=asyncssh.DEVNULL)
                for number in range(40)
            ]
            ended = [asyncio.create_task(each.wait()) for each in asked]
            await until(lambda: sum(task.done() for task in ended) >= 35, "all but five are refused")
            held = await root.call(wire.ListRequests, list[wire.RequestInfo], state="held")
            assert len(held) == 5
            refused = [task.result() for task in ended if task.done()]
            assert {result.exit_status for result in refused} == {125}
            assert all("5 requests are held already" in result.stderr for result in refused)
            await root.vote(held[0], Choice.DENY, "no")
            late = await one.create_process("echo late", stdin=asyncssh.DEVNULL)
            await house.decide(root, command=b"echo late")
            assert (await late.wait()).stdout == "late\n"
        await root.close()
    finally:
        assert house.stop() == 0
    assert verify(house.config.store).verdict is Verdict.OK


async def test_shells_leave_connections_for_others(tmp_path: Path, target: Sshd) -> None:
    """Each is a connection to the target, before anybody was asked: one agent has half of them, on however many of its
    channels it asks, and the next when one has ended."""
    house = House(tmp_path)
    house.add_target("web-1", target)
    house.configure("\n[limits]\nconnections = 8\n")
    house.start()
    try:
        async with connect(house) as one, connect(house, "agent-8") as other:

            async def opened(connection: asyncssh.SSHClientConnection) -> asyncssh.SSHClientProcess[str]:
                process = await connection.create_process(term_type="xterm")
                process.collected = await process.stdout.readuntil(["$ ", "# ", "already"])  # type: ignore[attr-defined]
                return process

            shells = [await opened(one) for _ in range(4)]
            late = await opened(one)
            assert "agent-7 has 4 shells open already" in late.collected  # type: ignore[attr-defined]
            assert (await late.wait()).exit_status == 125
            beside = await opened(other)
            assert "already" not in beside.collected  # type: ignore[attr-defined]
            shells.pop().close()
            async with asyncio.timeout(PATIENCE):
                while "already" in (again := await opened(one)).collected:  # type: ignore[attr-defined]
                    await again.wait()
            for each in (*shells, beside, again):
                each.close()
    finally:
        assert house.stop() == 0
