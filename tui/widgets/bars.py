"""The one-row widgets: status, tabs, headline, notice. Each shows parts that somebody else made."""

from __future__ import annotations

from typing import ClassVar

from textual.strip import Strip

from bastion.policy.visible import CUT
from tui.paper import Parts
from tui.widgets.paint import COMPONENTS, Painted


def shortened(parts: Parts, width: int) -> Parts:
    """The parts in at most `width` characters; what is cut ends in `…`."""
    if sum(len(text) for text, _ in parts) <= width:
        return parts
    kept: list[tuple[str, str]] = []
    room = max(0, width - len(CUT))
    for text, style in parts:
        kept.append((text[:room], style))
        room -= len(kept[-1][0])
        if len(kept[-1][0]) < len(text):
            break
    return (*kept, (CUT, "value"))


class Bar(Painted, can_focus=False):
    """One row: parts at the left, parts at the right; where both do not fit, the right ones win."""

    COMPONENT_CLASSES: ClassVar[set[str]] = COMPONENTS

    def __init__(self, id: str) -> None:
        super().__init__(id=id)
        self.left: Parts = ()
        self.right: Parts = ()
        self.over = ""

    def draw(self, left: Parts, right: Parts = (), over: str = "") -> None:
        """Shows these parts; `over` is a style for the whole row."""
        if (left, right, over) != (self.left, self.right, self.over):
            self.left, self.right, self.over = left, right, over
            self.refresh()

    def render_line(self, y: int) -> Strip:
        width = self.size.width
        if y:
            return self.strip((), width, self.over)
        right = self.strip(self.right, min(width, sum(len(text) for text, _ in self.right)), self.over)
        left = self.strip(shortened(self.left, width - right.cell_length), width - right.cell_length, self.over)
        return Strip.join([left, right])

    @property
    def text(self) -> str:
        """What it shows, for tests and for screen readers."""
        return "".join(text for text, _ in self.left + self.right)
