"""What all dialogs share: a frame with a title above and the keys below, and how each one ends.

Theory of operation. A dialog answers with a value of its own type, or with None when it was given up. It is bound to
what it was opened for, and never closes by itself: if it did, the rest of what a person types would act on the screen
under it. When its subject ends meanwhile (`problem`), its last row says so and it only lets itself be closed.

A dialog says what stands between title and keys (`body`), what each row shows (`fill`), why it can only be closed any
more (`problem`) and which keys it has otherwise (`hint`).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, TypeVar

from textual.app import ComposeResult
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widget import Widget

from bastion.control import wire
from bastion.model import State
from tui.paper import Parts
from tui.screens import leave
from tui.widgets.bars import Bar
from tui.words import cell, countdown

if TYPE_CHECKING:
    from tui.app import BastionConsole

Answer = TypeVar("Answer")

SIDES = 6
"""Columns that the frame takes at both sides of a command, with some room."""


class Dialog(ModalScreen[Answer | None], inherit_bindings=False):
    """A dialog that answers with an `Answer`."""

    app: BastionConsole

    def body(self) -> Iterable[Widget]:
        """The rows between the title and the keys."""
        raise NotImplementedError

    def fill(self) -> None:
        """Draws the title and the body as they stand now."""
        raise NotImplementedError

    def problem(self) -> str:
        """Why it can only be closed any more; empty: it can be answered. Asked after `fill`."""
        raise NotImplementedError

    def hint(self) -> tuple[str, str]:
        """The last row while there is no problem: words and their style."""
        raise NotImplementedError

    def compose(self) -> ComposeResult:
        with Vertical(id="dialog"):
            yield Bar("dialog-title")
            yield from self.body()
            yield Bar("dialog-keys")

    def on_mount(self) -> None:
        for field in self.query("Input, TextArea"):
            field.focus()
        self.draw()

    def draw(self) -> None:
        """Draws all of it, and whether it can still be answered. Before it is mounted, and after, nothing."""
        if not self.query("#dialog-keys"):
            return
        self.fill()
        problem = self.problem()
        self.bar("keys").draw(((f" Esc closes: {problem}", "alarm") if problem else self.hint(),))

    def action_cancel(self) -> None:
        leave(self, None)

    # --- for those that draw

    def bar(self, name: str) -> Bar:
        """One of the dialog's rows."""
        return self.query_one(f"#dialog-{name}", Bar)

    def draw_command(self, command: bytes) -> None:
        """The row with the command that it is about."""
        self.bar("subject").draw(((" ", "value"), (cell(command, max(10, self.size.width - SIDES)), "command")))


class Confirmed(Dialog[Answer], inherit_bindings=False):
    """A dialog in which one key says yes to what it shows. The guard has a word in that, as with every other key that
    approves."""

    KEYS = ""
    """Which keys it has."""

    def __init__(self) -> None:
        super().__init__()
        self.refused = ""
        """Why the last yes did nothing."""

    def answer(self) -> Answer:
        """What it answers with, now that it was confirmed."""
        raise NotImplementedError

    def hint(self) -> tuple[str, str]:
        return self.refused or self.KEYS, "quiet"

    def action_confirm(self) -> None:
        refusal = self.problem() or self.app.view.guard.refusal(self.app.pressed)
        self.refused = f" {refusal}" if refusal else ""
        if refusal:
            self.draw()
        else:
            leave(self, self.answer())


def place(one: wire.RequestInfo | wire.SessionInfo, width: int = 24) -> str:
    """`login@target`, the target in at most `width` characters."""
    return f"{cell(one.login, 16)}@{cell(one.target, width)}"


def time_left(info: wire.RequestInfo, now: int) -> Parts:
    """For the right end of a title: a dialog lies over the row that says it. `now` is the bastion's time."""
    if info.state != State.HELD:
        return ()
    words = countdown(info.expires - now)
    urgent = words.endswith("!") or words == "due"
    return ((f" {words} left " if words != "due" else " due ", "alarm" if urgent else "strong"),)
