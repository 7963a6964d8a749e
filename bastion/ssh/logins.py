"""What reads commands on a target, for each login, as far as that was asked (login_shell.py)."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field

from bastion.model import Target
from bastion.policy.dialects import UNKNOWN

AGE_SECONDS = 3600.0
"""How long an answer holds: an account's shell changes once in years."""

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

    def learn(self, target: Target, login: str, shell: str) -> bool:
        """It answered; whether that is news."""
        while len(self._known) >= SHELLS_LIMIT:
            del self._known[next(iter(self._known))]
        before = self._known.pop((target, login), (0.0, ""))[1]
        self._known[target, login] = time.monotonic(), shell
        return before != shell

    def asking(self, target: Target, login: str) -> asyncio.Lock:
        """One asks at a time."""
        while len(self._asking) >= SHELLS_LIMIT:
            del self._asking[next(iter(self._asking))]
        return self._asking.setdefault((target, login), asyncio.Lock())
