"""When a key may act. Pure: `now` is the moment the key was pressed, in seconds of a monotonic clock.

Theory of operation. A person decides on what they see, some hundred milliseconds after they saw it. So a key is
believed only when what it acts on had been there, unchanged, for that long:

    SETTLE   after anything that the person did not do changed what is displayed (a first request was selected for
             them, the one on display changed or ended, the connection came back, a dialog closed over a change), no
             decision for 700 ms. The same after a move of theirs that began while the rows were moving.
    BURST    a decision key within 50 ms of another key was pasted or repeated by the keyboard, not pressed.
    ARMED    where a second key is needed, the first arms exactly one request (id and digest). Any other key, any
             change of the display and 10 s disarm.

The times are compared with the moment of the key, not with that of its processing: a key pressed before a change and
handled after it is as wrong as one pressed right behind it.
"""

from __future__ import annotations

from dataclasses import dataclass

SETTLE = 0.7
"""Seconds. A choice reaction to a change on a screen takes 0.3-0.6 s; 0.7 is the figure of the project's design."""
BURST = 0.05
"""Seconds. Keyboards repeat at 25-40 Hz by default (X11: 25 Hz); nobody types two keys on purpose in 50 ms."""
ARMED = 10.0
"""Seconds that a first key waits for its second."""

CHANGED = "the screen had just changed by itself: nothing was done, look again"
HASTY = "two keys at once look like a paste: nothing was done"

LONG_AGO = float("-inf")


@dataclass(slots=True)
class Guard:
    """What has moved, and when. The owner reports every change; `refusal` says whether a key counts."""

    changed: float = LONG_AGO
    """When the display last changed by itself."""
    shuffled: float = LONG_AGO
    """When rows last moved by themselves."""
    key: float = LONG_AGO
    """When the key before the present one was pressed."""
    present: float = 0.0
    """When the present key was pressed."""
    armed_for: tuple[str, str] | None = None
    """Request id and digest that the first of two keys was pressed for."""
    armed_at: float = LONG_AGO

    def pressed(self, now: float) -> None:
        """A key was pressed, whatever it does."""
        self.key, self.present = self.present, now

    def display_changed(self, now: float) -> None:
        """What a decision would act on changed, and the person did not do it."""
        self.changed = max(self.changed, now)
        self.disarm()

    def rows_changed(self, now: float) -> None:
        """A row appeared, vanished or moved, and the person did not do it."""
        self.shuffled = max(self.shuffled, now)

    def moved(self, now: float) -> None:
        """The person selected something. While rows are moving they may have hit another one than they aimed at."""
        self.disarm()
        if now - self.shuffled < SETTLE:
            self.changed = max(self.changed, now)

    def arm(self, request: str, digest: str, now: float) -> None:
        self.armed_for, self.armed_at = (request, digest), now

    def disarm(self) -> None:
        self.armed_for, self.armed_at = None, LONG_AGO

    def armed(self, request: str, digest: str, now: float) -> bool:
        """The first key was pressed for exactly this, not too long ago, and nothing has changed since."""
        return self.armed_for == (request, digest) and 0 <= now - self.armed_at < ARMED

    @property
    def hasty(self) -> bool:
        """The present key came too soon behind the one before it to be a person's."""
        return self.present - self.key < BURST

    def refusal(self, now: float, *, harmless: bool = False) -> str:
        """Why a deciding key pressed at `now` does not count; empty when it does.

        `harmless`: the key only opens a dialog for a denial, so a paste does not matter.
        """
        if now - self.changed < SETTLE:
            return CHANGED
        if self.hasty and not harmless:
            return HASTY
        return ""
