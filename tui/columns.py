"""The columns of the three lists, as data: what stands in a cell, and what is left out where it is narrow. Pure.

Each pane has a few layouts, the widest first; the first that fits is taken. One column a layout is `FILL` wide and
takes what is left: the command. Every cell is at most its column's width, so rows line up in any terminal.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from bastion.control import wire
from tui.documents import approvals
from tui.granting import badge
from tui.items import Item
from tui.order import Pane
from tui.paper import Parts
from tui.words import cell, clock_time, countdown, duration, name, state_badge, tier_badge

FILL = 0
GAP = 1
MARK = 2
"""Characters in front of a row, for the selection."""

Cell = Callable[[Any, int, int], tuple[str, str]]
"""(item or session, the bastion's time, width) -> text and style name."""


@dataclass(frozen=True, slots=True)
class Column:
    """One column."""

    title: str
    width: int
    cell: Cell
    right: bool = False


def _age(item: Item, now: int, width: int) -> tuple[str, str]:
    return duration(now - item.info.created), "value"


def _left(item: Item, now: int, width: int) -> tuple[str, str]:
    if not item.held:
        return "--", "quiet"
    words = countdown(item.info.expires - now)
    return words, "alarm" if words.endswith("!") or words == "due" else "strong"


def _risk(item: Item, now: int, width: int) -> tuple[str, str]:
    info, badge = item.info, tier_badge(item.info.tier)
    if item.trouble:
        return "TAMPERED", "alarm"
    if item.gone:
        return "GONE", "bad"
    if not item.held:
        return state_badge(info.state).short, state_badge(info.state).style
    if info.score is None:
        return f"{badge.glyph:<2} {badge.short}", badge.style
    return f"{badge.glyph:<2}{info.score:>3} {badge.short}", badge.style


def _ending(item: Item, now: int, width: int) -> tuple[str, str]:
    badge = state_badge(item.info.state)
    return ("GONE", "bad") if item.gone else (badge.short, badge.style)


def _votes(item: Item, now: int, width: int) -> tuple[str, str]:
    return cell(f"{approvals(item.info)}/{item.info.approvals}", width), "value"


@lru_cache(maxsize=256)
def _command_cell(command: bytes, width: int) -> str:
    """Kept for the rows on the screen: a command of 128 KiB takes 50 ms to be made visible."""
    return cell(command, width)


def _command(item: Item, now: int, width: int) -> tuple[str, str]:
    return _command_cell(item.info.command, width), "command"


def _where(item: Item | wire.SessionInfo, now: int, width: int) -> tuple[str, str]:
    one = item.info if isinstance(item, Item) else item
    return name(f"{one.login}@{one.target}", width), "value"


def _ended(item: Item, now: int, width: int) -> tuple[str, str]:
    return duration(now - (item.info.decided or item.info.created)), "value"


def _by(item: Item, now: int, width: int) -> tuple[str, str]:
    return name(", ".join(vote.by for vote in item.info.votes), width), "value"


def _of(path: str, style: str = "value") -> Cell:
    """A cell that shows a text field of the request or of the session."""

    def text(one: Item | wire.SessionInfo, now: int, width: int) -> tuple[str, str]:
        return name(getattr(one.info if isinstance(one, Item) else one, path), width), style

    return text


def _session_age(session: wire.SessionInfo, now: int, width: int) -> tuple[str, str]:
    return duration((session.closed or now) - session.opened), "value"


def _session_state(session: wire.SessionInfo, now: int, width: int) -> tuple[str, str]:
    if name_of_window := badge(session):
        return cell(name_of_window, width), "alarm"
    return cell(session.state, width), "quiet" if session.closed else "good"


def _opened(session: wire.SessionInfo, now: int, width: int) -> tuple[str, str]:
    return clock_time(session.opened)[:width], "value"


def _output(session: wire.SessionInfo, now: int, width: int) -> tuple[str, str]:
    return _bytes(session.output_bytes), "value"


def _requests(session: wire.SessionInfo, now: int, width: int) -> tuple[str, str]:
    return cell(str(len(session.requests)), width), "value"


def _bytes(number: int) -> str:
    """A size in at most 6 characters: `999`, `1.2k`, `340M`."""
    size = float(number)
    for unit in ("", "k", "M", "G", "T"):
        if size < 999.5:
            return f"{size:.0f}{unit}" if not unit or size >= 99.95 else f"{size:.1f}{unit}"
        size /= 1000
    return "huge"


_AGE = Column("AGE", 4, _age, right=True)
_LEFT = Column("LEFT", 6, _left, right=True)
_RISK = Column("RISK", 10, _risk)
_COMMAND = Column("COMMAND", FILL, _command)

LAYOUTS: dict[Pane, tuple[tuple[int, tuple[Column, ...]], ...]] = {
    Pane.QUEUE: (
        (
            150,
            (
                Column("ID", 10, _of("id")),
                _AGE,
                _LEFT,
                _RISK,
                Column("OK", 4, _votes),
                Column("AGENT", 18, _of("identity")),
                Column("TARGET", 22, _where),
                Column("ENV", 12, _of("env")),
                _COMMAND,
            ),
        ),
        (
            100,
            (
                _AGE,
                _LEFT,
                _RISK,
                Column("OK", 4, _votes),
                Column("AGENT", 14, _of("identity")),
                Column("TARGET", 16, _where),
                _COMMAND,
            ),
        ),
        (0, (_AGE, _LEFT, _RISK, Column("AGENT", 12, _of("identity")), Column("TARGET", 8, _of("target")), _COMMAND)),
    ),
    Pane.SESSIONS: (
        (
            100,
            (
                Column("ID", 18, _of("id")),
                Column("STATE", 11, _session_state),
                Column("LASTS", 5, _session_age, right=True),
                Column("AGENT", 16, _of("identity")),
                Column("TARGET", 20, _where),
                Column("ASKED", 5, _requests, right=True),
                Column("OUTPUT", 6, _output, right=True),
                Column("FROM", FILL, _of("client")),
            ),
        ),
        (
            0,
            (
                Column("STATE", 11, _session_state),
                Column("LASTS", 5, _session_age, right=True),
                Column("AGENT", 14, _of("identity")),
                Column("ASKED", 5, _requests, right=True),
                Column("OUTPUT", 6, _output, right=True),
                Column("TARGET", FILL, _where),
            ),
        ),
    ),
    Pane.DECIDED: (
        (
            100,
            (
                Column("AGO", 4, _ended, right=True),
                Column("ENDED", 9, _ending),
                Column("BY", 14, _by),
                Column("EXIT", 10, _of("status")),
                Column("AGENT", 14, _of("identity")),
                Column("TARGET", 16, _where),
                _COMMAND,
            ),
        ),
        (
            0,
            (
                Column("AGO", 4, _ended, right=True),
                Column("ENDED", 9, _ending),
                Column("BY", 8, _by),
                Column("EXIT", 7, _of("status")),
                Column("AGENT", 11, _of("identity")),
                _COMMAND,
            ),
        ),
    ),
}


def layout(pane: Pane, width: int) -> Sequence[tuple[Column, int]]:
    """The columns of a pane that is `width` characters wide, with their widths."""
    columns = next(columns for least, columns in LAYOUTS[pane] if width >= least)
    fixed = MARK + sum(column.width for column in columns) + GAP * (len(columns) - 1)
    return [(column, column.width or max(1, width - fixed)) for column in columns]


def header(pane: Pane, width: int) -> str:
    """The titles of the columns."""
    titles = (_place(column.title, size, column.right) for column, size in layout(pane, width))
    return (" " * MARK + (" " * GAP).join(titles))[:width]


def row(pane: Pane, one: Item | wire.SessionInfo, now: int, width: int) -> Parts:
    """The cells of a row, behind the mark."""
    parts: list[tuple[str, str]] = []
    for column, size in layout(pane, width):
        text, style = column.cell(one, now, size)
        if parts:
            parts.append((" " * GAP, "value"))
        parts.append((_place(text, size, column.right), style))
    return tuple(parts)


def _place(text: str, width: int, right: bool) -> str:
    return (text.rjust(width) if right else text.ljust(width))[:width]
