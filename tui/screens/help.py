"""The help: every key with what it does, printed from the table of keys, and how to read the screen."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.screen import ModalScreen

from tui import keys
from tui.paper import BLANK, Document, Row, Rows, field_rows, title_row
from tui.reading import wrap
from tui.screens import leave
from tui.widgets.bars import Bar
from tui.widgets.text import TextView

LEAST_WIDTH = 10
"""Characters of what a key does on one row, however narrow the window."""

if TYPE_CHECKING:
    from tui.app import BastionConsole

NOTES = (
    "A request is shown complete. What cannot be printed stands as a mark such as ⟨ESC⟩ or ⟨U+202E RIGHT-TO-LEFT "
    "OVERRIDE⟩, a newline as ⏎; a row that begins with + goes on from the row above.",
    "One key approves low and medium risk; high and unrated risk ask for a second key. An approval needs the end of "
    "the text to have been on your screen.",
    "After a change that you did not make, deciding keys do nothing for 0.7 seconds.",
    "A selected request that ends stays where it is and says how it ended, until you move.",
    "What nobody decides in time is denied.",
)


def help_document(keymap: dict[str, str], width: int) -> Document:
    """All keys and notes; `keymap` (id to keys) replaces the keys of the table."""
    rows: list[Row] = []
    for title, group in keys.GROUPS:
        rows.append(title_row(title, "", width))
        for key in group:
            rows += _key_rows(keys.spelled(keymap.get(key.id, key.keys)), key.help, width)
        rows.append(BLANK)
    rows.append(title_row("Good to know", "", width))
    for note in NOTES:
        rows += field_rows(" -", note, width)
    return Document([Rows(rows)])


def _key_rows(spelled: str, text: str, width: int) -> list[Row]:
    """What a key does, on as many rows as that takes."""
    head = f" {spelled:<15} "
    wrapped = wrap(text, max(LEAST_WIDTH, width - len(head)))
    heads = [head] + [" " * len(head)] * (len(wrapped) - 1)
    return [Row(((begin, "strong"), (wrapped.row(at), "value"))) for at, begin in enumerate(heads)]


class HelpScreen(ModalScreen[None], inherit_bindings=False):
    """Help over whatever was there."""

    app: BastionConsole
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,question_mark,q", "close", "back", id="help.close"),
        *keys.bindings(keys.TEXT),
        Binding("down,j", "line(1)", show=False, id="help.down"),
        Binding("up,k", "line(-1)", show=False, id="help.up"),
    ]

    def compose(self) -> ComposeResult:
        yield Bar("help-title")
        yield TextView(self.app.view, lambda width: help_document(self.app.keymap_ids, width), "help")

    def on_mount(self) -> None:
        self.query_one("#help-title", Bar).draw(((" KEYS", "title"),), (("Esc goes back ", "quiet"),))
        self.call_after_refresh(self.draw)

    def on_resize(self) -> None:
        self.call_after_refresh(self.draw)

    def draw(self) -> None:
        """Draws the table; it never changes."""
        if not self.query("#help"):
            return
        self.query_one(TextView).draw("help", same=True)

    def action_close(self) -> None:
        leave(self)

    def action_page(self, pages: int) -> None:
        self.query_one(TextView).page(pages)

    def action_line(self, rows: int) -> None:
        self.query_one(TextView).line(rows)

    def action_edge(self, end: int) -> None:
        self.query_one(TextView).edge(end)
