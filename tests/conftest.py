"""For all tests: hypothesis without deadlines, since the machine is shared and slowness is measured elsewhere; and the
files that take longest first, so that several processes end at about the same time."""

from __future__ import annotations

import os
import time
import zlib

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


TURNS = 5
MATRICES = ("tests/bypass/", "tests/crash/", "tests/e2e/", "tests/soak/", "tests/spoofing/", "tests/tui/")
"""Tests on real parts, which take most of the time. A build (CI is set) has 15 minutes: there those run whose turn it
is, another fifth each day. `./dev test` by hand runs all of them."""
ALWAYS = (
    "test_main_job",
    "test_shell.py",
    "test_governed",
    "test_policy",
    "test_evidence",
    "test_sftp_writes",
    "test_access",
)
"""What each build runs whole: the first thing that each part is for."""


def _its_turn(item: pytest.Item, turn: int) -> bool:
    path = item.path.as_posix()
    rotates = any(part in path for part in MATRICES) and not any(name in path for name in ALWAYS)
    return not rotates or zlib.crc32(item.nodeid.encode()) % TURNS == turn


def pytest_configure(config: pytest.Config) -> None:
    """Where only a turn's tests run, pictures of the others are not left over: syrupy would fail the build for them."""
    if os.environ.get("CI"):
        config.option.disable_unused_snapshots = True


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """A stable order: within a file nothing moves."""
    if os.environ.get("CI"):
        turn = int(os.environ.get("BASTION_TURN") or time.time() // 86400) % TURNS
        waiting = [item for item in items if not _its_turn(item, turn)]
        items[:] = [item for item in items if _its_turn(item, turn)]
        config.hook.pytest_deselected(items=waiting)

    def rank(item: pytest.Item) -> int:
        path = item.path.as_posix()
        return next((at for at, part in enumerate(LONG) if part in path), len(LONG))

    items.sort(key=rank)
