"""Targets whose sshd allows little: what the agent is told, and that the bastion helps itself. Promise P4."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from bastion.control.client import Client
from bastion.model import Choice
from tests.support.house import House
from tests.support.ports import wait_until
from tests.support.sftp import READS_FLOW, far, scp
from tests.support.sshd import Sshd

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    made = House(tmp_path_factory.mktemp("house"), READS_FLOW)
    targets = {
        "single-1": Sshd(tmp_path_factory.mktemp("single"), extra="MaxSessions 1"),
        "forced-1": Sshd(tmp_path_factory.mktemp("forced"), extra="ForceCommand echo something else"),
        "gone-1": Sshd(tmp_path_factory.mktemp("gone")),
    }
    for name, sshd in targets.items():
        made.add_target(name, sshd)
        if name != "gone-1":
            sshd.start()
    made.start()
    yield made
    made.stop()
    for sshd in targets.values():
        sshd.stop()


async def test_a_connection_without_room_is_not_the_end(house: House, ana: Client, tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("mine")
    command = f"touch {tmp_path}/runs; cat"
    running = await house.ssh("single-1", command, stdin=b"")
    await house.decide(ana, Choice.APPROVE, command=command.encode())
    await asyncio.to_thread(wait_until, (tmp_path / "runs").exists, "the command runs")
    done = await house.finish(await scp(house, far(tmp_path / "mine").replace("web-1", "single-1"), tmp_path / "here"))
    assert done.status == 0, done.stderr
    assert (tmp_path / "here").read_text() == "mine"
    assert (await house.finish(running, b"")).status == 0


@pytest.mark.parametrize(("target", "words"), [("forced-1", "serves no SFTP"), ("gone-1", "does not answer")])
async def test_a_target_without_sftp_is_said_to_be_one(house: House, tmp_path: Path, target: str, words: str) -> None:
    done = await house.finish(await scp(house, far(tmp_path / "mine").replace("web-1", target), tmp_path / "here"))
    assert done.status != 0
    assert words in done.stderr
