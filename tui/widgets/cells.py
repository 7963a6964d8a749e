"""A recorded terminal's cells. What does not fit is cut, and the part with the cursor is what shows.

Colours are those of the recording, by names and numbers that were parsed; characters went through `paint.safe`, and one
that this terminal would draw wider or narrower than it was becomes a mark of the right width.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, ClassVar

from pyte.screens import Char
from rich.cells import cell_len
from rich.segment import Segment
from rich.style import Style
from textual.strip import Strip

from recorder.paint import safe
from recorder.screen import Screen
from recorder.terminal import HIDDEN
from tui.widgets.paint import COMPONENTS, Painted

_NAMES = {"brown": "yellow", "brightbrown": "bright_yellow"}
"""pyte's names that are not Rich's; `bright…` becomes `bright_…`."""


class CellsView(Painted, can_focus=False):
    """A screen."""

    COMPONENT_CLASSES: ClassVar[set[str]] = COMPONENTS

    def __init__(self, id: str) -> None:
        super().__init__(id=id)
        self.screen_shown: Screen | None = None
        self._top = self._left = 0
        self._pan: tuple[int, int] | None = None

    def draw(self, screen: Screen) -> None:
        """Shows the screen as it is now."""
        self.screen_shown = screen
        x, y, _ = screen.cursor
        width, height = max(1, self.size.width), max(1, self.size.height)
        most = (max(0, screen.columns - width), max(0, screen.lines - height))
        wanted = self._pan or (x - width + 1, y - height + 1)
        self._left, self._top = (min(max(0, at), limit) for at, limit in zip(wanted, most, strict=True))
        self.refresh()

    def pan(self, columns: int, lines: int) -> None:
        """Shows another part; (0, 0): the one with the cursor again."""
        self._pan = (self._left + columns, self._top + lines) if columns or lines else None
        if self.screen_shown is not None:
            self.draw(self.screen_shown)
            self._pan = self._pan and (self._left, self._top)

    @property
    def cut(self) -> bool:
        """Not all of it is on the screen."""
        screen = self.screen_shown
        return screen is not None and (screen.columns > self.size.width or screen.lines > self.size.height)

    def render_line(self, y: int) -> Strip:
        width, screen = self.size.width, self.screen_shown
        at = y + self._top
        if screen is None or at >= screen.lines:
            return self.strip((), width)
        base = self.rich_style
        x, row, visible = screen.cursor
        cells = screen.row(at)[self._left : self._left + width]
        segments = []
        for number, cell in enumerate(cells):
            style = base + style_of(cell[1:])
            if visible and (row, x) == (at, number + self._left):
                style += Style(reverse=not cell.reverse)
            if cell.data:
                wide = number + 1 < len(cells) and not cells[number + 1].data
                segments.append(Segment(fitted(cell.data, 2 if wide else 1), style))
            elif number == 0:
                segments.append(Segment(" ", style))  # the second half of a character that is cut
        return Strip(segments).adjust_cell_length(width, base)


@lru_cache(maxsize=4096)
def fitted(data: str, width: int) -> str:
    """A cell's text in so many cells of this terminal."""
    text = safe(data)
    return text if cell_len(text) == width else HIDDEN.ljust(width)


@lru_cache(maxsize=4096)
def style_of(attributes: tuple[Any, ...]) -> Style:
    """Attributes of a cell as this terminal has them."""
    cell = Char(" ", *attributes)
    return Style(
        color=_colour(cell.fg), bgcolor=_colour(cell.bg), bold=cell.bold, italic=cell.italics,
        underline=cell.underscore, strike=cell.strikethrough, reverse=cell.reverse,
    )  # fmt: skip


def _colour(name: str) -> str | None:
    if name == "default":
        return None
    if len(name) == 6 and all(digit in "0123456789abcdef" for digit in name):
        return f"#{name}"
    return _NAMES.get(name, f"bright_{name[6:]}" if name.startswith("bright") else name)
