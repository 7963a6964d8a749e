"""The commands of a session beside its replay: the one that runs is marked and kept in sight."""

from __future__ import annotations

from typing import ClassVar

from textual.strip import Strip

from bastion.control import timeline
from bastion.control.timeline import Command
from tui.widgets.paint import COMPONENTS, Painted


class CommandList(Painted, can_focus=False):
    """A list of commands."""

    COMPONENT_CLASSES: ClassVar[set[str]] = COMPONENTS

    def __init__(self, id: str) -> None:
        super().__init__(id=id)
        self._listed: list[Command] = []
        self._now = -1

    def draw(self, listed: list[Command], now: int) -> None:
        """Shows these; `now` is the number of the one that runs."""
        if (listed, now) != (self._listed, self._now):
            self._listed, self._now = list(listed), now
            self.refresh()

    def render_line(self, y: int) -> Strip:
        width, height = self.size.width, max(1, self.size.height)
        first = max(0, min(self._now - height // 2, len(self._listed) - height))
        at = first + y
        if at >= len(self._listed):
            return self.strip((), width)
        now = at == self._now
        return self.strip(timeline.row(self._listed[at], width, now=now), width, "selected" if now else "")
