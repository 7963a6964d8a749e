"""The dialog with one's preferences, as the bastion keeps them for `ssh -t bastion@HOST`.

It answers with them once they read and Ctrl-S was pressed, or with None. The app has them signed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import TextArea

from bastion.control.preferences import Preferences, PreferencesError, parse
from bastion.errors import UsageError
from tui.choices import check_look
from tui.widgets.bars import Bar

if TYPE_CHECKING:
    from tui.app import BastionConsole


class PreferencesScreen(ModalScreen[Preferences | None], inherit_bindings=False):
    """One `name = value` a line."""

    app: BastionConsole
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+s", "keep", "keep", id="preferences.keep", priority=True),
        Binding("escape", "cancel", "cancel", id="preferences.cancel", priority=True),
    ]

    def __init__(self, text: str) -> None:
        super().__init__()
        self._text = text
        self._problem = ""

    def compose(self) -> ComposeResult:
        with Vertical(id="dialog"):
            yield Bar("dialog-title")
            yield Bar("dialog-subject")
            yield TextArea(self._text, id="edit-text", soft_wrap=True, tab_behavior="focus")
            yield Bar("dialog-keys")

    def on_mount(self) -> None:
        area = self.query_one(TextArea)
        area.move_cursor(area.document.end)
        area.focus()
        self.draw()

    def draw(self) -> None:
        """Says what can be written, or what is wrong with it."""
        if not self.query("#dialog-keys"):
            return
        self.query_one("#dialog-title", Bar).draw(
            ((" YOUR CONSOLE OVER SSH: kept by the bastion, signed by you", "strong"),)
        )
        words = " theme = nord, confirm = target, request.approve = f2 (? lists the keys)"
        self.query_one("#dialog-subject", Bar).draw(((words, "value"),))
        told = (
            (f" {self._problem}", "warning")
            if self._problem
            else (" Ctrl-S signs and keeps them, Esc goes back", "quiet")
        )
        self.query_one("#dialog-keys", Bar).draw((told,))

    def action_keep(self) -> None:
        try:
            wanted = parse(self.query_one(TextArea).text)
            check_look(wanted)
        except (PreferencesError, UsageError) as error:
            self._problem = str(error)
            self.draw()
        else:
            self.dismiss(wanted)

    def action_cancel(self) -> None:
        self.dismiss(None)
