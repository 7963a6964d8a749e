"""A bastion with one target, on real parts; one of each for all tests of a file that do not break them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from bastion.control.client import Client
from tests.support.house import House
from tests.support.sshd import Sshd


def make_house(work: Path, sshd: Sshd) -> House:
    """A bastion that knows the target; not started."""
    house = House(work)
    house.add_target("web-1", sshd)
    return house


@pytest.fixture(scope="session")
def sshd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    """A target for everybody who does not stop it."""
    target = Sshd(tmp_path_factory.mktemp("target"))
    target.start()
    yield target
    target.stop()


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory, sshd: Sshd) -> Iterator[House]:
    """A running bastion."""
    made = make_house(tmp_path_factory.mktemp("house"), sshd)
    made.start()
    yield made
    made.stop()


@pytest.fixture
async def ana(house: House) -> AsyncIterator[Client]:
    """An approver at a control connection."""
    client = await house.remote("ana")
    yield client
    await client.close()
