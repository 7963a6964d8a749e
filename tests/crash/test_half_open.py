"""Ten thousand connections that never log in, each from an address of its own: the daemon's descriptors stay bounded,
whoever is in goes on working, and everybody else comes in again when `login_seconds` are over; also where the host lets
the daemon have few descriptors."""

from __future__ import annotations

import asyncio
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from bastion.descriptors import EACH, RESERVED
from recorder.verify import Verdict, verify
from tests.support.house import House
from tests.support.raw import connect

pytestmark = pytest.mark.e2e

ATTACKERS = 10_000
AT_ONCE = 5_000
"""That this process holds open: with the other half of it they are as many as its own descriptors."""
LOGIN_SECONDS = 2
LIMITED = 192
"""Descriptors of a daemon that gets few."""


@pytest.fixture(params=[0, LIMITED], ids=["as the host has it", "few descriptors"])
def daemon(request: pytest.FixtureRequest, house: House) -> Iterator[House]:
    house.configure(f"\n[limits]\nlogin_seconds = {LOGIN_SECONDS}\nconnections = 400\n")
    few = ("prlimit", f"--nofile={request.param}:{request.param}") if request.param else ()
    house.start(program=(*few, sys.executable, "-m", "bastion"))
    yield house
    assert house.stop() == 0
    assert verify(house.config.store).verdict is Verdict.OK


def descriptors(house: House) -> int:
    return len(list(Path(f"/proc/{house.pid}/fd").iterdir()))


def limit(house: House) -> int:
    for line in Path(f"/proc/{house.pid}/limits").read_text().splitlines():
        if line.startswith("Max open files"):
            return int(line.split()[3])
    raise ValueError("no such line")


def opened(house: House, number: int) -> socket.socket:
    """A connection from an address of its own; whether it is taken is seen later."""
    made = socket.socket()
    made.setblocking(False)
    made.bind((f"127.{1 + number // 62_500}.{number // 250 % 250}.{number % 250 + 1}", 0))
    made.connect_ex(("127.0.0.1", house.port))
    return made


async def test_ten_thousand_half_open_connections(daemon: House) -> None:
    house = daemon
    root = await house.local()
    await house.whitelist(root, b"echo in")
    connections = min(400, (limit(house) - RESERVED) // EACH)
    assert ("descriptors are few" in house.log.read_text()) == (connections < 400)
    most = 0
    async with connect(house) as inside:
        with ExitStack() as attackers:
            begun = time.monotonic()
            for number in range(ATTACKERS):
                made = opened(house, number)
                if number < AT_ONCE:
                    attackers.callback(made.close)
                else:
                    made.close()
                if number % 500 == 0:
                    most = max(most, descriptors(house))
                    result = await inside.run("echo in")
                    assert (result.exit_status, result.stdout) == (0, "in\n"), result.stderr
            assert most <= connections // 2 + RESERVED
            while (outcome := await house.run("web-1", "echo in")).status != 0:
                assert time.monotonic() - begun < LOGIN_SECONDS + 30, outcome.stderr
            person = await house.remote("ben")
            await person.close()
    with suppress(TimeoutError):
        async with asyncio.timeout(LOGIN_SECONDS + 10):
            while descriptors(house) > RESERVED // 2:  # noqa: ASYNC110 -- another process'
                await asyncio.sleep(0.05)
    assert descriptors(house) <= RESERVED // 2
    await root.close()
