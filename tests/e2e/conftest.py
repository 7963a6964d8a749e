"""A bastion with one target, on real parts; one of each for all tests of a file that do not break them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import fixtures
from tests.support.house import House

ana, house, sshd = fixtures.ana, fixtures.house, fixtures.sshd


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
