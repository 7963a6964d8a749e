"""What may be typed into a command of a shell once it runs: the approver's choice, and its words. Pure.

Theory of operation. A line of a governed shell asks for a mode (model.TtyMode); whoever approves may grant another.
`none` and `line` keep everything governed. `view` and `raw` let keys pass to one command for a limited time: that is
said with the choice, with how long, and with what ends it. What is chosen is part of the signed vote.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from bastion.control import wire
from bastion.model import RequestKind, TtyMode
from tui.items import Item
from tui.paper import Parts
from tui.words import SECOND, cell, duration

WORDS = {
    TtyMode.NONE: "nothing but the keys that stop it",
    TtyMode.LINE: "lines, each held and shown like a command",
    TtyMode.VIEW: "keys that only move about in a pager or in top",
    TtyMode.RAW: "EVERY key, seen by nobody: recorded, for a limited time",
}
"""The safest first."""
MODES = tuple(WORDS)
TIMED = frozenset({TtyMode.VIEW, TtyMode.RAW})
"""Modes that have an end of their own."""
SPANS = (300, 60, 900, 3600)
"""Seconds that keys may pass; the first is what the bastion takes where nothing is said, the last is its most."""


@dataclass(frozen=True, slots=True)
class Grant:
    """One choice."""

    item: Item
    mode: TtyMode
    span: int = 0

    def step(self, by: int) -> Grant:
        """The next mode."""
        return replace(self, mode=MODES[(MODES.index(self.mode) + by) % len(MODES)])

    def longer(self) -> Grant:
        """The next time span."""
        return replace(self, span=(self.span + 1) % len(SPANS))

    @property
    def seconds(self) -> int:
        """For the vote; 0 where the mode has no end of its own."""
        return SPANS[self.span] if self.mode in TIMED else 0

    def rows(self) -> list[Parts]:
        """The modes, the chosen one marked."""
        asked = self.item.info.mode
        rows: list[Parts] = []
        for mode, words in WORDS.items():
            chosen = mode is self.mode
            note = "  (as it asks)" if mode.value == asked else ""
            style = ("alarm" if mode is TtyMode.RAW else "strong") if chosen else "quiet"
            rows.append(((f" {'>' if chosen else ' '} {mode.value:5} {words}{note}", style),))
        return rows

    def term(self) -> Parts:
        """How long."""
        if self.mode not in TIMED:
            return ((" until the command ends", "quiet"),)
        return ((f" for {duration(self.seconds * SECOND)}; x on its session ends it before", "warning"),)


def first(item: Item) -> Grant | str:
    """The choice as it is offered first, or why there is none."""
    if item.info.kind not in (RequestKind.LINE.value, RequestKind.EXEC.value) or not item.info.terminal:
        return "only a line of a shell, or a command with a terminal, has keys to be granted: a approves it"
    try:
        return Grant(item, TtyMode(item.info.mode))
    except ValueError:
        return f"it asks for a mode that this console does not know: {cell(item.info.mode, 20)}"


def badge(session: wire.SessionInfo) -> str:
    """What stands for an open window, wherever its session is named; empty while all is governed."""
    return "" if not session.mode or session.closed else session.mode.upper()
