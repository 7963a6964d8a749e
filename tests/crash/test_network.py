"""The network between bastion and target is cut, or swallows everything; and clients that only take up room.

After each: what ran has its entries, whoever waits is told, and the next command works.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bastion.admin import administering
from bastion.control import wire
from bastion.errors import Conflict
from bastion.model import Choice
from recorder.entry import Entry
from recorder.verify import Verdict, verify
from tests.support.house import House
from tests.support.ports import until
from tests.support.relay import Relay
from tests.support.sshd import LOGIN, Sshd

pytestmark = pytest.mark.e2e

CONNECTIONS = 40
LOGIN_SECONDS = 2


@pytest.fixture
async def relay(target: Sshd) -> AsyncIterator[Relay]:
    async with Relay(target.port) as relay:
        yield relay


@pytest.fixture
async def far(house: House, target: Sshd, relay: Relay) -> AsyncIterator[House]:
    """A bastion whose target `far` is behind the relay, and which looks after its connections often."""
    with administering(house.config, "local:0") as admin:
        admin.add_target(
            "far", f"127.0.0.1:{relay.port}", [LOGIN], "test", [target.host_key], f"key:{target.credential}"
        )
    house.configure(
        f"\n[limits]\nkeepalive_seconds = 1\nlogin_seconds = {LOGIN_SECONDS}\nconnections = {CONNECTIONS}\n"
        "[targets]\nconnect_seconds = 2\n"
    )
    house.start()
    yield house
    assert house.stop() == 0
    assert verify(house.config.store).verdict is Verdict.OK


def entries(house: House, kind: str) -> list[Entry]:
    """All of a type."""
    with house.recorded() as reader:
        return list(reader.entries(types=(kind,)))


@pytest.mark.parametrize("how", ["cut", "swallow"])
async def test_the_network_goes_while_a_command_runs(far: House, relay: Relay, how: str) -> None:
    root = await far.local()
    ssh = await far.ssh("far", "echo began; sleep 1000")
    await far.decide(root)
    assert ssh.stdout is not None
    assert await ssh.stdout.readline() == b"began\n"
    getattr(relay, how)()
    begun = time.monotonic()
    outcome = await far.finish(ssh)
    assert outcome.status not in (0, 126)
    assert "bastion: " in outcome.stderr
    assert time.monotonic() - begun < 15
    assert len(entries(far, "command.finished")) == 1
    relay.heal()
    again = await far.ssh("far", "echo again")
    await far.decide(root, command=b"echo again")
    assert (await far.finish(again)).stdout == b"again\n"
    await root.close()


async def test_a_target_that_swallows_everything_is_said_before_long(far: House, relay: Relay, tmp_path: Path) -> None:
    root = await far.local()
    relay.swallow()
    ssh = await far.ssh("far", f"touch {tmp_path}/marker")
    await far.decide(root)
    outcome = await far.finish(ssh)
    assert outcome.status not in (0, 126)
    assert "bastion: " in outcome.stderr
    assert not (tmp_path / "marker").exists()
    await root.close()


async def test_an_approver_who_goes_in_the_middle_of_a_vote(far: House) -> None:
    """It counts or it does not; the agent is told one of the two, and it is what the ledger says."""
    root = await far.local()
    for number in range(10):
        command = f"echo {number}"
        ssh = await far.ssh("far", command)
        info = await far.held(root, command.encode())
        ana = await far.remote("ana")
        vote = asyncio.create_task(ana.vote(info, Choice.APPROVE, ""))
        for _ in range(number):
            await asyncio.sleep(0)
        await ana.close()
        await asyncio.gather(vote, return_exceptions=True)
        now = await root.call(wire.ShowRequest, wire.RequestInfo, request=info.id)
        if now.state == "held":
            with contextlib.suppress(Conflict):  # it was on its way
                await root.vote(now, Choice.DENY, "once more")
        outcome = await far.finish(ssh)
        decided = [entry for entry in entries(far, "request.decided") if entry.request == info.id]
        assert [entry.body["choice"] for entry in decided] == ["approve" if outcome.status == 0 else "deny"]
    await root.close()


async def test_half_open_connections_and_slow_ones_leave(far: House, relay: Relay) -> None:
    """Ten times as many as there is room for, each from an address of its own, some sending a byte now and then: they
    are turned away or ended in time, and agents and people come in again."""
    root = await far.local()
    await far.whitelist(root, b"echo in", target="far")
    attackers: list[socket.socket] = []
    try:
        for number in range(10 * CONNECTIONS):
            each = socket.socket()
            each.setblocking(False)
            each.bind((f"127.1.{number // 250}.{number % 250 + 1}", 0))
            with_error = each.connect_ex(("127.0.0.1", far.port))
            assert with_error in (0, 115)
            attackers.append(each)
        assert (await root.call(wire.ListSessions, list[wire.SessionInfo])) == []  # the local socket is another door

        async def drip() -> None:
            while True:
                for each in attackers[::7]:
                    try:
                        each.send(b"S")
                    except OSError:
                        continue
                await asyncio.sleep(0.1)

        dripping = asyncio.create_task(drip())
        begun = time.monotonic()
        while (outcome := await far.run("far", "echo in")).status != 0:
            assert time.monotonic() - begun < LOGIN_SECONDS + 10, outcome.stderr
        assert outcome.stdout == b"in\n"
        dripping.cancel()
        await until(lambda: descriptors(far) < CONNECTIONS + 60, "their descriptors are free")
    finally:
        for each in attackers:
            each.close()
    await root.close()


def descriptors(house: House) -> int:
    """Open files of the daemon."""
    return len(list(Path(f"/proc/{house.pid}/fd").iterdir()))
