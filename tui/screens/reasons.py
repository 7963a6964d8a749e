"""The dialogs that ask for a reason: of a denial, and of asking others to decide."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from textual import on
from textual.binding import Binding, BindingType
from textual.widget import Widget
from textual.widgets import Input

from tui.deciding import standing, stands
from tui.items import Item
from tui.screens import leave
from tui.screens.dialog import Answer, Dialog, place, time_left
from tui.widgets.bars import Bar
from tui.words import cell

REASON_LIMIT = 500
"""Characters. It must fit into a signed statement and a ledger entry (16 KiB) with room for the rest."""


class Reasoned(Dialog[Answer], inherit_bindings=False):
    """A dialog that is answered with a few words, which it insists on."""

    ASKS = ""
    """Stands in the empty field."""
    KEYS = ""
    """Which keys it has."""
    EMPTY = ""
    """What is said to an Enter without words."""

    def __init__(self) -> None:
        super().__init__()
        self._empty = False
        """Enter was pressed without a reason."""

    def answer(self, reason: str) -> Answer:
        """What it answers with, given the words."""
        raise NotImplementedError

    def field(self) -> Input:
        """Where the words are written."""
        return Input(placeholder=self.ASKS, id="reason", max_length=REASON_LIMIT)

    def hint(self) -> tuple[str, str]:
        return (self.EMPTY, "warning") if self._empty else (self.KEYS, "quiet")

    @on(Input.Submitted, "#reason")
    def submitted(self, event: Input.Submitted) -> None:
        event.stop()
        reason = "".join(char for char in event.value if char.isprintable()).strip()
        if reason and not self.problem():
            leave(self, self.answer(reason))
        else:
            self._empty = self._empty or not reason
            self.draw()


class DenyScreen(Reasoned[str], inherit_bindings=False):
    """Asks why; answers with the reason."""

    VERB = "DENY"
    ASKS = "why not? the agent reads this"
    KEYS = " Enter denies, Esc goes back without"
    EMPTY = " a few words, please: the agent goes on by them"
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "cancel", "cancel", id="dialog.cancel")]

    def __init__(self, item: Item) -> None:
        super().__init__()
        self.item = item

    def body(self) -> Iterable[Widget]:
        yield Bar("dialog-subject")
        yield self.field()

    def fill(self) -> None:
        info = self.item.info
        self.bar("title").draw(
            ((f" {self.VERB} {cell(info.id, 12)} of {cell(info.identity, 20)} on {place(info)}", "strong"),),
            time_left(self.app.view.items.get(info.id, self.item).info, self.app.daemon_time),
        )
        self.draw_command(info.command)

    def problem(self) -> str:
        view = self.app.view
        return standing(view, view.items.get(self.item.id, self.item), self.app.feed.me, signed=False)

    def answer(self, reason: str) -> str:
        return reason


class EscalateScreen(DenyScreen):
    """Asks what the others should know; answers as the one above. Nobody signs this."""

    VERB = "ASK OTHERS TO DECIDE"
    ASKS = "what should they know?"
    KEYS = " Enter asks policy's next group and tells everybody, Esc goes back"
    EMPTY = " a few words, please: they have not seen it yet"

    def problem(self) -> str:
        view = self.app.view
        return stands(view, view.items.get(self.item.id, self.item), self.app.feed.me)
