"""Freeze everything: asks why; what is typed is the second key. Nothing new runs anywhere until somebody lifts it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import Input

from tui.screens.dialogs import REASON_LIMIT
from tui.widgets.bars import Bar
from tui.words import amount

if TYPE_CHECKING:
    from tui.app import BastionConsole


@dataclass(frozen=True, slots=True)
class Freezing:
    """What was chosen."""

    reason: str
    cut: bool
    """What runs is ended, too."""


class FreezeScreen(ModalScreen[Freezing | None], inherit_bindings=False):
    """Answers with the choice, or None when it was given up."""

    app: BastionConsole
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("tab", "cut", "end what runs, too", id="freeze.cut"),
        Binding("escape", "cancel", "cancel", id="freeze.cancel"),
    ]

    def __init__(self) -> None:
        super().__init__()
        self.cut = False
        self._empty = False

    def compose(self) -> ComposeResult:
        with Vertical(id="dialog"):
            yield Bar("dialog-title")
            yield Bar("dialog-subject")
            yield Bar("dialog-choice")
            yield Input(placeholder="why? everybody is told", id="reason", max_length=REASON_LIMIT)
            yield Bar("dialog-keys")

    def on_mount(self) -> None:
        self.query_one(Input).focus()
        self.draw()

    def draw(self) -> None:
        """Draws the choice as it stands."""
        if not self.query("#dialog-keys"):
            return
        self.query_one("#dialog-title", Bar).draw(((" FREEZE EVERYTHING", "alarm"),))
        words = " Nothing new runs on any target until somebody lifts it: screen 6"
        self.query_one("#dialog-subject", Bar).draw(((words, "value"),))
        running = sum(not one.closed for one in self.app.view.sessions.values())
        choice = (
            (f" END the {amount(running, 'open session')} as well", "alarm")
            if self.cut
            else (f" what runs in {amount(running, 'open session')} goes on", "value")
        )
        self.query_one("#dialog-choice", Bar).draw((choice,))
        keys = (" Enter freezes, Tab: open sessions too or not, Esc goes back", "quiet")
        if not self.app.link.up:
            keys = (" Esc closes: not connected", "alarm")
        elif self._empty:
            keys = (" a few words, please: the others want to know why", "warning")
        self.query_one("#dialog-keys", Bar).draw((keys,))

    @on(Input.Submitted, "#reason")
    def submitted(self, event: Input.Submitted) -> None:
        event.stop()
        reason = "".join(char for char in event.value if char.isprintable()).strip()
        if self.app.link.up and reason:
            self.dismiss(Freezing(reason, self.cut))
        else:
            self._empty = not reason
            self.draw()

    def action_cut(self) -> None:
        self.cut = not self.cut
        self.draw()

    def action_cancel(self) -> None:
        self.dismiss(None)
