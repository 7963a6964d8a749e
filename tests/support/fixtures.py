"""Fixtures of real parts, for the conftest.py of a directory: `from tests.support.fixtures import house, sshd`.

A bastion with one target; one of each for all tests of a file that do not break them.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest

from bastion.control.client import Client
from tests.support.house import HOLD, House, make_house
from tests.support.sshd import Sshd


@pytest.fixture(scope="session")
def sshd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    """A target for everybody who does not stop it."""
    target = Sshd(tmp_path_factory.mktemp("target"))
    target.start()
    yield target
    target.stop()


@pytest.fixture(scope="module")
def house(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, sshd: Sshd) -> Iterator[House]:
    """A running bastion, with the policy that the file names as HOUSE_POLICY; else it holds everything."""
    made = make_house(tmp_path_factory.mktemp("house"), sshd, getattr(request.module, "HOUSE_POLICY", HOLD))
    made.start()
    yield made
    made.stop()


@pytest.fixture
async def ana(house: House) -> AsyncIterator[Client]:
    """An approver at a control connection."""
    client = await house.remote("ana")
    yield client
    await client.close()
