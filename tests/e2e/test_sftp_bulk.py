"""Big files over SFTP, both ways: byte-equal, and the daemon's memory stays as it was. 64 MiB; 1 GiB with `-m slow`."""

from __future__ import annotations

import filecmp
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from bastion.control import wire
from bastion.control.client import Client
from bastion.model import Choice
from tests.support.house import House
from tests.support.ports import wait_until
from tests.support.sftp import READS_FLOW, far, scp
from tests.support.sshd import Sshd

pytestmark = pytest.mark.e2e

MIB = 1 << 20

GROWTH = 48 * MIB
"""Bytes that the daemon may grow by: windows of both connections, blocks under way, what the allocator keeps."""


@pytest.fixture
def house(tmp_path: Path, sshd: Sshd) -> Iterator[House]:
    made = House(tmp_path / "house", READS_FLOW)
    made.add_target("web-1", sshd)
    made.start()
    yield made
    made.stop()


def peak(house: House) -> int:
    """The most memory that the daemon ever had, in bytes (proc(5), VmHWM)."""
    lines = Path(f"/proc/{house.pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))


LARGE = int(os.environ.get("BASTION_BULK_MIB", "256")) * MIB
"""1 GiB takes 40 s; a build has less time."""


@pytest.mark.parametrize("size", [64 * MIB, pytest.param(LARGE, marks=[pytest.mark.slow, pytest.mark.timeout(900)])])
async def test_big_files_both_ways(house: House, ana: Client, tmp_path: Path, size: int) -> None:
    mine, there, back = tmp_path / "mine", tmp_path / "there", tmp_path / "back"
    with mine.open("wb") as file:
        for _ in range(size // MIB):
            file.write(os.urandom(MIB))
    small = await scp(house, __file__, far(tmp_path / "small"))  # what every first transfer brings into memory
    await house.decide(ana, Choice.APPROVE)
    assert (await house.finish(small)).status == 0
    before = peak(house)
    process = await scp(house, mine, far(there))
    held: list[wire.RequestInfo] = []
    while not held:
        held = await ana.call(wire.ListRequests, list[wire.RequestInfo], state="held")
    assert not there.exists()
    await ana.vote(held[0], Choice.APPROVE, "fine")
    assert await process.wait() == 0
    assert filecmp.cmp(mine, there, shallow=False)
    process = await scp(house, far(there), back)
    assert await process.wait() == 0
    assert filecmp.cmp(mine, back, shallow=False)
    assert peak(house) - before < GROWTH
    wait_until(lambda: list(house.config.staging.iterdir()) == [], "nothing is staged any more")


@pytest.fixture
async def ana(house: House) -> object:
    client = await house.remote("ana")
    yield client
    await client.close()
