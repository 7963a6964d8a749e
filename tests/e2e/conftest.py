"""A bastion with one target, on real parts; one of each for all tests of a file that do not break them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from bastion.control.client import Client
from tests.support.house import HOLD, House
from tests.support.sshd import Sshd


def make_house(work: Path, sshd: Sshd, policy: str = HOLD) -> House:
    """A bastion that knows the target; not started."""
    house = House(work, policy)
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


@pytest.fixture
def there(tmp_path: Path) -> Path:
    """A directory of the target, for transfers."""
    made = tmp_path / "target"
    made.mkdir()
    return made


@pytest.fixture
def nothing_is_left(house: House, there: Path) -> Iterator[None]:
    """Whatever a test did: no staged byte, no file of the bastion's own on the target."""
    yield
    assert [path for path in house.config.staging.rglob("*") if path.is_file()] == []
    assert [path.name for path in there.rglob(".bastion-*")] == []
