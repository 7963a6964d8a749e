"""What there is to know about a held request beside itself, and the policy in force. Pure."""

from __future__ import annotations

import msgspec

from bastion.control.wire.access import AccessInfo, DamageInfo, FreezeInfo
from bastion.control.wire.base import Call
from bastion.control.wire.requests import RequestInfo
from bastion.control.wire.sessions import FrameInfo


class PastInfo(msgspec.Struct, frozen=True, kw_only=True):
    """An earlier request that is like this one, and how it ended."""

    request: str
    state: str
    at: int
    by: list[str]
    reason: str
    status: str
    identity: str
    login: str
    target: str
    command: bytes
    """Its beginning, at most 1,024 bytes."""
    same: bool
    """The same command, agent, login and target."""


class BackgroundInfo(msgspec.Struct, frozen=True, kw_only=True):
    """An answer to ShowBackground."""

    past: list[PastInfo]
    """The same ones first, then similar ones; the newest first. At most 5."""
    same_approved: int
    """How often the same was approved, among the requests that were looked at."""
    same_denied: int
    looked_at: int
    approved: RequestInfo | None
    """The newest approved one of them, whole: what to compare with."""
    terminal: list[FrameInfo]
    """What its shell put out lately; empty outside one."""
    access: AccessInfo | None
    """How its agent stands on its target; None where it does not any more."""
    damage: list[DamageInfo]
    """What the policy in force lets its agent do there, by class of damage."""


class ShowBackground(Call, frozen=True, kw_only=True, tag="show-background"):
    """-> BackgroundInfo, for the full id of a request that is held or was lately."""

    request: str


class PolicyInfo(msgspec.Struct, frozen=True, kw_only=True):
    """The policy in force."""

    name: str
    digest: str
    texts: list[tuple[str, str]]
    """(file, text), the policy's own first; none where it is built in."""
    sentences: list[tuple[str, str]]
    """(file:line, what it says in plain words)."""
    freezes: list[FreezeInfo]


class ShowPolicy(Call, frozen=True, kw_only=True, tag="show-policy"):
    """-> PolicyInfo."""
