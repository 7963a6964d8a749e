"""Lines that grow at the bottom: stays at the end unless the person scrolled up."""

from __future__ import annotations

from typing import ClassVar

from textual.geometry import Size
from textual.scroll_view import ScrollView
from textual.strip import Strip

from tui.widgets.paint import COMPONENTS, Painted

MARGINS = 2
"""Columns: a blank at the left, the scrollbar at the right."""


class LogView(ScrollView, Painted, can_focus=False):
    """Lines of a stream."""

    COMPONENT_CLASSES: ClassVar[set[str]] = COMPONENTS

    def __init__(self, id: str, style: str) -> None:
        super().__init__(id=id)
        self.lines: list[str] = []
        self._style = style
        self._tight = False

    def draw(self, lines: list[str], columns: int = 0) -> None:
        """Shows these lines. `columns`: of a terminal; one that is as wide as the window gets all of it, without
        margin and scrollbar, since what stands at the right edge may matter."""
        tight = columns > self.outer_size.width - MARGINS
        if tight is not self._tight:
            self._tight = tight
            self.styles.scrollbar_size_vertical = 0 if tight else 1
            self.styles.scrollbar_gutter = "auto" if tight else "stable"
            self.refresh(layout=True)
        if lines == self.lines:
            return
        at_end = self.scroll_y >= self.max_scroll_y - 1
        self.lines = lines
        self.virtual_size = Size(self.size.width, len(lines))
        if at_end:  # forced: there may be no scrollbar yet
            self.scroll_to(y=len(lines), animate=False, force=True)
        self.refresh()

    def render_line(self, y: int) -> Strip:
        at = y + round(self.scroll_y)
        text = self.lines[at] if at < len(self.lines) else ""
        lead = "" if self._tight else " "
        return self.strip(((lead, "value"), (text, self._style)), self.size.width)
