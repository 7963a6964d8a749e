"""The dialog that asks whether something shall end: a grant, a freeze, an entry of the whitelist."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.widget import Widget

from tui.screens import leave
from tui.screens.dialog import Dialog


class ConfirmScreen(Dialog[bool], inherit_bindings=False):
    """Answers True, or None."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y", "yes", "yes", id="confirm.yes"),
        Binding("escape,n", "cancel", "no", id="confirm.no"),
    ]

    def __init__(self, words: str) -> None:
        super().__init__()
        self.words = words

    def body(self) -> Iterable[Widget]:
        return ()

    def fill(self) -> None:
        self.bar("title").draw(((f" {self.words}", "alarm"),))

    def problem(self) -> str:
        return ""

    def hint(self) -> tuple[str, str]:
        return " y = yes, Esc goes back", "quiet"

    def action_yes(self) -> None:
        if not self.app.view.guard.hasty:
            leave(self, True)
