"""Freeze everything: asks why; what is typed is the second key. Nothing new runs anywhere until somebody lifts it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.widget import Widget

from tui.screens.reasons import Reasoned
from tui.widgets.bars import Bar
from tui.words import amount


@dataclass(frozen=True, slots=True)
class Freezing:
    """What was chosen."""

    reason: str
    cut: bool
    """What runs is ended, too."""


class FreezeScreen(Reasoned[Freezing], inherit_bindings=False):
    """Answers with the choice."""

    ASKS = "why? everybody is told"
    KEYS = " Enter freezes, Tab: open sessions too or not, Esc goes back"
    EMPTY = " a few words, please: the others want to know why"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("tab", "cut", "end what runs, too", id="freeze.cut"),
        Binding("escape", "cancel", "cancel", id="freeze.cancel"),
    ]

    def __init__(self) -> None:
        super().__init__()
        self.cut = False

    def body(self) -> Iterable[Widget]:
        yield Bar("dialog-subject")
        yield Bar("dialog-choice")
        yield self.field()

    def fill(self) -> None:
        self.bar("title").draw(((" FREEZE EVERYTHING", "alarm"),))
        words = " Nothing new runs on any target until somebody lifts it: screen 6"
        self.bar("subject").draw(((words, "value"),))
        running = sum(not one.closed for one in self.app.view.sessions.values())
        choice = (
            (f" END the {amount(running, 'open session')} as well", "alarm")
            if self.cut
            else (f" what runs in {amount(running, 'open session')} goes on", "value")
        )
        self.bar("choice").draw((choice,))

    def problem(self) -> str:
        return "" if self.app.link.up else "not connected"

    def answer(self, reason: str) -> Freezing:
        return Freezing(reason, self.cut)

    def action_cut(self) -> None:
        self.cut = not self.cut
        self.draw()
