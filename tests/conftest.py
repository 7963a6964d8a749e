"""For all tests: hypothesis without deadlines, since the machine is shared and slowness is measured elsewhere; and the
files that take longest first, so that several processes end at about the same time."""

from __future__ import annotations

import os

import pytest
from hypothesis import HealthCheck, settings

settings.register_profile("default", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("long", settings.get_profile("default"), max_examples=2000)
settings.register_profile("ci", settings.get_profile("default"), derandomize=True)  # the same for the same code
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci" if os.environ.get("CI") else "default"))

LONG = (
    *("tests/bypass/test_vectors", "tests/tui/test_app", "tests/crash/test_kill.py", "tests/e2e/test_demo"),
    *("tests/e2e/test_sftp_bulk", "tests/e2e/test_bulk", "tests/dev/", "tests/bastion/cli/test_live", "tests/bypass/"),
    *("tests/e2e/", "tests/tui/", "tests/crash/", "tests/bastion/cli/", "tests/bastion/ssh/", "tests/soak/"),
    *("tests/bastion/gate/", "tests/recorder/", "tests/bastion/policy/"),
)
"""What takes minutes, the longest first. A file stays in one process (./dev test)."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A stable order: within a file nothing moves."""

    def rank(item: pytest.Item) -> int:
        path = item.path.as_posix()
        return next((at for at, part in enumerate(LONG) if part in path), len(LONG))

    items.sort(key=rank)
