"""What each identity did lately, as far as policy counts it: requests, and the targets that they reached. Pure.

One for a daemon; the daemon notes a request when it is proposed, and fills it from the ledger at its start, so that a
restart gives nobody a fresh allowance. What is older than a day is forgotten, since no limit looks further back.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

KEPT_MICROSECONDS = 86_400 * 1_000_000

REQUESTS_KEPT = 10_000
"""Requests of one identity that are counted: the most that `rate` can ask for."""


@dataclass(slots=True)
class Usage:
    """Times are microseconds since the epoch."""

    _requests: dict[str, deque[int]] = field(default_factory=dict)
    _targets: dict[str, dict[str, int]] = field(default_factory=dict)
    """By identity: when each target was last reached."""

    def note(self, identity: str, target: str, now: int) -> None:
        """A request of `identity` for `target` that was not denied."""
        times = self._requests.setdefault(identity, deque(maxlen=REQUESTS_KEPT))
        times.append(now)
        while times and times[0] <= now - KEPT_MICROSECONDS:
            times.popleft()
        targets = self._targets.setdefault(identity, {})
        targets[target] = now
        for name in [name for name, last in targets.items() if last <= now - KEPT_MICROSECONDS]:
            del targets[name]

    def requests(self, identity: str, since: int) -> int:
        """How many since then."""
        count = 0
        for time in reversed(self._requests.get(identity, ())):
            if time <= since:
                break
            count += 1
        return count

    def targets(self, identity: str, since: int) -> frozenset[str]:
        """Which since then."""
        return frozenset(name for name, last in self._targets.get(identity, {}).items() if last > since)
