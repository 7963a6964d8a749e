"""Access: grants, freezes, groups of targets, reviews and blast radius. Pure."""

from __future__ import annotations

import msgspec

from bastion.control.wire.base import Call


class GrantInfo(msgspec.Struct, frozen=True, kw_only=True):
    """Time-boxed access of one identity to one target."""

    id: str
    """`g-` and 8 hex digits"""
    identity: str
    target: str
    added: int
    expires: int
    reason: str
    by: str
    """Who granted it: `local:UID`, or the approvers."""
    request: str
    """Id of the request that asked for it; empty for one of the host's administrator."""
    in_force: bool


class FreezeInfo(msgspec.Struct, frozen=True, kw_only=True):
    """Nothing new, for now."""

    id: str
    """`f-` and 8 hex digits"""
    scope: str
    """all, env, target"""
    name: str
    mode: str
    """refuse, hold"""
    reason: str
    by: str
    since: int


class GroupInfo(msgspec.Struct, frozen=True, kw_only=True):
    """A named set of approvers, for rules that ask for one of them."""

    name: str
    members: list[str]


class AccessInfo(msgspec.Struct, frozen=True, kw_only=True):
    """How one identity stands on one target."""

    identity: str
    kind: str
    target: str
    env: str
    access: str
    """open, granted, asks, frozen"""
    until: int
    """End of the grant; 0 without one."""
    grant: str
    whitelist: list[str]
    """Patterns and commands that run there without being held."""


class UnusedInfo(msgspec.Struct, frozen=True, kw_only=True):
    """A grant or whitelist entry that nobody used lately."""

    kind: str
    """grant, whitelist"""
    id: str
    identity: str
    place: str
    what: str
    by: str
    used: int
    """0: never."""


class DamageInfo(msgspec.Struct, frozen=True, kw_only=True):
    """What policy makes of one class of damage."""

    name: str
    tier: str
    verdict: str
    """allow, hold, deny"""
    approvals: int
    rule: str


class BlastInfo(msgspec.Struct, frozen=True, kw_only=True):
    """What one identity could do on one target."""

    access: AccessInfo
    damage: list[DamageInfo]


class ListGrants(Call, frozen=True, kw_only=True, tag="list-grants"):
    """-> list[GrantInfo], those that have not ended."""


class AddGrant(Call, frozen=True, kw_only=True, tag="add-grant"):
    """-> GrantInfo."""

    identity: str
    target: str
    lasting: int
    """Seconds."""
    reason: str


class RevokeGrant(Call, frozen=True, kw_only=True, tag="revoke-grant"):
    """-> GrantInfo; the sessions that need it are cut. `grant` may be shortened while unique."""

    grant: str
    reason: str


class ListFreezes(Call, frozen=True, kw_only=True, tag="list-freezes"):
    """-> list[FreezeInfo]."""


class SetFreeze(Call, frozen=True, kw_only=True, tag="set-freeze"):
    """-> FreezeInfo. `cut` ends the sessions that it covers, too."""

    scope: str
    name: str
    mode: str
    reason: str
    cut: bool = False


class LiftFreeze(Call, frozen=True, kw_only=True, tag="lift-freeze"):
    """-> FreezeInfo. `freeze` may be shortened while unique."""

    freeze: str
    reason: str


class ListGroups(Call, frozen=True, kw_only=True, tag="list-groups"):
    """-> list[GroupInfo]."""


class SetGroup(Call, frozen=True, kw_only=True, tag="set-group"):
    """-> GroupInfo."""

    name: str
    members: list[str]


class RemoveGroup(Call, frozen=True, kw_only=True, tag="remove-group"):
    """-> GroupInfo."""

    name: str


class ListAccess(Call, frozen=True, kw_only=True, tag="list-access"):
    """-> list[AccessInfo]: every identity that may ask, on every target."""


class ReviewAccess(Call, frozen=True, kw_only=True, tag="review-access"):
    """-> list[UnusedInfo]: grants and whitelist entries not used for so many seconds."""

    seconds_unused: int


class Blast(Call, frozen=True, kw_only=True, tag="blast"):
    """-> list[BlastInfo], one a target."""

    identity: str
