"""Time, in one place, so that tests can move it.

Two clocks: the monotonic one for everything that ends (timeouts, tickets), and the wall clock for what people read
and for ends that outlive the daemon (a whitelist entry's expiry). The wall clock here never goes back: a host whose
clock is set back must not revive what had expired. Nor does it stand still until the host's has caught up, for then
nothing would expire meanwhile: it goes on at the pace of the monotonic one.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field


@dataclass(slots=True)
class Clock:
    """The daemon's clock. `floor` is the latest wall time that the ledger has seen, in microseconds."""

    floor: int = 0
    _at: int = field(init=False)
    """Of the monotonic clock, when it was `floor`."""

    def __post_init__(self) -> None:
        self._at = time.monotonic_ns()

    def wall(self) -> int:
        """Microseconds since the epoch, never less than an earlier answer and what has passed since."""
        now = time.monotonic_ns()
        self.floor = max(self.floor + (now - self._at) // 1000, time.time_ns() // 1000)
        self._at = now
        return self.floor

    def monotonic(self) -> float:
        """Seconds of the monotonic clock."""
        return time.monotonic()
