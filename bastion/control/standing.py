"""Access as people's tools get it, for the daemon and for a command line without one."""

from __future__ import annotations

from bastion.control import wire
from bastion.directory import Directory
from bastion.errors import NotFound, StoreError, UsageError
from bastion.policy import standing
from bastion.policy.rules import Policy
from recorder.errors import RecorderError
from recorder.reader import Reader


def access_info(each: standing.Standing) -> wire.AccessInfo:
    """As clients get it."""
    return wire.AccessInfo(
        identity=each.identity.name,
        kind=each.identity.kind.value,
        target=each.target.name,
        env=each.target.env,
        access=each.access,
        until=each.until,
        grant=each.grant,
        whitelist=[entry.pattern or entry.command.decode("utf-8", "replace") for entry in each.whitelist],
    )


def damage_info(each: standing.Damage) -> wire.DamageInfo:
    """As clients get it."""
    return wire.DamageInfo(
        name=each.name,
        tier=each.tier.value,
        verdict=each.verdict.value,
        approvals=each.approvals,
        rule=each.rule,
    )


def listed(directory: Directory, now: int) -> list[wire.AccessInfo]:
    """Every identity that may ask, on every target."""
    return [access_info(each) for each in standing.standings(directory, now)]


def reviewed(directory: Directory, reader: Reader, since: int) -> list[wire.UnusedInfo]:
    """What was not used since; reads the ledger. Raises StoreError."""
    try:
        entries = reader.entries(types=("request.proposed", "command.started"))
        used = standing.uses((each.type, each.request, each.t, each.body) for each in entries)
    except RecorderError as error:
        raise StoreError(error.message, error.hint) from None
    return [
        wire.UnusedInfo(
            kind=each.kind,
            id=each.id,
            identity=each.identity,
            place=each.place,
            what=each.what,
            by=each.by,
            used=each.used,
        )
        for each in standing.unused(directory, since, *used)
    ]


def blasted(directory: Directory, policy: Policy, name: str, now: int) -> list[wire.BlastInfo]:
    """What that identity could do, target by target. Raises NotFound or UsageError."""
    identity = directory.identities.get(name)
    if identity is None:
        raise NotFound(f"no identity {name!r}", "`bastion identity list` names them")
    if identity.revoked or identity.decides:
        raise UsageError(f"{name} {'was revoked' if identity.revoked else 'decides'} and reaches no target")
    return [
        wire.BlastInfo(
            access=access_info(standing.standing(directory, identity, target, now)),
            damage=[damage_info(each) for each in standing.blast(identity, target, policy, now)],
        )
        for target in directory.targets.values()
    ]
