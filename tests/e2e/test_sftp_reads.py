"""Downloads over SFTP, with the real scp and sftp against a real sshd. Promises P1, P2, P3."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from bastion.control import wire
from bastion.control.client import Client
from tests.support.house import House
from tests.support.sftp import READS_FLOW, far, scp
from tests.support.sshd import Sshd

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory, sshd: Sshd) -> Iterator[House]:
    made = House(tmp_path_factory.mktemp("house"), READS_FLOW)
    made.add_target("web-1", sshd)
    made.start()
    yield made
    made.stop()


async def requests(ana: Client) -> list[wire.RequestInfo]:
    return await ana.call(wire.ListRequests, list[wire.RequestInfo])


async def test_scp_brings_a_file_and_the_ledger_has_its_hash(house: House, ana: Client, tmp_path: Path) -> None:
    data = os.urandom(3_000_000)
    (tmp_path / "there").write_bytes(data)
    done = await house.finish(await scp(house, "-p", far(tmp_path / "there"), tmp_path / "here"))
    assert (done.status, done.stderr) == (0, "")
    assert (tmp_path / "here").read_bytes() == data
