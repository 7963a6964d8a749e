"""The dialog with one's preferences, as the bastion keeps them for `ssh -t bastion@HOST`.

It answers with them once they read and Ctrl-S was pressed, or with None. The app has them signed.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.widget import Widget
from textual.widgets import TextArea

from bastion.control.preferences import Preferences, PreferencesError, parse
from bastion.errors import UsageError
from tui.choices import check_look
from tui.screens import leave
from tui.screens.dialog import Dialog
from tui.widgets.bars import Bar


class PreferencesScreen(Dialog[Preferences], inherit_bindings=False):
    """One `name = value` a line."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+s", "keep", "keep", id="preferences.keep", priority=True),
        Binding("escape", "cancel", "cancel", id="preferences.cancel", priority=True),
    ]

    def __init__(self, text: str) -> None:
        super().__init__()
        self._text = text
        self._wrong = ""
        """What is wrong with what was written last."""

    def body(self) -> Iterable[Widget]:
        yield Bar("dialog-subject")
        yield TextArea(self._text, id="edit-text", soft_wrap=True, tab_behavior="focus")

    def on_mount(self) -> None:
        area = self.query_one(TextArea)
        area.move_cursor(area.document.end)

    def fill(self) -> None:
        self.bar("title").draw(((" YOUR CONSOLE OVER SSH: kept by the bastion, signed by you", "strong"),))
        words = " theme = nord, confirm = target, request.approve = f2 (? lists the keys)"
        self.bar("subject").draw(((words, "value"),))

    def problem(self) -> str:
        return ""

    def hint(self) -> tuple[str, str]:
        return (
            (f" {self._wrong}", "warning") if self._wrong else (" Ctrl-S signs and keeps them, Esc goes back", "quiet")
        )

    def action_keep(self) -> None:
        try:
            wanted = parse(self.query_one(TextArea).text)
            check_look(wanted)
        except (PreferencesError, UsageError) as error:
            self._wrong = str(error)
            self.draw()
        else:
            leave(self, wanted)
