"""Rows of records: only those on the screen are made; the chosen one is an id, so that it stays when others come."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from textual import events
from textual.geometry import Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

from tui.records import Column, Record, picked, widths
from tui.widgets.paint import COMPONENTS, Painted
from tui.words import name

MARK = 2


class Table(ScrollView, Painted, can_focus=False):
    """A list of records."""

    COMPONENT_CLASSES: ClassVar[set[str]] = COMPONENTS

    @dataclass
    class Picked(Message):
        """A row was clicked, or moved to."""

        row: str

    def __init__(self, columns: tuple[Column, ...], id: str) -> None:
        super().__init__(id=id)
        self.columns = columns
        self.records: list[Record] = []
        self.chosen = ""

    def draw(self, records: list[Record]) -> None:
        """Shows these; the chosen one stays chosen while it is there."""
        self.records = records
        self.virtual_size = Size(self.size.width, len(records))
        if self.chosen not in {each.id for each in records}:
            self.chosen = records[0].id if records else ""
        self._show()

    @property
    def current(self) -> Record | None:
        """The chosen record."""
        return next((each for each in self.records if each.id == self.chosen), None)

    def move(self, steps: int) -> None:
        """The person went up (negative) or down."""
        ids = [each.id for each in self.records]
        if ids:
            at = ids.index(self.chosen) if self.chosen in ids else 0
            self.chosen = ids[min(max(at + steps, 0), len(ids) - 1)]
            self._show()
            self.post_message(self.Picked(self.chosen))

    def _show(self) -> None:
        at = next((at for at, each in enumerate(self.records) if each.id == self.chosen), -1)
        if at >= 0 and self.size.height:
            top = min(max(round(self.scroll_y), at - self.size.height + 1), at)
            self.scroll_to(y=max(0, top), animate=False, force=True)
        self.refresh()

    def header(self, width: int) -> str:
        """The titles of the columns."""
        sizes = widths(self.columns, width - MARK)
        titles = picked([column.title for column in self.columns], sizes)
        return " " * MARK + " ".join(title[:size].ljust(size) for title, size in zip(titles, sizes, strict=True))

    def render_line(self, y: int) -> Strip:
        at, width = y + round(self.scroll_y), self.size.width
        if at >= len(self.records):
            return self.strip((), width)
        record = self.records[at]
        sizes = widths(self.columns, width - MARK)
        cells = [name(text, size).ljust(size) for text, size in zip(picked(record.cells, sizes), sizes, strict=True)]
        mark = ">" if record.id == self.chosen else " "
        over = "selected" if record.id == self.chosen else ""
        return self.strip(((mark.ljust(MARK), "strong"), (" ".join(cells), record.style)), width, over)

    def on_click(self, event: events.Click) -> None:
        event.stop()
        at = event.y + round(self.scroll_y)
        if at < len(self.records):
            self.chosen = self.records[at].id
            self._show()
            self.post_message(self.Picked(self.chosen))
