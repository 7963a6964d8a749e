"""Time, in one place, so that tests can move it.

Two clocks: the monotonic one for everything that ends (timeouts, tickets), and the wall clock for what people read
and for ends that outlive the daemon (a whitelist entry's expiry). The wall clock here never goes back: a host whose
clock is set back must not revive what had expired.
"""

from __future__ import annotations

import time
from dataclasses import dataclass


@dataclass(slots=True)
class Clock:
    """The daemon's clock. `floor` is the latest wall time that the ledger has seen, in microseconds."""

    floor: int = 0

    def wall(self) -> int:
        """Microseconds since the epoch, never less than an earlier answer."""
        self.floor = max(self.floor, time.time_ns() // 1000)
        return self.floor

    def monotonic(self) -> float:
        """Seconds of the monotonic clock."""
        return time.monotonic()
