"""The text about what is selected: paints a document row by row, and reports what has been painted.

The report is made where a row is turned into cells, so it cannot claim more than was drawn; and not for a row that the
widget's edge cuts, nor while another screen lies over this one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from textual.geometry import Size
from textual.scroll_view import ScrollView
from textual.strip import Strip

from tui.paper import Document
from tui.view import View
from tui.widgets.paint import COMPONENTS, Painted

MARGIN = 1
"""Blank columns at the left and at the right."""


class TextView(ScrollView, Painted, can_focus=False):
    """A document that can be read."""

    COMPONENT_CLASSES: ClassVar[set[str]] = COMPONENTS

    def __init__(self, view: View, make: Callable[[int], Document], id: str) -> None:
        super().__init__(id=id)
        self.model = view
        self._make = make
        self.document = Document(())
        self._key: object = None

    def draw(self, key: object, *, same: bool) -> None:
        """Draws the document anew where `key` changed. `same`: it is about the same thing, so the place is kept."""
        if not self.size.width:
            return
        key = (key, self.size.width)
        if key != self._key:
            self._key = key
            self.document = self._make(max(1, self.size.width - 2 * MARGIN - 1))
            self.virtual_size = Size(self.size.width, len(self.document))
            if self.document.digest:
                self.model.totals[self.document.digest] = self.document.must
        if not same:
            self.scroll_to(y=0, animate=False, force=True)
        self.refresh()

    def render_line(self, y: int) -> Strip:
        at = y + round(self.scroll_y)
        width = self.size.width
        if at >= len(self.document):
            return self.strip((), width)
        row = self.document.row(at)
        whole = MARGIN + len(row.text) <= width
        if row.span and self.document.digest and whole and self.app.screen is self.screen:
            self.model.saw(self.document.digest, *row.span)
        return self.strip(((" " * MARGIN, "value"), *row.parts), width)

    @property
    def below(self) -> int:
        """Rows of the text that must be read that are below the screen."""
        return self.document.source_below(round(self.scroll_y) + self.size.height)

    @property
    def rest(self) -> int:
        """All rows that are below the screen."""
        return max(0, len(self.document) - round(self.scroll_y) - self.size.height)

    def page(self, pages: int) -> None:
        """Scrolls by whole pages, one row less so that the eye finds its place."""
        self.line(pages * max(1, self.size.height - 1))

    def line(self, rows: int) -> None:
        """Scrolls by rows."""
        self.scroll_to(y=self.scroll_y + rows, animate=False, force=True)

    def edge(self, end: int) -> None:
        """Scrolls to the beginning (negative); or to the end of what must be read, and from there to the very end."""
        place = 0 if end < 0 else self.document.source_end - self.size.height if self.below else len(self.document)
        self.scroll_to(y=place, animate=False, force=True)
