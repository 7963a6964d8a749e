"""Edit and approve: writes another command in the place of the one that is held, has it judged, then asks for the key
that approves it.

The text is written first (every key is a letter then); Ctrl-S has it judged and takes the keyboard away from the text;
only then there is a key that approves, and what it approves stands on the screen as the bastion understood it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.widget import Widget
from textual.widgets import TextArea

from bastion.control import wire
from bastion.policy.visible import visible
from tui.deciding import standing
from tui.editing import Edit, command_of, editable
from tui.feed import words_of
from tui.items import Item
from tui.paper import Document, Rows
from tui.screens import leave
from tui.screens.dialog import Dialog, place
from tui.widgets.bars import Block
from tui.widgets.text import TextView
from tui.words import cell

FRAME = 16
"""Rows that the dialog takes beside the shown command."""


class EditScreen(Dialog[Edit], inherit_bindings=False):
    """Answers with what is to be put in its place and approved."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+s", "judge", "judge it", id="edit.judge"),
        Binding("y", "confirm", "approve it so", id="edit.confirm"),
        Binding("e", "go_on", "edit on", id="edit.on"),
        Binding("escape", "cancel", "cancel", id="edit.cancel"),
    ]

    def __init__(self, item: Item) -> None:
        super().__init__()
        self.item = item
        self.edit: Edit | None = None
        self._judging = False
        self._refused = ""
        """Why the last key did nothing."""

    def body(self) -> Iterable[Widget]:
        yield TextArea(editable(self.item.info), id="edit-text", soft_wrap=True)
        yield Block("edit-shown")
        yield TextView(self.app.view, self._verdict, "edit-verdict")

    def on_resize(self) -> None:
        self.call_after_refresh(self.draw)

    def _verdict(self, width: int) -> Document:
        return Document([Rows(self.edit.rows(width) if self.edit else [])])

    def fill(self) -> None:
        info, edit = self.item.info, self.edit
        title = f" EDIT {cell(info.id, 12)} of {cell(info.identity, 20)} on {place(info)}"
        self.bar("title").draw(((title, "strong"),))
        self.query_one(TextArea).display = edit is None
        shown = self.query_one("#edit-shown", Block)
        shown.display = edit is not None
        shown.draw(visible(edit.command) if edit else "", self.size.height - FRAME)
        verdict = self.query_one("#edit-verdict", TextView)
        verdict.display = edit is not None
        verdict.draw(edit, same=False)

    def hint(self) -> tuple[str, str]:
        if self._judging:
            return " being judged ...", "quiet"
        if self._refused:
            return f" {self._refused}", "warning"
        if self.edit is None:
            return " Ctrl-S has it judged, Esc goes back", "quiet"
        if self.edit.denied:
            return " e edits on, Esc goes back", "quiet"
        return " APPROVE THIS IN ITS PLACE? y = yes, e edits on, Esc goes back", "alarm"

    def problem(self) -> str:
        view = self.app.view
        return standing(view, view.items.get(self.item.id, self.item), self.app.feed.me)

    # --- keys

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """What approves exists only once there is something to approve; before, it is a letter."""
        if action in ("confirm", "go_on"):
            return self.edit is not None
        return self.edit is None and not self._judging if action == "judge" else True

    def action_judge(self) -> None:
        command = command_of(self.query_one(TextArea).text)
        self._refused = ""
        if command == self.item.info.command:
            self._refused = "nothing was changed: Esc goes back, a approves it as it is"
        elif not command.strip():
            self._refused = "the command is empty: Esc goes back, d denies it"
        elif not self.problem():
            self._judging = True
            self.query_one(TextArea).read_only = True
            self.run_worker(self._judge(command), name="judge", exclusive=True)
        self.draw()

    async def _judge(self, command: bytes) -> None:
        try:
            tried = await self.app.feed.call(wire.TryEdit, wire.RequestInfo, request=self.item.id, command=command)
            if tried.command != command:
                self._refused = "the bastion judged another command than the one that was written"
            else:
                self.edit = Edit(self.item, command, tried)
                self.set_focus(None)
        except Exception as error:  # noqa: BLE001 - whatever it is, the console stays up and says it
            self._refused = words_of(error)
        self._judging = False
        if self.edit is None:
            self.query_one(TextArea).read_only = False
        self.app.view.guard.display_changed(self.app.clock())
        self.refresh_bindings()
        self.draw()

    def action_confirm(self) -> None:
        refusal = self.problem() or self.app.view.guard.refusal(self.app.pressed)
        if self.edit is None or self.edit.denied:
            return
        if not refusal and self.query_one("#edit-shown", Block).cut:
            refusal = "it is too long to be shown whole in this window"
        if refusal:
            self._refused = refusal
            self.draw()
        else:
            leave(self, self.edit)

    def action_go_on(self) -> None:
        self.edit = None
        area = self.query_one(TextArea)
        area.read_only = False
        self.draw()
        area.focus()
        self.refresh_bindings()
