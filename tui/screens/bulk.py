"""The dialog that lists identical requests before all of them are approved. It answers with the set, or None."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen

from tui import deciding, keys
from tui.bulk import Bulk
from tui.widgets.bars import Bar, Block
from tui.words import amount, cell

if TYPE_CHECKING:
    from tui.app import BastionConsole

FRAME = 8
"""Rows that the dialog takes beside its list, with a row of what lies under it."""


class BulkScreen(ModalScreen[Bulk | None], inherit_bindings=False):
    """Shows which they are. The key that approves is the second key of every other approval."""

    app: BastionConsole
    BINDINGS: ClassVar[list[BindingType]] = keys.bindings(keys.BULK)

    def __init__(self, bulk: Bulk) -> None:
        super().__init__()
        self.bulk = bulk
        self._refused = ""
        """Why the last key did nothing."""

    def compose(self) -> ComposeResult:
        with Vertical(id="dialog"):
            yield Bar("dialog-title")
            yield Bar("dialog-subject")
            yield Bar("dialog-where")
            yield Block("dialog-text")
            yield Bar("dialog-keys")

    def on_mount(self) -> None:
        self.draw()

    def draw(self) -> None:
        """Draws them as they stand now."""
        if not self.query("#dialog-keys"):
            return
        view, info = self.app.view, self.bulk.items[0].info
        beyond = f", {self.bulk.beyond} more are left for later" if self.bulk.beyond else ""
        title = f" APPROVE {amount(len(self.bulk.items), 'identical request')}{beyond}: the same in all but their times"
        self.query_one("#dialog-title", Bar).draw(((title, "strong"),))
        room = max(10, self.size.width - 6)
        self.query_one("#dialog-subject", Bar).draw(((" ", "value"), (cell(info.command, room), "command")))
        where = f" by {cell(info.identity, 20)} on {cell(info.login, 16)}@{cell(info.target, 24)}"
        self.query_one("#dialog-where", Bar).draw(((where, "value"),))
        shown = self.bulk.rows(view.items, self.app.daemon_time)
        self.query_one("#dialog-text", Block).draw(shown, self.size.height - FRAME)
        problem = self._problem()
        words = (
            self._refused or f" {keys.spelled(self.app.key_of('request.confirm'))} approves each of them, Esc goes back"
        )
        self.query_one("#dialog-keys", Bar).draw(
            ((f" Esc closes: {problem}", "alarm"),) if problem else ((words, "quiet"),)
        )

    def _problem(self) -> str:
        if self.query_one("#dialog-text", Block).cut:
            return "there is no room for the list in this window"
        left = deciding.still(self.app.view, self.bulk, self.app.feed.me)
        return left if isinstance(left, str) else ""

    def action_confirm(self) -> None:
        refusal = self._problem() or self.app.view.guard.refusal(self.app.pressed)
        self._refused = f" {refusal}" if refusal else ""
        if refusal:
            self.draw()
        else:
            self.dismiss(self.bulk)

    def action_cancel(self) -> None:
        self.dismiss(None)
