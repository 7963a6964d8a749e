from __future__ import annotations

from datetime import UTC, datetime

import pytest

from bastion.cli.searches import moment
from bastion.errors import UsageError


def test_moments() -> None:
    now = 1_000_000.0
    assert moment("--since", "", now) == 0
    assert moment("--since", "90m", now) == (1_000_000 - 5400) * 1_000_000
    assert moment("--since", "2d", now) == (1_000_000 - 2 * 86400) * 1_000_000
    given = datetime(2026, 11, 20, 14, 30, tzinfo=UTC)
    assert moment("--since", "2026-11-20T14:30+00:00", now) == int(given.timestamp()) * 1_000_000


@pytest.mark.parametrize("text", ["soon", "0m", "9999999d", "999999d", "1w", "2026-13-01", "1900-01-01", "-5m", "nan"])
def test_what_is_no_time(text: str) -> None:
    with pytest.raises(UsageError):
        moment("--since", text, 1_000_000.0)
