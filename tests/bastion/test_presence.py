"""Who watches the queue, and what becomes of a request that nobody who watches may decide."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from bastion import presence
from bastion.clock import Clock
from bastion.control import wire
from bastion.control.client import Client
from bastion.model import Choice
from bastion.presence import Presence
from tests.support.house import House
from tests.support.ports import until
from tests.support.sshd import Sshd

POLICY = """policy "tests" {
  version 1
  group oncall "ana"
  group boss "ben"
  approvals 1 from oncall
  escalate when absent to boss
}
"""


def names(found: list[wire.PresenceInfo]) -> list[tuple[str, bool, int]]:
    return [(each.name, each.decides, each.consoles) for each in found]


async def test_people_come_and_leave(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(presence, "GRACE_SECONDS", 0.05)
    it, seen, missed = Presence(Clock()), list[list[tuple[str, bool, int]]](), list[int]()
    it.changed, it.missed = lambda people: seen.append(names(people)), lambda: missed.append(1)
    first = it.enter("ana", decides=True, local=False)
    second = it.enter("ana", decides=True, local=False)
    eve = it.enter("eve", decides=False, local=False)
    assert names(it.infos()) == [("ana", True, 2), ("eve", False, 1)]
    assert it.deciders() == [("ana", False), ("ana", False)]
    before = it.infos()[0].active
    it.asked("ana")
    assert it.infos()[0].active >= before
    for leave in (first, second, eve, eve):
        leave()
    assert it.infos() == []
    assert [len(each) for each in seen] == [1, 1, 2, 2, 1, 0, 0]
    await until(lambda: missed == [1], "it is looked at once, after the grace")
    it.close()


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    sshd = Sshd(tmp_path_factory.mktemp("target"))
    sshd.start()
    made = House(tmp_path_factory.mktemp("house"), POLICY)
    made.add_target("web-1", sshd)
    made.start()
    yield made
    made.stop()
    sshd.stop()


async def watch(house: House, who: str) -> tuple[Client, asyncio.Task[None], list[wire.Push]]:
    client, pushes = await house.remote(who), list[wire.Push]()

    async def read() -> None:
        async for push in client.pushes():
            pushes.append(push)

    await client.call(wire.Subscribe, type(None))
    return client, asyncio.get_running_loop().create_task(read(), name="pushes"), pushes


async def end(client: Client, reading: asyncio.Task[None]) -> None:
    reading.cancel()
    await asyncio.gather(reading, return_exceptions=True)
    await client.close()


@pytest.mark.e2e
async def test_nobody_watches_and_the_request_goes_on(house: House) -> None:
    ben = await house.remote("ben")
    ssh = await house.ssh("web-1", "echo alone")
    info = await house.held(ben, b"echo alone")
    assert (info.escalated, info.escalation) == (["boss"], [(0, "boss")])
    await ben.vote(info, Choice.APPROVE, "")  # who is not in the group that policy wants
    assert (await house.finish(ssh)).stdout == b"alone\n"
    await ben.close()


@pytest.mark.e2e
async def test_somebody_watches(house: House, tmp_path: Path) -> None:
    ana, reading, pushes = await watch(house, "ana")
    people = await ana.call(wire.ListPresence, list[wire.PresenceInfo])
    assert names(people) == [("ana", True, 1)]
    ssh = await house.ssh("web-1", "echo watched")
    info = await house.held(ana, b"echo watched")
    assert info.escalated == []
    put_aside = await ana.call(wire.SnoozeRequest, wire.RequestInfo, request=info.id, until=info.expires - 1_000_000)
    assert put_aside.escalated == ["boss"]
    await until(
        lambda: any(isinstance(push, wire.Alert) and push.kind == "presence.absent" for push in pushes),
        "who put it aside is not there for it",
    )
    assert (await ana.call(wire.ShowRequest, wire.RequestInfo, request=info.id)).escalated == ["boss"]
    eve, eves, _ = await watch(house, "eve")
    await until(
        lambda: any(isinstance(push, wire.PresenceChanged) and len(push.people) == 2 for push in pushes),
        "ana is told who came",
    )
    await end(eve, eves)
    await ana.vote(info, Choice.APPROVE, "")
    await house.finish(ssh)
    await end(ana, reading)
