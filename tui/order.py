"""The panes, and which rows stand in them in which order. Pure functions of what is known.

An order depends on fields of a request that are pinned (`tui/items.py`), so a row never jumps; and the selected row
is always there, whether it has ended or a filter would hide it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from enum import StrEnum

from bastion.control import wire
from tui.items import Item
from tui.matching import Filter, request_fields, session_fields
from tui.words import TIERS


class Pane(StrEnum):
    """The three lists."""

    QUEUE = "queue"
    SESSIONS = "sessions"
    DECIDED = "decided"


class Order(StrEnum):
    """Of the queue; the words are shown."""

    URGENT = "least time left first"
    RISK = "riskiest first"
    NEWEST = "newest first"


_RISK_RANK = {tier: rank for rank, tier in enumerate(TIERS)}

_QUEUE_KEYS: dict[Order, Callable[[wire.RequestInfo], tuple[int | str, ...]]] = {
    Order.URGENT: lambda info: (info.expires, info.created, info.id),
    Order.RISK: lambda info: (_RISK_RANK.get(info.tier, 0), -(info.score or 0), info.expires, info.id),
    Order.NEWEST: lambda info: (-info.created, info.id),
}


def matches(one: Item | wire.SessionInfo, wanted: Filter) -> bool:
    """A request or a session passes a filter."""
    if not wanted.terms:
        return True
    return wanted.matches(request_fields(one.info) if isinstance(one, Item) else session_fields(one))


def queue_rows(items: Iterable[Item], wanted: Filter, order: Order, chosen: str) -> tuple[str, ...]:
    """Held requests that pass the filter, and the chosen one."""
    shown = [item.info for item in items if item.id == chosen or (item.held and matches(item, wanted))]
    return tuple(info.id for info in sorted(shown, key=_QUEUE_KEYS[order]))


def session_rows(sessions: Iterable[wire.SessionInfo], wanted: Filter, chosen: str) -> tuple[str, ...]:
    """Sessions that pass the filter, and the chosen one."""
    shown = [one for one in sessions if one.id == chosen or matches(one, wanted)]
    return tuple(one.id for one in sorted(shown, key=session_key))


def decided_rows(items: Iterable[Item], wanted: Filter, chosen: str) -> tuple[str, ...]:
    """Ended requests that pass the filter, and the chosen one."""
    shown = [item for item in items if not item.held and (item.id == chosen or matches(item, wanted))]
    return tuple(item.id for item in sorted(shown, key=ended_key))


def ended_key(item: Item) -> tuple[int, str]:
    """Newest first."""
    return -(item.info.decided or item.info.created), item.id


def session_key(session: wire.SessionInfo) -> tuple[bool, int, str]:
    """Open ones first, then the newest first."""
    return session.closed > 0, -session.opened, session.id
