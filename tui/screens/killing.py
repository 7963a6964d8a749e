"""The dialog that confirms the end of a session, or of the keys that pass to its command."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.widget import Widget

from bastion.control import wire
from tui.granting import badge
from tui.screens import leave
from tui.screens.dialog import Dialog, place
from tui.widgets.bars import Bar
from tui.words import cell


class KillScreen(Dialog[str], inherit_bindings=False):
    """Asks what shall end: answers `session`, `keys` (the window in which keys pass to its command), or None."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y", "yes", "end it", id="kill.yes"),
        Binding("k", "keys", "end its keys only", id="kill.keys"),
        Binding("escape,n", "cancel", "leave it", id="kill.no"),
    ]

    def __init__(self, session: wire.SessionInfo) -> None:
        super().__init__()
        self.session = session

    def body(self) -> Iterable[Widget]:
        yield Bar("dialog-subject")

    def fill(self) -> None:
        one = self.session
        self.bar("title").draw(((f" END SESSION {cell(one.id, 20)}?", "strong"),))
        self.bar("subject").draw(((f" {cell(one.identity, 20)} on {place(one)}: what runs in it is cut off", "value"),))

    def problem(self) -> str:
        return "it is over already" if self._now().closed > 0 else ""

    def hint(self) -> tuple[str, str]:
        keys = f"k ends its {badge(self._now())} keys only, " if self._window() else ""
        return f" y ends it, {keys}Esc leaves it", "quiet"

    def _now(self) -> wire.SessionInfo:
        return self.app.view.sessions.get(self.session.id, self.session)

    def _window(self) -> bool:
        return bool(badge(self._now()))

    def action_yes(self) -> None:
        if self.problem() or self.app.view.guard.hasty:
            self.draw()
        else:
            leave(self, "session")

    def action_keys(self) -> None:
        if self._window():
            leave(self, "keys")
