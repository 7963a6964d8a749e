"""What the console shows: its state, and when that is drawn and told. All other parts of the app stand on this one.

Pushes may come by the hundred a second; they are drawn together, at most every DRAW_SECONDS.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Any

from tui import messages
from tui.feed import Connect, Feed
from tui.lines import Link
from tui.screens import Drawn
from tui.sealed import Sealed
from tui.title import BEGIN, END, WITHOUT, title
from tui.view import View


class Showing(Sealed, inherit_bindings=False):
    """State and drawing. `connect`, `clock` and `wall` are those of the app."""

    DRAW_SECONDS = 0.05
    """Pushes are drawn together when they come faster than this."""
    TOLD_SECONDS = 12.0
    """How long a notice stays."""

    def __init__(self, connect: Connect, clock: Callable[[], float], wall: Callable[[], int]) -> None:
        # Textual removes colours altogether only for terminals' own ones, so those it is where NO_COLOR is set.
        super().__init__(ansi_color=True if "NO_COLOR" in os.environ else None)
        self.clock, self.wall = clock, wall
        self.view = View()
        self.feed = Feed(connect, self.post_message)
        self.link = Link()
        self.pressed = clock()
        """When the key that is being handled was pressed."""
        self.told: messages.Told | None = None
        self.told_at = 0.0
        self.armed_why = ""
        self.frozen = ""
        """What is frozen, for the first row; empty: nothing."""
        self.silent = ""
        """Notification channels that deliver nothing, for the first row; empty: none."""
        self._drawn_at = float("-inf")
        self._draw_waits = False
        self._title = ""

    @property
    def daemon_time(self) -> int:
        """The bastion's clock, in microseconds since the epoch."""
        return self.view.daemon_time(self.wall())

    def draw(self) -> None:
        """Draws every screen that shows something of the view, also those under a dialog."""
        self._drawn_at, self._draw_waits = time.monotonic(), False
        self.entitle(title(len(self.view.held), self.link.up))
        for screen in self.screen_stack:
            if isinstance(screen, Drawn):
                screen.draw()

    def entitle(self, sequence: str) -> None:
        """Has the terminal show a title, where it has one."""
        if sequence != self._title and not self.is_headless and os.environ.get("TERM", "") not in WITHOUT:
            begin = "" if self._title else BEGIN
            self._title = sequence
            self.to_terminal(begin + sequence)

    def to_terminal(self, sequence: str) -> None:
        """Writes a control sequence of ours."""
        if self._driver is not None:
            self._driver.write(sequence)

    def exit(self, *arguments: Any, **named: Any) -> None:
        if self._title:
            self.to_terminal(END)
        super().exit(*arguments, **named)

    def news(self) -> None:
        """Draws soon: at once, or together with what follows closely."""
        wait = self._drawn_at + self.DRAW_SECONDS - time.monotonic()
        if wait <= 0:
            self.draw()
        elif not self._draw_waits:
            self._draw_waits = True
            self.set_timer(wait, self.draw)

    def tell(self, words: str, style: str = "value") -> None:
        """A sentence for the notice row."""
        self.told, self.told_at = messages.Told(words, style), self.clock()
