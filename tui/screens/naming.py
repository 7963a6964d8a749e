"""The dialog in which the target's name is typed, for who wants that instead of a second key.

It answers with what it was opened for, or None. A name is typed by hand: what is pasted is dropped, and Enter right
behind another key does nothing, so that a paste without the terminal's marks does not decide either.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual import events, on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import Input

from tui import deciding, outcomes
from tui.screens.dialogs import time_left
from tui.widgets.bars import Bar
from tui.words import amount, cell

if TYPE_CHECKING:
    from tui.app import BastionConsole

NAME_LIMIT = 64
"""Characters; bastion.directory.NAME has no longer ones."""


class Typed(Input):
    """An input that takes keys only."""

    app: BastionConsole

    async def _on_key(self, event: events.Key) -> None:
        """Letters end here and never get to the app: it has to know of them, for a paste without marks. (Textual
        calls the handler of the class above, too.)"""
        if event.is_printable:
            self.app.on_key(event)

    def _on_paste(self, event: events.Paste) -> None:
        event.stop()
        event.prevent_default()

    def action_paste(self) -> None:
        """Nothing: what was copied here before is no typing, either."""


class NameScreen(ModalScreen["outcomes.AskName | None"], inherit_bindings=False):
    """Asks for the target's name."""

    app: BastionConsole
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "cancel", "cancel", id="dialog.cancel")]

    def __init__(self, asked: outcomes.AskName) -> None:
        super().__init__()
        self.asked = asked
        self._refused = ""
        """Why the last Enter did nothing."""

    def compose(self) -> ComposeResult:
        with Vertical(id="dialog"):
            yield Bar("dialog-title")
            yield Bar("dialog-subject")
            yield Typed(placeholder="the target's name", id="name", max_length=NAME_LIMIT)
            yield Bar("dialog-keys")

    def on_mount(self) -> None:
        self.query_one(Input).focus()
        self.draw()

    def draw(self) -> None:
        """Says what is approved, and whether it still can be."""
        if not self.query("#dialog-keys"):
            return
        info, then = self.asked.item.info, self.asked.then
        command = then.edit.command if isinstance(then, outcomes.PutEdit) else info.command
        many = len(then.infos) if isinstance(then, outcomes.CastEach) else 1
        what = cell(info.id, 12) if many == 1 else amount(many, "identical request")
        where = f"{cell(info.login, 16)}@{cell(info.target, NAME_LIMIT)}"
        title = f" APPROVE {what} on {where}? {self.asked.why}"
        self.query_one("#dialog-title", Bar).draw(((title, "alarm"),), time_left(info, self.app.daemon_time), "alarm")
        room = max(10, self.size.width - 6)
        self.query_one("#dialog-subject", Bar).draw(((" ", "value"), (cell(command, room), "command")))
        words = (" type the target's name, then Enter approves; Esc goes back", "quiet")
        if problem := self._problem():
            words = (f" Esc closes: {problem}", "alarm")
        elif self._refused:
            words = (f" {self._refused}", "warning")
        self.query_one("#dialog-keys", Bar).draw((words,))

    def _problem(self) -> str:
        item = self.asked.item
        return deciding.stands(self.app.view, self.app.view.items.get(item.id, item), self.app.feed.me)

    @on(Input.Changed, "#name")
    def changed(self, event: Input.Changed) -> None:
        event.stop()
        self._refused = ""
        self.draw()

    @on(Input.Submitted, "#name")
    def submitted(self, event: Input.Submitted) -> None:
        event.stop()
        if not self._problem():
            self._refused = self.app.view.guard.refusal(self.app.pressed)
            if not self._refused and event.value != self.asked.item.info.target:
                self._refused = "that is not the name of its target: nothing was done"
            if not self._refused:
                self.dismiss(self.asked)
                return
        self.draw()

    def action_cancel(self) -> None:
        self.dismiss(None)
