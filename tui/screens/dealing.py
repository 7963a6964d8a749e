"""The keys that decide, and the dialogs that they open. A part of the screen with the lists.

A key becomes an outcome of `tui/deciding.py`; what is to be done is handed to the app. What a dialog answers is checked
again at the moment that it is sent.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, assert_never

from textual.screen import Screen

from tui import deciding, outcomes
from tui.bulk import Bulk
from tui.editing import Edit
from tui.granting import Grant
from tui.items import Item
from tui.screens.bulk import BulkScreen
from tui.screens.editing import EditScreen
from tui.screens.freezing import FreezeScreen
from tui.screens.granting import ModeScreen
from tui.screens.killing import KillScreen
from tui.screens.naming import NameScreen
from tui.screens.reasons import DenyScreen, EscalateScreen

if TYPE_CHECKING:
    from tui.app import BastionConsole


class Dealing(Screen[None], inherit_bindings=False):
    """Outcomes become calls of the app."""

    app: BastionConsole

    def draw(self) -> None:
        """Draws everything as it is now."""
        raise NotImplementedError

    def action_approve(self) -> None:
        self._do(deciding.approve(self.app.view, self.app.feed.me, self.app.pressed))

    def action_confirm(self) -> None:
        self._do(deciding.confirm(self.app.view, self.app.feed.me, self.app.pressed))

    def action_remember(self) -> None:
        self._do(deciding.remember(self.app.view, self.app.feed.me, self.app.pressed))

    def action_identical(self) -> None:
        self._do(deciding.identical(self.app.view, self.app.feed.me, self.app.pressed))

    def action_deny(self) -> None:
        self._do(deciding.deny(self.app.view, self.app.feed.me, self.app.pressed))

    def action_mode(self) -> None:
        self._do(deciding.mode(self.app.view, self.app.feed.me, self.app.pressed))

    def action_edit(self) -> None:
        self._do(deciding.edit(self.app.view, self.app.feed.me, self.app.pressed))

    def action_escalate(self) -> None:
        self._do(deciding.escalate(self.app.view, self.app.feed.me, self.app.pressed))

    def action_snooze(self) -> None:
        self._do(deciding.snooze(self.app.view, self.app.feed.me, self.app.pressed, self.app.daemon_time))

    def action_freeze(self) -> None:
        self._do(deciding.freeze(self.app.view, self.app.feed.me, self.app.pressed))

    def action_kill(self) -> None:
        self._do(deciding.kill(self.app.view, self.app.feed.me, self.app.pressed))

    def _do(self, outcome: outcomes.Outcome, reason: str = "") -> None:
        match outcome:
            case outcomes.Cast(info=info, choice=choice, mode=mode, seconds=seconds):
                self.app.cast_vote(info, choice, reason, mode, seconds)
            case outcomes.CastEach(infos=infos):
                self.app.cast_votes(infos)
            case outcomes.PutEdit(edit=edit):
                self.app.put_edit(edit)
            case outcomes.Snooze(item=item, until=until):
                self.app.snooze(item, until)
            case outcomes.Ask(why=why):
                self.app.armed_why = why
            case outcomes.AskMemory(item=item):
                self.app.ask_memory(item)
            case outcomes.Refused(words=words):
                self.app.tell(words, "warning")
            case _:
                self._open(outcome)
        self.draw()

    def _open(self, asked: outcomes.Dialog) -> None:
        """The dialog that an outcome asks for."""
        push = self.app.push_screen
        match asked:
            case outcomes.AskReason(item=item):
                push(DenyScreen(item), lambda reason: self._denied(item, reason))
            case outcomes.AskMode(grant=grant):
                push(ModeScreen(grant), self._granted)
            case outcomes.AskBulk(bulk=bulk):
                self.app.view.guard.display_changed(self.app.clock())
                push(BulkScreen(bulk), self._bulked)
            case outcomes.AskName():
                push(NameScreen(asked), self._named)
            case outcomes.AskEdit(item=item):
                push(EditScreen(item), self._edited)
            case outcomes.AskEscalation(item=item):
                push(EscalateScreen(item), lambda reason: self.app.escalate(item, reason))
            case outcomes.AskFreeze():
                push(FreezeScreen(), self.app.freeze)
            case outcomes.AskKill(session=session):
                push(KillScreen(session), lambda what: self.app.end(session, what or ""))
            case _:
                assert_never(asked)

    def _denied(self, item: Item, reason: str | None) -> None:
        if reason is not None:
            self._do(deciding.denial(self.app.view, item, self.app.feed.me), reason)

    def _edited(self, edit: Edit | None) -> None:
        if edit is not None:
            self._do(deciding.edited(self.app.view, edit, self.app.feed.me, self.app.pressed))

    def _granted(self, grant: Grant | None) -> None:
        if grant is not None:
            self._do(deciding.granted(self.app.view, grant, self.app.feed.me, self.app.pressed))

    def _bulked(self, bulk: Bulk | None) -> None:
        if bulk is not None:
            self._do(deciding.bulked(self.app.view, bulk, self.app.feed.me, self.app.pressed))

    def _named(self, asked: outcomes.AskName | None) -> None:
        if asked is not None:
            self._do(deciding.named(self.app.view, asked, self.app.feed.me, self.app.pressed))
