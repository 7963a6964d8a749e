"""A target whose login has a home of its own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.governed import plain_home
from tests.support.sshd import Sshd


@pytest.fixture(scope="module")
def sshd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    """One for each file: some leave processes behind."""
    target = plain_home(tmp_path_factory.mktemp("target"))
    target.start()
    yield target
    target.stop()
