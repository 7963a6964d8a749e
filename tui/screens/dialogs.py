"""The dialogs: the reason of a denial, what to remember, what may be typed, the end of a session. Each answers with a
value of its own type, or None.

A dialog is bound to what it was opened for. It never closes by itself: if it did, the rest of what a person types
would act on the screen under it. When its subject ends meanwhile, it says so and only lets itself be closed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import Input

from bastion.control import wire
from bastion.model import State
from tui.deciding import standing, stands
from tui.granting import MODES, Grant, badge
from tui.items import Item
from tui.paper import Parts
from tui.remembering import Memory
from tui.widgets.bars import Bar, Block
from tui.words import cell, countdown

if TYPE_CHECKING:
    from tui.app import BastionConsole

REASON_LIMIT = 500
"""Characters. It must fit into a signed statement and a ledger entry (16 KiB) with room for the rest."""


FRAME = 9
"""Rows that a dialog takes beside its text, with a row of what lies under it."""


def time_left(info: wire.RequestInfo, now: int) -> Parts:
    """For the right end of a title: a dialog lies over the row that says it. `now` is the bastion's time."""
    if info.state != State.HELD:
        return ()
    words = countdown(info.expires - now)
    urgent = words.endswith("!") or words == "due"
    return ((f" {words} left " if words != "due" else " due ", "alarm" if urgent else "strong"),)


class DenyScreen(ModalScreen[str | None], inherit_bindings=False):
    """Asks why; answers with the reason, or None when it was given up."""

    app: BastionConsole
    VERB = "DENY"
    ASKS = "why not? the agent reads this"
    KEYS = " Enter denies, Esc goes back without"
    EMPTY = " a few words, please: the agent goes on by them"
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "cancel", "cancel", id="dialog.cancel")]

    def __init__(self, item: Item) -> None:
        super().__init__()
        self.item = item
        self._empty = False
        """Enter was pressed without a reason."""

    def compose(self) -> ComposeResult:
        with Vertical(id="dialog"):
            yield Bar("dialog-title")
            yield Bar("dialog-subject")
            yield Input(placeholder=self.ASKS, id="reason", max_length=REASON_LIMIT)
            yield Bar("dialog-keys")

    def on_mount(self) -> None:
        self.query_one(Input).focus()
        self.draw()

    def draw(self) -> None:
        """Says whether it can still be denied."""
        if not self.query("#dialog-keys"):
            return
        info = self.item.info
        where = f"{cell(info.login, 16)}@{cell(info.target, 24)}"
        self.query_one("#dialog-title", Bar).draw(
            ((f" {self.VERB} {cell(info.id, 12)} of {cell(info.identity, 20)} on {where}", "strong"),),
            time_left(self.app.view.items.get(info.id, self.item).info, self.app.daemon_time),
        )
        self.query_one("#dialog-subject", Bar).draw(
            ((" ", "value"), (cell(info.command, max(10, self.size.width - 6)), "command"))
        )
        problem = self._problem()
        words = (self.KEYS, "quiet")
        if problem:
            words = (f" Esc closes: {problem}", "alarm")
        elif self._empty:
            words = (self.EMPTY, "warning")
        self.query_one("#dialog-keys", Bar).draw((words,))

    def _problem(self) -> str:
        view = self.app.view
        return standing(view, view.items.get(self.item.id, self.item), self.app.feed.me, signed=False)

    @on(Input.Submitted, "#reason")
    def submitted(self, event: Input.Submitted) -> None:
        event.stop()
        reason = "".join(char for char in event.value if char.isprintable()).strip()
        if self._problem():
            self.draw()
        elif not reason:
            self._empty = True
            self.draw()
        else:
            self.dismiss(reason)

    def action_cancel(self) -> None:
        self.dismiss(None)


class EscalateScreen(DenyScreen):
    """Asks what the others should know; answers as the one above. Nobody signs this."""

    VERB = "ASK OTHERS TO DECIDE"
    ASKS = "what should they know?"
    KEYS = " Enter asks policy's next group and tells everybody, Esc goes back"
    EMPTY = " a few words, please: they have not seen it yet"

    def _problem(self) -> str:
        view = self.app.view
        return stands(view, view.items.get(self.item.id, self.item), self.app.feed.me)


class RememberScreen(ModalScreen[Memory | None], inherit_bindings=False):
    """Shows exactly what would be remembered; answers with the choice, or None when it was given up."""

    app: BastionConsole
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
        self._refused = ""
        """Why the last Enter did nothing."""

    def compose(self) -> ComposeResult:
        with Vertical(id="dialog"):
            yield Bar("dialog-title")
            yield Bar("dialog-choice")
            yield Block("dialog-text")
            yield Bar("dialog-scope")
            yield Bar("dialog-term")
            yield Bar("dialog-keys")

    def on_mount(self) -> None:
        self.draw()

    def draw(self) -> None:
        """Draws the choice as it stands, and whether it can still be approved."""
        if not self.query("#dialog-keys"):
            return
        memory = self.memory
        self.query_one("#dialog-title", Bar).draw(
            ((f" APPROVE {cell(memory.item.id, 12)} AND REMEMBER, so that it runs without asking:", "strong"),)
        )
        self.query_one("#dialog-choice", Bar).draw(memory.choice())
        self.query_one("#dialog-text", Block).draw(memory.text, self.size.height - FRAME)
        self.query_one("#dialog-scope", Bar).draw(memory.scope())
        self.query_one("#dialog-term", Bar).draw(memory.term())
        problem = self._problem()
        words = self._refused or " Enter approves and remembers, Down next form, t how long, e where, Esc goes back"
        self.query_one("#dialog-keys", Bar).draw(
            ((f" Esc closes: {problem}", "alarm"),) if problem else ((words, "quiet"),)
        )

    def _problem(self) -> str:
        view, item = self.app.view, self.memory.item
        if problem := standing(view, view.items.get(item.id, item), self.app.feed.me):
            return problem
        if self.query_one("#dialog-text", Block).cut:
            return "it is too long to be shown whole in this window"
        return ""

    def action_confirm(self) -> None:
        refusal = self._problem() or self.app.view.guard.refusal(self.app.pressed)
        self._refused = f" {refusal}" if refusal else ""
        if refusal:
            self.draw()
        else:
            self.dismiss(self.memory)

    def action_step(self, by: int) -> None:
        self._now(self.memory.step(by))

    def action_wider(self) -> None:
        self._now(self.memory.wider())

    def action_shorter(self) -> None:
        self._now(self.memory.shorter())

    def _now(self, memory: Memory) -> None:
        self.memory, self._refused = memory, ""
        self.draw()

    def action_cancel(self) -> None:
        self.dismiss(None)


class ModeScreen(ModalScreen[Grant | None], inherit_bindings=False):
    """Shows what may be typed into a command once it runs; answers with the choice, or None when it was given up."""

    app: BastionConsole
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
        self._refused = ""
        """Why the last Enter did nothing."""

    def compose(self) -> ComposeResult:
        with Vertical(id="dialog"):
            yield Bar("dialog-title")
            yield Bar("dialog-subject")
            for mode in MODES:
                yield Bar(f"dialog-{mode.value}")
            yield Bar("dialog-term")
            yield Bar("dialog-keys")

    def on_mount(self) -> None:
        self.draw()

    def draw(self) -> None:
        """Draws the choice as it stands, and whether it can still be approved."""
        if not self.query("#dialog-keys"):
            return
        info = self.grant.item.info
        title = f" APPROVE {cell(info.id, 12)}: what may be typed into it?"
        self.query_one("#dialog-title", Bar).draw(((title, "strong"),))
        subject = ((" ", "value"), (cell(info.command, max(10, self.size.width - 6)), "command"))
        self.query_one("#dialog-subject", Bar).draw(subject)
        for mode, row in zip(MODES, self.grant.rows(), strict=True):
            self.query_one(f"#dialog-{mode.value}", Bar).draw(row)
        self.query_one("#dialog-term", Bar).draw(self.grant.term())
        problem = self._problem()
        words = self._refused or " Enter approves so, Down next, t how long, Esc goes back"
        self.query_one("#dialog-keys", Bar).draw(
            ((f" Esc closes: {problem}", "alarm"),) if problem else ((words, "quiet"),)
        )

    def _problem(self) -> str:
        view, item = self.app.view, self.grant.item
        return standing(view, view.items.get(item.id, item), self.app.feed.me)

    def action_confirm(self) -> None:
        refusal = self._problem() or self.app.view.guard.refusal(self.app.pressed)
        self._refused = f" {refusal}" if refusal else ""
        if refusal:
            self.draw()
        else:
            self.dismiss(self.grant)

    def action_step(self, by: int) -> None:
        self.grant, self._refused = self.grant.step(by), ""
        self.draw()

    def action_longer(self) -> None:
        self.grant, self._refused = self.grant.longer(), ""
        self.draw()

    def action_cancel(self) -> None:
        self.dismiss(None)


class KillScreen(ModalScreen[str], inherit_bindings=False):
    """Asks what shall end: `session`, `keys` (the window in which keys pass to its command), or nothing."""

    app: BastionConsole
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y", "yes", "end it", id="kill.yes"),
        Binding("k", "keys", "end its keys only", id="kill.keys"),
        Binding("escape,n", "no", "leave it", id="kill.no"),
    ]

    def __init__(self, session: wire.SessionInfo) -> None:
        super().__init__()
        self.session = session

    def compose(self) -> ComposeResult:
        with Vertical(id="dialog"):
            yield Bar("dialog-title")
            yield Bar("dialog-subject")
            yield Bar("dialog-keys")

    def on_mount(self) -> None:
        self.draw()

    def draw(self) -> None:
        """Says whether it can still be ended."""
        if not self.query("#dialog-keys"):
            return
        one = self.session
        self.query_one("#dialog-title", Bar).draw(((f" END SESSION {cell(one.id, 20)}?", "strong"),))
        where = f" {cell(one.identity, 20)} on {cell(one.login, 16)}@{cell(one.target, 24)}: what runs in it is cut off"
        self.query_one("#dialog-subject", Bar).draw(((where, "value"),))
        over = self._over()
        keys = f"k ends its {badge(self._now())} keys only, " if self._window() else ""
        words = (" Esc closes: it is over already", "alarm") if over else (f" y ends it, {keys}Esc leaves it", "quiet")
        self.query_one("#dialog-keys", Bar).draw((words,))

    def _over(self) -> bool:
        return self._now().closed > 0

    def _now(self) -> wire.SessionInfo:
        return self.app.view.sessions.get(self.session.id, self.session)

    def _window(self) -> bool:
        return bool(badge(self._now()))

    def action_yes(self) -> None:
        if self._over() or self.app.view.guard.hasty:
            self.draw()
        else:
            self.dismiss("session")

    def action_keys(self) -> None:
        if self._window():
            self.dismiss("keys")

    def action_no(self) -> None:
        self.dismiss("")
