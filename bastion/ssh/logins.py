"""What reads commands on a target, for each login, as far as that was asked (login_shell.py)."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field

from bastion.model import Target
from bastion.policy.dialects import UNKNOWN

AGE_SECONDS = 3600.0
"""How long an answer holds: an account's shell changes once in years."""

SILENT_SECONDS = 60.0
"""How long nobody asks again who did not answer: each line of a shell would wait for it."""

SHELLS_LIMIT = 4096
"""Answers that are kept. There is one for each login of each target."""

Place = tuple[Target, str]


@dataclass(slots=True)
class Logins:
    """What one daemon knows."""

    _known: dict[Place, tuple[float, str]] = field(default_factory=dict)
    _asking: dict[Place, asyncio.Lock] = field(default_factory=dict)

    def known(self, target: Target | None, login: str) -> str:
        """The shell; UNKNOWN where nobody asked, or too long ago."""
        at, shell = self._known.get((target, login), (0.0, "")) if target is not None else (0.0, "")
        return shell if shell and time.monotonic() - at < AGE_SECONDS else UNKNOWN

    def silent(self, target: Target, login: str) -> bool:
        """It was asked a moment ago, and did not answer."""
        at, shell = self._known.get((target, login), (0.0, UNKNOWN))
        return not shell and at > 0 and time.monotonic() - at < SILENT_SECONDS

    def is_news(self, target: Target, login: str, shell: str) -> bool:
        """Another answer than the last one."""
        return shell not in (UNKNOWN, self._known.get((target, login), (0.0, UNKNOWN))[1])

    def learn(self, target: Target, login: str, shell: str) -> None:
        """It answered; UNKNOWN: it did not."""
        while len(self._known) >= SHELLS_LIMIT:
            del self._known[next(iter(self._known))]
        self._known.pop((target, login), None)
        self._known[target, login] = time.monotonic(), shell

    def asking(self, target: Target, login: str) -> asyncio.Lock:
        """One asks at a time."""
        while len(self._asking) >= SHELLS_LIMIT:
            del self._asking[next(iter(self._asking))]
        return self._asking.setdefault((target, login), asyncio.Lock())
