"""The dialog that lists identical requests before all of them are approved."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from textual.binding import BindingType
from textual.widget import Widget

from tui import deciding, keys
from tui.bulk import Bulk
from tui.screens.dialog import Confirmed, place
from tui.widgets.bars import Bar, Block
from tui.words import amount, cell

FRAME = 8
"""Rows that the dialog takes beside its list, with a row of what lies under it."""


class BulkScreen(Confirmed[Bulk], inherit_bindings=False):
    """Shows which they are; answers with the set. The key that approves is the second key of every other approval."""

    BINDINGS: ClassVar[list[BindingType]] = keys.bindings(keys.BULK)

    def __init__(self, bulk: Bulk) -> None:
        super().__init__()
        self.bulk = bulk

    def body(self) -> Iterable[Widget]:
        yield Bar("dialog-subject")
        yield Bar("dialog-where")
        yield Block("dialog-text")

    def fill(self) -> None:
        info = self.bulk.items[0].info
        beyond = f", {self.bulk.beyond} more are left for later" if self.bulk.beyond else ""
        title = f" APPROVE {amount(len(self.bulk.items), 'identical request')}{beyond}: the same in all but their times"
        self.bar("title").draw(((title, "strong"),))
        self.draw_command(info.command)
        self.bar("where").draw(((f" by {cell(info.identity, 20)} on {place(info)}", "value"),))
        shown = self.bulk.rows(self.app.view.items, self.app.daemon_time)
        self.query_one("#dialog-text", Block).draw(shown, self.size.height - FRAME)

    def problem(self) -> str:
        if self.query_one("#dialog-text", Block).cut:
            return "there is no room for the list in this window"
        left = deciding.still(self.app.view, self.bulk, self.app.feed.me)
        return left if isinstance(left, str) else ""

    def hint(self) -> tuple[str, str]:
        key = keys.spelled(self.app.key_of("request.confirm"))
        return self.refused or f" {key} approves each of them, Esc goes back", "quiet"

    def answer(self) -> Bulk:
        return self.bulk
