"""Free ports and waiting for conditions."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Callable

PATIENCE = 45.0
"""Seconds until a condition that should come true counts as a failure. A daemon's start takes two of processor time, of
which a machine that builds several things at once gives it a tenth."""


def free_port() -> int:
    """A loopback port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def listening(port: int) -> bool:
    """Whether somebody answers there."""
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def wait_until(condition: Callable[[], object], what: str, patience: float = PATIENCE) -> None:
    """Return once `condition()` holds; AssertionError after `patience` seconds."""
    end = time.monotonic() + patience
    while not condition():
        assert time.monotonic() < end, f"{what}: not within {patience} s"
        time.sleep(0.01)


async def until(condition: Callable[[], object], what: str, patience: float = PATIENCE) -> None:
    """The same for a loop that has to go on."""
    end = time.monotonic() + patience
    while not condition():
        assert time.monotonic() < end, f"{what}: not within {patience} s"
        await asyncio.sleep(0.01)
