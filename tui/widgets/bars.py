"""The widgets of one row (status, tabs, headline, notice) and of as many as a text takes. Each shows what somebody else
made."""

from __future__ import annotations

from typing import ClassVar

from textual.geometry import Size
from textual.strip import Strip

from bastion.policy.visible import CUT
from tui.paper import Parts, marked
from tui.reading import wrap
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


class Block(Painted, can_focus=False):
    """A visible text, wrapped, as high as it is; who shows it must say so where there is no room for all of it."""

    COMPONENT_CLASSES: ClassVar[set[str]] = COMPONENTS

    def __init__(self, id: str) -> None:
        super().__init__(id=id)
        self.shown = ""
        self.room = 1

    def draw(self, shown: str, room: int) -> None:
        """Shows this text, in at most `room` rows."""
        if (shown, room) != (self.shown, self.room):
            self.shown, self.room = shown, max(1, room)
            self.refresh(layout=True)

    @property
    def cut(self) -> bool:
        """Not all of it is on the screen."""
        return self.rows(self.size.width) > self.room

    def rows(self, width: int) -> int:
        """That it takes at this width."""
        return len(wrap(self.shown, width - 1))

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        return min(self.rows(width), self.room)

    def render_line(self, y: int) -> Strip:
        width = self.size.width
        wrapped = wrap(self.shown, width - 1)
        parts = ((" ", "value"), *marked(wrapped.row(y), "command")) if y < len(wrapped) else ()
        return self.strip(parts, width)

    @property
    def text(self) -> str:
        """What it shows, for tests and for screen readers."""
        return self.shown
