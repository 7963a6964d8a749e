"""Time for entries, in one place, so that tests can set it back.

Two clocks: the wall clock for people, which may jump either way, and the monotonic clock, which orders the entries of
one boot. The boot identifier says which boot: monotonic times of different boots do not compare.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Clock:
    """Where time comes from."""

    wall: Callable[[], int]
    """Nanoseconds since the epoch."""
    monotonic: Callable[[], int]
    """Nanoseconds; never goes back within a boot."""
    boot: str
    """Identifier of the boot: hex digits and dashes."""


def system_clock() -> Clock:
    """The machine's clocks. Where the kernel gives no boot identifier (no /proc), one is made for this process."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip().lower()
    except OSError:
        boot = str(uuid.uuid4())
    return Clock(time.time_ns, time.monotonic_ns, boot)
