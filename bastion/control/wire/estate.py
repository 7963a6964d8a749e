"""Identities and targets: who may come, and where they may go. Pure."""

from __future__ import annotations

import msgspec

from bastion.control.wire.base import Call


class IdentityInfo(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    kind: str
    roles: list[str]
    fingerprints: list[str]
    keys: list[str]
    revoked: str
    """The reason; empty while valid."""


class TargetInfo(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    address: str
    logins: list[str]
    env: str
    host_keys: list[str]
    fingerprints: list[str]
    credential: str


class CheckInfo(msgspec.Struct, frozen=True, kw_only=True):
    """One probe of `target check`."""

    name: str
    ok: bool
    detail: str


class ListIdentities(Call, frozen=True, kw_only=True, tag="list-identities"):
    """-> list[IdentityInfo]."""


class AddIdentity(Call, frozen=True, kw_only=True, tag="add-identity"):
    """-> IdentityInfo."""

    name: str
    kind: str
    roles: list[str]
    key: str
    """One line of a `.pub` file."""


class RevokeIdentity(Call, frozen=True, kw_only=True, tag="revoke-identity"):
    """-> IdentityInfo; its live connections are cut."""

    name: str
    reason: str


class ListTargets(Call, frozen=True, kw_only=True, tag="list-targets"):
    """-> list[TargetInfo]."""


class AddTarget(Call, frozen=True, kw_only=True, tag="add-target"):
    """-> TargetInfo."""

    name: str
    address: str
    logins: list[str]
    env: str
    host_keys: list[str]
    credential: str


class RemoveTarget(Call, frozen=True, kw_only=True, tag="remove-target"):
    """-> TargetInfo; its live sessions are cut."""

    name: str


class CheckTarget(Call, frozen=True, kw_only=True, tag="check-target"):
    """-> list[CheckInfo]."""

    name: str
