"""The dialog for approving and remembering: it shows exactly what would be remembered."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.widget import Widget

from tui.deciding import standing
from tui.remembering import Memory
from tui.screens.dialog import Confirmed
from tui.widgets.bars import Bar, Block
from tui.words import cell

FRAME = 9
"""Rows that the dialog takes beside its text, with a row of what lies under it."""


class RememberScreen(Confirmed[Memory], inherit_bindings=False):
    """Answers with the choice."""

    KEYS = " Enter approves and remembers, Down next form, t how long, e where, Esc goes back"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "confirm", "approve and remember", id="remember.confirm"),
        Binding("down,tab,j", "step(1)", "next", id="remember.next"),
        Binding("up,shift+tab,k", "step(-1)", "before", id="remember.previous"),
        Binding("e", "wider", "target or environment", id="remember.wider"),
        Binding("t", "shorter", "how long", id="remember.shorter"),
        Binding("escape", "cancel", "cancel", id="remember.cancel"),
    ]

    def __init__(self, memory: Memory) -> None:
        super().__init__()
        self.memory = memory

    def body(self) -> Iterable[Widget]:
        yield Bar("dialog-choice")
        yield Block("dialog-text")
        yield Bar("dialog-scope")
        yield Bar("dialog-term")

    def fill(self) -> None:
        memory = self.memory
        title = f" APPROVE {cell(memory.item.id, 12)} AND REMEMBER, so that it runs without asking:"
        self.bar("title").draw(((title, "strong"),))
        self.bar("choice").draw(memory.choice())
        self.query_one("#dialog-text", Block).draw(memory.text, self.size.height - FRAME)
        self.bar("scope").draw(memory.scope())
        self.bar("term").draw(memory.term())

    def problem(self) -> str:
        view, item = self.app.view, self.memory.item
        if problem := standing(view, view.items.get(item.id, item), self.app.feed.me):
            return problem
        if self.query_one("#dialog-text", Block).cut:
            return "it is too long to be shown whole in this window"
        return ""

    def answer(self) -> Memory:
        return self.memory

    def action_step(self, by: int) -> None:
        self._now(self.memory.step(by))

    def action_wider(self) -> None:
        self._now(self.memory.wider())

    def action_shorter(self) -> None:
        self._now(self.memory.shorter())

    def _now(self, memory: Memory) -> None:
        self.memory, self.refused = memory, ""
        self.draw()
