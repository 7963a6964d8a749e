"""Painting of named styles: the only place where a style name becomes a colour, and text becomes cells.

Text arrives as (text, style name) pairs and is painted as literal characters: nothing here, or in any widget built on
it, knows markup, and no control character gets through (`words.plain`), whatever a caller forgot. The names are
component classes; `app.tcss` colours them for every theme.
"""

from __future__ import annotations

from rich.segment import Segment
from rich.style import Style
from textual.strip import Strip
from textual.widget import Widget

from tui.paper import Parts
from tui.words import plain

STYLES = (
    "value",
    "label",
    "strong",
    "quiet",
    "command",
    "program",
    "option",
    "string",
    "variable",
    "operator",
    "comment",
    "mark",
    "newline",
    "number",
    "rule",
    "title",
    "words",
    "high",
    "unrated",
    "medium",
    "low",
    "held",
    "good",
    "bad",
    "ended",
    "alarm",
    "warning",
    "selected",
    "active",
    "stderr",
)
"""All names. A test checks that no other is used and that the style sheet knows each."""


COMPONENTS = {f"paint--{name}" for name in STYLES}
"""For the COMPONENT_CLASSES of every widget that paints: Textual does not collect them from a second base class."""


class Painted(Widget):
    """A widget that paints parts."""

    def strip(self, parts: Parts, width: int, over: str = "") -> Strip:
        """The parts as one row of exactly `width` cells; `over` is a style laid over all of them."""
        base = self.rich_style
        above = self.named(over) if over else Style.null()
        segments = [Segment(plain(text), base + self.named(name) + above) for text, name in parts if text]
        return Strip(segments).adjust_cell_length(width, base + above)

    def named(self, name: str) -> Style:
        """The colours and attributes of a style name, without those of the widget under it."""
        return self.get_component_rich_style(f"paint--{name}", partial=True)
