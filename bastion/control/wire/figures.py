"""Figures about deciding, and who watches. Pure."""

from __future__ import annotations

import msgspec

from bastion.control.wire.base import Call


class TallyInfo(msgspec.Struct, frozen=True, kw_only=True):
    """Requests of one day, identity or environment."""

    name: str
    requests: int
    held: int
    approved: int
    denied: int
    expired: int


class ApproverInfo(msgspec.Struct, frozen=True, kw_only=True):
    """One person's decisions."""

    name: str
    approved: int
    denied: int
    quick: int
    """Approvals within 2 s."""
    unsigned: int
    """Decisions in a channel such as Slack."""
    p50: int
    """Microseconds from proposal to vote."""
    p95: int
    warning: str
    """A habit that somebody should look at; empty: none."""


class AskingInfo(msgspec.Struct, frozen=True, kw_only=True):
    """A command that is held again and again."""

    command: bytes
    identity: str
    login: str
    target: str
    tier: str
    held: int
    settles: int
    """How many of those that are counted one by one the entry would settle."""
    line: str
    """An entry of `bastion whitelist import` that would settle it; empty: none may."""
    why: str
    """Why there is none."""


class StatsInfo(msgspec.Struct, frozen=True, kw_only=True):
    """All of it. Times in microseconds."""

    since: int
    until: int
    entries: int
    requests: int
    allowed: int
    held: int
    refused: int
    approved: int
    denied: int
    expired: int
    withdrawn: int
    waiting: int
    """Held at the end."""
    reviews: int
    """Votes whose proposal is in the time, too."""
    p50: int
    p95: int
    longest: int
    rules: list[tuple[str, int]]
    """What let through unasked, and how often."""
    refusals: list[tuple[str, int]]
    """What refused."""
    days: list[TallyInfo]
    identities: list[TallyInfo]
    environments: list[TallyInfo]
    approvers: list[ApproverInfo]
    commands: list[AskingInfo]
    notes: list[str]
    """What was left out."""


class ShowStats(Call, frozen=True, kw_only=True, tag="show-stats"):
    """-> StatsInfo, of the entries since a moment."""

    since: int = 0
    """Microseconds since the epoch."""
    commands: int = 10
    """How many of those that ask most."""


class PresenceInfo(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody who watches the queue."""

    name: str
    """An identity's, or `local:UID`."""
    decides: bool
    """Has the role for it; policy may want others for a certain request."""
    consoles: int
    since: int
    active: int
    """When they last asked for something: an open console is no reader."""


class ListPresence(Call, frozen=True, kw_only=True, tag="list-presence"):
    """-> list[PresenceInfo]."""


class PresenceChanged(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="presence-changed"):
    """Pushed after `subscribe`: everybody who watches."""

    people: list[PresenceInfo]
