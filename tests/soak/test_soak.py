"""The soak, for as long as a build has time."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.soak.soak import Soak

pytestmark = pytest.mark.e2e


async def test_a_short_soak(tmp_path: Path) -> None:
    soak = Soak(tmp_path, sessions=12)
    report = await soak.run(8)
    assert not report.faults
    assert report.figures["told"]
