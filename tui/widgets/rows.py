"""One of the three lists: draws the rows of a pane, scrolls so that the selected one stays where it is.

Only the rows on the screen are made, so a thousand requests cost as much as ten. The widget has no selection of its
own: it draws the view's, and a click asks for a row by its id.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from textual import events
from textual.geometry import Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

from tui import columns
from tui.items import Item
from tui.order import Pane
from tui.view import View
from tui.widgets.paint import COMPONENTS, Painted


class RowList(ScrollView, Painted, can_focus=False):
    """The rows of one pane."""

    COMPONENT_CLASSES: ClassVar[set[str]] = COMPONENTS

    @dataclass
    class Picked(Message):
        """A row was clicked."""

        pane: Pane
        row: str
        time_pressed: float
        """Of the click, by Textual's clock."""

    def __init__(self, view: View, pane: Pane) -> None:
        super().__init__(id=f"rows-{pane}")
        self.model = view
        self.pane = pane
        self.now = 0
        """The bastion's time, in microseconds."""
        self._drawn: tuple[str, ...] = ()
        self._at = -1

    def draw(self, now: int) -> None:
        """Draws the view as it is; the selected row keeps its place on the screen when others come and go."""
        self.now = now
        rows, chosen = self.model.rows(self.pane), self.model.selected(self.pane)
        self.virtual_size = Size(self.size.width, len(rows))
        at = rows.index(chosen) if chosen in rows else -1
        if at >= 0 and self.size.height:
            top = round(self.scroll_y)
            if chosen in self._drawn and rows != self._drawn and self._at >= 0:
                top += at - self._at  # rows came or went above it
            top = min(max(top, at - self.size.height + 1), at)
            self.scroll_to(y=max(0, top), animate=False, force=True)
        self._drawn, self._at = rows, at
        self.refresh()

    def on_resize(self) -> None:
        self.draw(self.now)

    def render_line(self, y: int) -> Strip:
        width = self.scrollable_content_region.width  # without the scrollbar, which comes with the first row too many
        rows = self.model.rows(self.pane)
        at = y + round(self.scroll_y)
        if at >= len(rows) or (one := self.model.thing(rows[at])) is None:
            return self.strip((), width)
        chosen = rows[at] == self.model.selected(self.pane)
        active = self.model.pane is self.pane
        mark = (">" if active else "-") if chosen else " "
        if isinstance(one, Item) and self.model.snoozed(one, self.now):
            mark += "z"
        parts = ((mark.ljust(columns.MARK), "strong"), *columns.row(self.pane, one, self.now, width))
        return self.strip(parts, width, "selected" if chosen and active else "")

    def on_click(self, event: events.Click) -> None:
        event.stop()
        rows = self.model.rows(self.pane)
        at = event.y + round(self.scroll_y)
        if at < len(rows):
            self.post_message(self.Picked(self.pane, rows[at], event.time))
