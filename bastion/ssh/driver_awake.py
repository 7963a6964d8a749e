"""TMOUT: bash and others end themselves when no line comes for so many seconds, and a person takes longer to decide.

While the shell waits for a command it gets an empty line in time. One shell in which another runs is waiting for that,
and reads nothing. What comes too late, the shell ends itself: nothing else hangs on this clock.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

AWAKE_SECONDS = 600.0
"""Between two empty lines for a shell with TMOUT, at most; usually a third of it."""


class Awake:
    """`waits`: the shell waits for a command, and nothing is on its way to it."""

    def __init__(self, waits: Callable[[], bool], to_control: Callable[[bytes], None]) -> None:
        self._waits, self._to_control = waits, to_control
        self._timer: asyncio.TimerHandle | None = None

    @property
    def needed(self) -> bool:
        """The shell said so."""
        return self._timer is not None

    def keep(self, seconds: int) -> None:
        """The shell has TMOUT."""
        if seconds:
            self.stop()
            later = asyncio.get_running_loop().call_later
            self._timer = later(min(AWAKE_SECONDS, seconds / 3), self._send, seconds)

    def _send(self, seconds: int) -> None:
        if self._waits():
            self._to_control(b"\n")
            self.keep(seconds)

    def stop(self) -> None:
        """A command begins, or all is over: what the shell says of TMOUT behind it counts."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
