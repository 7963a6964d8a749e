"""The dialog in which the target's name is typed, for who wants that instead of a second key.

It answers with what it was opened for, or None. A name is typed by hand: what is pasted is dropped, and Enter right
behind another key does nothing, so that a paste without the terminal's marks does not decide either.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, ClassVar

from textual import events, on
from textual.binding import Binding, BindingType
from textual.widget import Widget
from textual.widgets import Input

from tui import deciding, outcomes
from tui.screens import leave
from tui.screens.dialog import Dialog, place, time_left
from tui.widgets.bars import Bar
from tui.words import amount, cell

if TYPE_CHECKING:
    from tui.app import BastionConsole

NAME_LIMIT = 64
"""Characters; bastion.names.NAME has no longer ones."""


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


class NameScreen(Dialog[outcomes.AskName], inherit_bindings=False):
    """Asks for the target's name."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "cancel", "cancel", id="dialog.cancel")]

    def __init__(self, asked: outcomes.AskName) -> None:
        super().__init__()
        self.asked = asked
        self._refused = ""
        """Why the last Enter did nothing."""

    def body(self) -> Iterable[Widget]:
        yield Bar("dialog-subject")
        yield Typed(placeholder="the target's name", id="name", max_length=NAME_LIMIT)

    def fill(self) -> None:
        info, then = self.asked.item.info, self.asked.then
        many = len(then.infos) if isinstance(then, outcomes.CastEach) else 1
        what = cell(info.id, 12) if many == 1 else amount(many, "identical request")
        title = f" APPROVE {what} on {place(info, NAME_LIMIT)}? {self.asked.why}"
        self.bar("title").draw(((title, "alarm"),), time_left(info, self.app.daemon_time), "alarm")
        self.draw_command(then.edit.command if isinstance(then, outcomes.PutEdit) else info.command)

    def problem(self) -> str:
        item = self.asked.item
        return deciding.stands(self.app.view, self.app.view.items.get(item.id, item), self.app.feed.me)

    def hint(self) -> tuple[str, str]:
        if self._refused:
            return f" {self._refused}", "warning"
        return " type the target's name, then Enter approves; Esc goes back", "quiet"

    @on(Input.Changed, "#name")
    def changed(self, event: Input.Changed) -> None:
        event.stop()
        self._refused = ""
        self.draw()

    @on(Input.Submitted, "#name")
    def submitted(self, event: Input.Submitted) -> None:
        event.stop()
        if not self.problem():
            self._refused = self.app.view.guard.refusal(self.app.pressed)
            if not self._refused and event.value != self.asked.item.info.target:
                self._refused = "that is not the name of its target: nothing was done"
            if not self._refused:
                leave(self, self.asked)
                return
        self.draw()
