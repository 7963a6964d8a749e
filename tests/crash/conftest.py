"""Houses and targets of a test's own, because these tests break them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.house import House
from tests.support.sshd import Sshd


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    """One target; nothing here stops it."""
    sshd = Sshd(tmp_path_factory.mktemp("target"))
    sshd.start()
    yield sshd
    sshd.stop()


@pytest.fixture
def house(tmp_path: Path, target: Sshd) -> Iterator[House]:
    """A bastion, not started."""
    made = House(tmp_path / "house")
    made.add_target("web-1", target)
    yield made
    made.stop()
