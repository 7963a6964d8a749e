"""Identities, targets, whitelist entries, grants, freezes and groups as clients get them. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from bastion.access import Freeze, Grant
from bastion.control import wire
from bastion.model import Identity, Target
from bastion.publickey import parse_key
from bastion.whitelisted import WhitelistEntry


def identity_info(identity: Identity) -> wire.IdentityInfo:
    """As clients get it."""
    return wire.IdentityInfo(
        name=identity.name,
        kind=identity.kind.value,
        roles=sorted(role.value for role in identity.roles),
        fingerprints=[key.fingerprint for key in identity.keys],
        keys=[key.line for key in identity.keys],
        revoked=identity.revoked,
    )


def target_info(target: Target) -> wire.TargetInfo:
    """As clients get it."""
    host = f"[{target.host}]" if ":" in target.host else target.host
    return wire.TargetInfo(
        name=target.name,
        address=f"{host}:{target.port}",
        logins=list(target.logins),
        env=target.env,
        host_keys=list(target.host_keys),
        fingerprints=[parse_key(line).fingerprint for line in target.host_keys],
        credential=target.credential,
    )


def whitelist_info(entry: WhitelistEntry, *, in_force: bool = True) -> wire.WhitelistInfo:
    """As clients get it."""
    return wire.WhitelistInfo(
        id=entry.id,
        command=entry.command,
        identity=entry.identity,
        target=entry.target,
        login=entry.login,
        by=entry.by,
        expires=entry.expires,
        pattern=entry.pattern,
        env=entry.env,
        code=entry.code,
        tier=entry.tier.value,
        in_force=in_force,
    )


def grant_info(grant: Grant, *, in_force: bool) -> wire.GrantInfo:
    """As clients get it."""
    return wire.GrantInfo(
        id=grant.id,
        identity=grant.identity,
        target=grant.target,
        added=grant.added,
        expires=grant.expires,
        reason=grant.reason,
        by=grant.by,
        request=grant.request,
        in_force=in_force,
    )


def freeze_info(freeze: Freeze) -> wire.FreezeInfo:
    """As clients get it."""
    return wire.FreezeInfo(
        id=freeze.id,
        scope=freeze.scope.value,
        name=freeze.name,
        mode=freeze.mode.value,
        reason=freeze.reason,
        by=freeze.by,
        since=freeze.since,
    )


def group_info(name: str, members: Iterable[str]) -> wire.GroupInfo:
    """As clients get it."""
    return wire.GroupInfo(name=name, members=sorted(members))
