"""The dialog for what may be typed into a command once it runs."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.widget import Widget

from tui.deciding import standing
from tui.granting import MODES, Grant
from tui.screens.dialog import Confirmed
from tui.widgets.bars import Bar
from tui.words import cell


class ModeScreen(Confirmed[Grant], inherit_bindings=False):
    """Answers with the choice."""

    KEYS = " Enter approves so, Down next, t how long, Esc goes back"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "confirm", "approve so", id="mode.confirm"),
        Binding("down,tab,j,m", "step(1)", "next", id="mode.next"),
        Binding("up,shift+tab,k", "step(-1)", "before", id="mode.previous"),
        Binding("t", "longer", "how long", id="mode.longer"),
        Binding("escape", "cancel", "cancel", id="mode.cancel"),
    ]

    def __init__(self, grant: Grant) -> None:
        super().__init__()
        self.grant = grant

    def body(self) -> Iterable[Widget]:
        yield Bar("dialog-subject")
        for mode in MODES:
            yield Bar(f"dialog-{mode.value}")
        yield Bar("dialog-term")

    def fill(self) -> None:
        info = self.grant.item.info
        self.bar("title").draw(((f" APPROVE {cell(info.id, 12)}: what may be typed into it?", "strong"),))
        self.draw_command(info.command)
        for mode, row in zip(MODES, self.grant.rows(), strict=True):
            self.bar(mode.value).draw(row)
        self.bar("term").draw(self.grant.term())

    def problem(self) -> str:
        view, item = self.app.view, self.grant.item
        return standing(view, view.items.get(item.id, item), self.app.feed.me)

    def answer(self) -> Grant:
        return self.grant

    def action_step(self, by: int) -> None:
        self._now(self.grant.step(by))

    def action_longer(self) -> None:
        self._now(self.grant.longer())

    def _now(self, grant: Grant) -> None:
        self.grant, self.refused = grant, ""
        self.draw()
