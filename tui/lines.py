"""The one-row texts: status, captions, headline of a request. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass

from bastion.control import wire
from tui.documents import approvals
from tui.items import Item
from tui.order import Pane
from tui.paper import Parts
from tui.view import View
from tui.words import amount, bar, cell, countdown, duration, risk, state_badge, tier_badge


@dataclass(frozen=True, slots=True)
class Link:
    """How the connection is."""

    welcome: wire.Welcome | None = None
    """Of the present or the last connection."""
    up: bool = False
    reason: str = ""
    """Why it is down."""
    retry_at: float = 0.0
    """Seconds of the monotonic clock; 0: not by itself."""
    down_since: float = 0.0


def status(
    title: str, link: Link, held: int, hidden: int, now: float, barred: str = "", *alarms: str, beside: str = ""
) -> tuple[Parts, Parts]:
    """The first row: what this is and who one is; whether it is live, and how much waits."""
    welcome = link.welcome
    who = ""
    if welcome:
        who = f"  {cell(welcome.identity, 30)} ({cell(', '.join(welcome.roles) or 'no role', 30)})"
    left = (
        (" agent-bastion ", "title"),
        (f" {cell(title or (welcome.origin if welcome else ''), 40)}", "strong"),
        (who, "value"),
        (beside if link.up else "", "quiet"),
    )
    count = f"  {held} held" + (f" ({hidden} hidden)" if hidden else "") + " "
    if link.up:
        only: Parts = ()
        for alarm in filter(None, alarms):
            only += ((f" {alarm} ", "alarm"), (" ", "value"))
        only += (("READ-ONLY ", "warning"),) if barred else ()
        return left, (*only, ("* live", "good"), (count, "strong" if held else "value"))
    if not link.reason:
        return left, (("connecting ...", "warning"), (count, "value"))
    again = f"next try in {max(1, math.ceil(link.retry_at - now))} s" if link.retry_at else "r tries again"
    return left, (
        (f"NOT CONNECTED for {duration(round((now - link.down_since) * 1e6))}, {again}", "alarm"),
        (count, "value"),
    )


def others(names: tuple[str, ...] | None) -> str:
    """Who else watches, for the first row; empty where nobody knows."""
    if names is None:
        return ""
    if not names:
        return "  only you watch"
    more = f" and {amount(len(names) - 2, 'other')}" if len(names) > 2 else ""
    return f"  with {', '.join(cell(name, 16) for name in names[:2])}{more}"


_NAMES = {Pane.QUEUE: "queue", Pane.SESSIONS: "sessions", Pane.DECIDED: "decided"}


def counts(view: View, pane: Pane) -> str:
    """How many rows a pane has, in words for its caption."""
    match pane:
        case Pane.QUEUE:
            return f"{len(view.held) - view.hidden}"
        case Pane.SESSIONS:
            return f"{sum(not one.closed for one in view.sessions.values())} open"
        case Pane.DECIDED:
            return f"{len(view.rows(pane))}"


def tabs(view: View) -> tuple[Parts, Parts]:
    """The captions of all panes in one row, the active one marked; at the right the order and the filter."""
    parts: list[tuple[str, str]] = [(" ", "value")]
    for number, pane in enumerate(Pane, 1):
        active = view.pane is pane
        text = f"{number} {_NAMES[pane]}: {counts(view, pane)}"
        parts += [(f"[{text}]" if active else f" {text} ", "active" if active else "quiet"), (" ", "value")]
    return tuple(parts), _aside(view)


def caption(view: View, pane: Pane) -> tuple[Parts, Parts]:
    """The caption of one pane where all are shown."""
    active = view.pane is pane
    text = f"{list(Pane).index(pane) + 1} {_NAMES[pane]}: {counts(view, pane)}"
    aside = _aside(view) if pane is Pane.QUEUE else ()
    return ((" ", "value"), (f"[{text}]" if active else f" {text} ", "active" if active else "quiet")), aside


def _aside(view: View) -> Parts:
    words = f"filter: {cell(view.filter.text, 30)}" if view.filter.terms else view.order.value
    return ((f"{words} ", "warning" if view.filter.terms else "quiet"),)


def headline(
    current: Item | wire.SessionInfo | None, now: int, width: int, same: int = 0, key: str = "i"
) -> tuple[Parts, Parts]:
    """The row above the text: state, id, risk; how many others are identical, and the key for them; what is left and
    how many have approved."""
    if current is None:
        return ((" nothing selected", "quiet"),), ()
    if isinstance(current, wire.SessionInfo):
        return ((f" SESSION {cell(current.id, 20)} ", "title"), (f" {cell(current.state, 12)}", "strong")), ()
    info = current.info
    badge, tier = state_badge(info.state), tier_badge(info.tier)
    state = "TAMPERED" if current.trouble else "GONE" if current.gone else badge.word.upper()
    style = "alarm" if current.trouble else badge.style
    left: Parts = (
        (f" {state} ", style),
        (f" {cell(info.id, 12)}  ", "strong"),
        (f"{tier.glyph} {risk(info)}", tier.style),
    )
    if not current.held:
        return left, ()
    words = f"  +{same} identical: {key}" if same else ""
    left = (*left, (words, "warning"))
    votes = f"  {approvals(info)} of {amount(info.approvals, 'approval')} " if info.approvals > 1 or info.votes else ""
    remaining = info.expires - now
    cells = max(0, min(30, width - 62 - len(words)))
    meter = f"[{bar(remaining, info.expires - info.created, cells)}] " if cells > 4 else ""
    clock = countdown(remaining)
    urgent = "alarm" if clock.endswith("!") or clock == "due" else "strong"
    return left, ((f"{votes}  ", "value"), (f"{clock} left " if clock != "due" else "due ", urgent), (meter, "quiet"))


def frozen_badge(freezes: list[wire.FreezeInfo]) -> str:
    """What is frozen, in few words; empty where nothing is."""
    if any(each.scope == "all" for each in freezes):
        return "FROZEN: everything"
    return f"FROZEN: {cell(', '.join(each.name for each in freezes), 24)}" if freezes else ""


def silent_badge(channels: list[wire.ChannelInfo]) -> str:
    """Notification channels that deliver nothing, in few words; empty where all do."""
    dead = [each.name for each in channels if each.state == "dead"]
    return f"NO NOTIFICATIONS: {cell(', '.join(dead), 24)}" if dead else ""
