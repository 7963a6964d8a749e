"""The app: puts its parts together, and notes the moment of every key. Logic is elsewhere.

    tui/showing.py    its state, drawn and told          tui/view.py       what is shown and selected
    tui/hearing.py    what the connection says           tui/feed.py       the connection
    tui/doing.py      what is sent for a person          tui/deciding.py   what a key may do
    tui/look.py       themes, keys, preferences          tui/screens/      drawing and keys

The command palette holds our own commands only (tui/palette.py): its Screenshot writes files on the machine that the
process runs on, which is the bastion when the console is served from there. There are no toasts: they cover the text
that a person decides by.
"""

from __future__ import annotations

import os
import termios
import time
from collections.abc import Callable, Mapping
from typing import ClassVar

from textual import events
from textual.binding import Binding, BindingType

from tui import keys
from tui.choices import known_theme, typed
from tui.doing import Doing
from tui.feed import Connect
from tui.guard import CHANGED, SETTLE
from tui.hearing import Hearing
from tui.look import Look
from tui.palette import Commands, Palette
from tui.screens.help import HelpScreen
from tui.screens.main import MainScreen
from tui.themes import THEMES

HANGUP = 129
"""Exit status of a program that SIGHUP ended, as a shell tells it (128 + 1)."""


class BastionConsole(Look, Hearing, Doing, inherit_bindings=False):
    """The approver's console. `connect` makes a connection; everything else is optional.

    `title` is shown in the first row (where one is connected to); `keymap` maps ids of `tui/keys.py` to keys; `theme`
    is the name of a Textual theme; `confirm` says what approves high risk: `key` (a second one), or `target` (its name,
    typed). `served`: over ssh, where the preferences count that the bastion keeps. `clock` (seconds, monotonic) and
    `wall` (microseconds since the epoch) can be replaced for tests. Raises UsageError for an unknown theme, id or
    `confirm`, or a second key that is the first.
    """

    CSS_PATH = "app.tcss"
    ENABLE_COMMAND_PALETTE = True
    COMMANDS = {Commands}  # noqa: RUF012 -- as Textual declares it
    COMMAND_PALETTE_BINDING = "ctrl+p"
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (180, "-wide")]  # noqa: RUF012 - mypy wants it as Textual declares it
    VERTICAL_BREAKPOINTS = [(0, "-short"), (30, "-tall")]  # noqa: RUF012
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+q", "quit", "quit", show=False, priority=True, id="console.quit_always"),
        Binding("ctrl+c", "how_to_quit", "how to quit", show=False, id="console.interrupt"),
    ]

    TICK_SECONDS = 0.5
    """Countdowns are drawn anew this often."""
    LEAST = (40, 12)
    """Columns and rows of a window in which something can be decided: a phone's has about 45 by 20."""

    def __init__(
        self,
        connect: Connect,
        title: str = "",
        *,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], int] = lambda: time.time_ns() // 1000,
        keymap: Mapping[str, str] | None = None,
        theme: str = "",
        confirm: str = "",
        served: bool = False,
    ) -> None:
        super().__init__(connect, clock, wall)
        self.bastion_title = title
        self.served = served
        self.view.typed = typed(confirm)
        for own in THEMES:
            self.register_theme(own)
        self.theme = known_theme(theme) or ("ansi-dark" if self.no_color else THEMES[0].name)
        self.keymap_ids = keys.checked(keymap or {})
        self.set_keymap(self.keymap_ids)

    def on_mount(self) -> None:
        self.push_screen(MainScreen())
        self.run_worker(self.feed.run(), name="feed", exit_on_error=True)
        self.set_interval(self.TICK_SECONDS, self.draw, name="tick")
        if not self.is_headless:
            self.set_interval(self.TICK_SECONDS, self.leave_without_terminal, name="terminal")

    def leave_without_terminal(self) -> None:
        """Ends at once when the terminal is gone. Where it was the controlling one the kernel says so (SIGHUP);
        otherwise Textual would go on reading its end for ever, with all of a processor."""
        try:
            termios.tcgetattr(0)
        except termios.error:
            os._exit(HANGUP)

    # --- keys and the window

    def simulate_key(self, key: str) -> None:
        """A click on a key in the last row. That row has just changed where the first key armed: what was aimed at may
        be elsewhere."""
        if self.clock() - self.view.guard.armed_at < SETTLE:
            self.tell(CHANGED, "warning")
            self.draw()
        else:
            super().simulate_key(key)

    def moment(self, event_time: float) -> float:
        """The moment of an input event on our clock."""
        return self.clock() - max(0.0, time.monotonic() - event_time)

    def on_key(self, event: events.Key) -> None:
        """Runs before any binding does: notes when the key was pressed; any key but the second one disarms."""
        self.pressed = self.moment(event.time)
        self.view.guard.pressed(self.pressed)
        active = self.screen.active_bindings.get(event.key)
        if active is None or active.binding.id != "request.confirm":
            self.view.guard.disarm()

    def on_resize(self, event: events.Resize) -> None:
        """Rows are elsewhere now, whoever did it; and there may be too little room to read what one decides on."""
        columns, rows = self.LEAST
        small = event.size.width < columns or event.size.height < rows
        self.view.cramped = f"the window is too small to decide in: {columns} columns and {rows} rows" if small else ""
        self.view.guard.display_changed(self.clock())

    def on_app_focus(self) -> None:
        """The person comes back to this window: what they see is new to them, and the key or click may be meant for
        another one."""
        self.view.guard.display_changed(self.clock())

    def show_help(self) -> None:
        self.push_screen(HelpScreen())

    def action_command_palette(self) -> None:
        if not isinstance(self.screen, Palette):
            self.push_screen(Palette(id="--command-palette"))

    def action_how_to_quit(self) -> None:
        self.tell("q quits; held requests stay held", "warning")
        self.draw()
