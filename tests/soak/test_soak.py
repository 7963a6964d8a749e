"""The soak, for as long as a build has time."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.soak.soak import WEIGHTS, Soak

pytestmark = pytest.mark.e2e
QUICK = WEIGHTS | {"ignored": 0}
"""What nobody decides takes half a minute each."""


async def test_a_short_soak(tmp_path: Path) -> None:
    soak = Soak(tmp_path, sessions=8, kinds=QUICK)
    report = await soak.run(5)
    assert not report.faults
    assert report.figures["told"]
