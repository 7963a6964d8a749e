"""Connections that are made while a person decides: nobody is logged in before an approval, and nobody is told of them.
Promises P1, P9."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest

from bastion.control import wire
from bastion.control.client import Client
from bastion.errors import BastionError
from bastion.model import Choice
from bastion.spent import NAME
from bastion.ssh.early import UNUSED
from tests.e2e.test_certificates import trusting
from tests.support.house import House
from tests.support.relay import Relay
from tests.support.sshd import LOGIN, Sshd

pytestmark = pytest.mark.e2e

POLICY = 'policy "early" {\n  version 1\n  deny command "shutdown **"\n}\n'


@pytest.fixture(scope="module")
def houses(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[House, Sshd]]:
    made = House(tmp_path_factory.mktemp("house"), POLICY)
    sshd = trusting(tmp_path_factory.mktemp("target"), made)
    made.start()
    yield made, sshd
    made.stop()
    sshd.stop()
    said = made.log.read_text()
    assert "Traceback" not in said
    assert "never retrieved" not in said


@pytest.fixture
def house(houses: tuple[House, Sshd]) -> House:
    return houses[0]


@pytest.fixture
async def ana(house: House) -> AsyncIterator[Client]:
    client = await house.remote("ana")
    yield client
    await client.close()


class Way(Relay):
    """The network between the bastion and a target of its own, whose connections are counted."""

    name = ""


@pytest.fixture(params=["ca", "key"])
async def way(request: pytest.FixtureRequest, houses: tuple[House, Sshd]) -> AsyncIterator[Way]:
    house, sshd = houses
    async with Way(sshd.port) as made:
        made.name = f"web-{made.port}"
        local = await house.local()
        await local.call(
            wire.AddTarget,
            wire.TargetInfo,
            name=made.name,
            address=f"127.0.0.1:{made.port}",
            logins=[LOGIN],
            env="test",
            host_keys=[sshd.host_key],
            credential="ca" if request.param == "ca" else f"key:{sshd.credential}",
        )
        yield made
        with contextlib.suppress(BastionError):
            await local.call(wire.RemoveTarget, wire.TargetInfo, name=made.name)
        await local.close()


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110 -- neither relay nor sshd tells anybody
            await asyncio.sleep(0.01)


def logins(house: tuple[House, Sshd]) -> int:
    return (house[1].work / "log").read_text().count("Accepted publickey")


async def test_it_is_there_and_logged_in_only_when_approved(
    houses: tuple[House, Sshd], ana: Client, way: Way, tmp_path: Path
) -> None:
    house, _ = houses
    before, spent = logins(houses), (house.config.state / NAME).read_bytes()
    process = await house.ssh(way.name, f"touch {tmp_path}/ran; echo done")
    await house.held(ana)
    await until(lambda: way.open == 1)
    assert logins(houses) == before
    assert (house.config.state / NAME).read_bytes() == spent  # no certificate before an approval
    await house.decide(ana)
    outcome = await house.finish(process)
    assert (outcome.status, outcome.stdout) == (0, b"done\n"), outcome.stderr
    assert (logins(houses), way.taken) == (before + 1, 1)


@pytest.mark.parametrize("end", ["denied", "withdrawn", "removed"])
async def test_it_ends_with_the_request(houses: tuple[House, Sshd], ana: Client, way: Way, end: str) -> None:
    house, _ = houses
    before = logins(houses)
    process = await house.ssh(way.name, "touch /nonexistent/canary")
    await house.held(ana)
    await until(lambda: way.open == 1)
    if end == "denied":
        await house.decide(ana, Choice.DENY)
    elif end == "withdrawn":
        process.terminate()
    else:
        local = await house.local()
        await local.call(wire.RemoveTarget, wire.TargetInfo, name=way.name)
        await local.close()
    await until(lambda: way.open == 0)
    await house.finish(process)
    assert (logins(houses), way.taken) == (before, 1)


async def test_what_is_denied_at_once_reaches_nobody(house: House, way: Way) -> None:
    assert (await house.run(way.name, "shutdown -h now")).status == 126
    assert (await house.run(way.name, "uptime", options=("-o", "SetEnv=BASTION_WAIT=no"))).status == 75
    assert way.taken == 0


async def test_one_who_proposes_over_and_over(house: House, ana: Client, way: Way) -> None:
    """sshd shuts out who connects and never logs in; the bastion must not be made to."""
    for number in range(5):
        process = await house.ssh(way.name, f"touch /nonexistent/{number}")
        await house.held(ana, f"touch /nonexistent/{number}".encode())
        process.terminate()
        await house.finish(process)
    assert way.taken <= UNUSED


async def test_many_at_once(house: House, ana: Client, way: Way) -> None:
    commands = [f"echo {number}" for number in range(5)]
    processes = [await house.ssh(way.name, command) for command in commands]
    for command in commands:
        await house.held(ana, command.encode())
    assert way.open <= UNUSED
    for command in commands:
        await house.decide(ana, command=command.encode())
    outcomes = [await house.finish(process) for process in processes]
    assert [each.stdout for each in outcomes] == [b"%d\n" % number for number in range(5)]


async def test_a_target_that_is_down_says_nothing_before_it_is_needed(
    houses: tuple[House, Sshd], ana: Client, way: Way
) -> None:
    house, sshd = houses
    sshd.stop()
    process = await house.ssh(way.name, "echo back")
    await house.held(ana)
    await until(lambda: way.taken == 1 and way.open == 0)
    held = (await house.held(ana)).state
    sshd.start()
    await house.decide(ana)
    outcome = await house.finish(process)
    assert held == "held"
    assert (outcome.status, outcome.stdout) == (0, b"back\n"), outcome.stderr
    assert [line.split()[1] for line in outcome.stderr.splitlines()] == ["held", "approved"]


async def test_a_connection_that_was_lost_meanwhile(house: House, ana: Client, way: Way) -> None:
    process = await house.ssh(way.name, "echo again")
    await house.held(ana)
    await until(lambda: way.open == 1)
    await asyncio.sleep(0)
    way.cut()
    await until(lambda: way.open == 0)
    await house.decide(ana)
    outcome = await house.finish(process)
    assert (outcome.status, outcome.stdout) == (0, b"again\n"), outcome.stderr


async def test_with_a_terminal(houses: tuple[House, Sshd], ana: Client, way: Way) -> None:
    house, _ = houses
    before = logins(houses)
    process = await house.ssh(way.name, "tty && echo done", options=("-tt",))
    await house.held(ana)
    await until(lambda: way.open == 1)
    assert logins(houses) == before
    await house.decide(ana)
    outcome = await house.finish(process)
    assert b"done" in outcome.stdout, outcome.stderr
    assert (logins(houses), way.taken) == (before + 1, 1)
