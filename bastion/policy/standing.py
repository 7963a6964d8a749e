"""Who could do what: access as it stands, what nobody used lately, and what one identity could damage. Pure.

`blast` asks the policy about one representative act of each class of damage, as if the target were open to the identity
and nothing were frozen; the whitelist and the way in stand beside it. So it says what could happen at most, unasked, or
with how many approvals; it does not know what a program that policy lets run goes on to do.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from bastion.access import FreezeMode
from bastion.directory import Directory
from bastion.model import Assessment, Effect, EffectKind, Identity, Reversible, Target, Tier, Verdict
from bastion.policy.judge import judge
from bastion.policy.question import Question
from bastion.policy.rules import Policy
from bastion.policy.whitelist import in_force
from bastion.whitelisted import WhitelistEntry


@dataclass(frozen=True, slots=True)
class Standing:
    """One identity and one target."""

    identity: Identity
    target: Target
    access: str
    """`open`: takes no grant; `granted`; `asks`: takes a grant that it does not have; `frozen`."""
    until: int
    """End of the grant, microseconds since the epoch; 0 without one."""
    grant: str
    """Its id."""
    whitelist: tuple[WhitelistEntry, ...]
    """What runs there without being held."""


@dataclass(frozen=True, slots=True)
class Damage:
    """What policy makes of one class of damage."""

    name: str
    tier: Tier
    verdict: Verdict
    approvals: int
    """With HOLD."""
    rule: str


@dataclass(frozen=True, slots=True)
class Unused:
    """A grant or a whitelist entry that nobody used lately."""

    kind: str
    """`grant` or `whitelist`."""
    id: str
    identity: str
    place: str
    """The target, or `env:LABEL`."""
    what: str
    """The pattern or command; for a grant its reason."""
    by: str
    used: int
    """When it was used last, microseconds since the epoch; 0: never."""


def _sample(tier: Tier, kind: EffectKind, what: str, *verbs: str, undone: Reversible = Reversible.PARTLY) -> Assessment:
    return Assessment(None, tier, (), (), undone, (Effect(kind, what),), verbs)


CLASSES: Mapping[str, Assessment] = {
    "read files": _sample(Tier.LOW, EffectKind.READS, "/var/log/syslog", undone=Reversible.YES),
    "change files": _sample(Tier.MEDIUM, EffectKind.WRITES, "/srv/app/config", "write"),
    "delete files for good": _sample(Tier.HIGH, EffectKind.DELETES, "/srv/app", "delete", undone=Reversible.NO),
    "restart services": _sample(Tier.MEDIUM, EffectKind.SERVICE, "nginx", "restart"),
    "stop services": _sample(Tier.HIGH, EffectKind.SERVICE, "nginx", "stop"),
    "install software": _sample(Tier.MEDIUM, EffectKind.PACKAGE, "nginx", "install"),
    "deploy": _sample(Tier.MEDIUM, EffectKind.CLUSTER, "deployment/web", "deploy"),
    "change data": _sample(Tier.MEDIUM, EffectKind.DATABASE, "orders", "db_write"),
    "drop data": _sample(Tier.HIGH, EffectKind.DATABASE, "orders", "drop_table", undone=Reversible.NO),
    "read secrets": _sample(Tier.HIGH, EffectKind.SECRET, "/etc/shadow", "secret"),
    "change accounts and keys": _sample(Tier.HIGH, EffectKind.PRIVILEGE, "root", "keys", "account"),
    "send data elsewhere": _sample(Tier.HIGH, EffectKind.NETWORK, "example.org", "send"),
}
"""One representative act a class."""


def standings(directory: Directory, now: int) -> list[Standing]:
    """Every identity that may ask for something, on every target."""
    return [
        standing(directory, identity, target, now)
        for identity in directory.identities.values()
        if not identity.revoked and not identity.decides
        for target in directory.targets.values()
    ]


def standing(directory: Directory, identity: Identity, target: Target, now: int) -> Standing:
    """How that identity stands on that target at `now` (microseconds)."""
    freeze = directory.access.frozen(target.name, target.env)
    grant = directory.grant(identity.name, target.name, now)
    if freeze is not None and freeze.mode is FreezeMode.REFUSE:
        access = "frozen"
    elif not directory.needs_grant(target):
        access = "open"
    else:
        access = "granted" if grant is not None else "asks"
    entries = tuple(
        entry
        for entry in directory.whitelist.values()
        if entry.identity == identity.name
        and entry.login in target.logins
        and (entry.target == target.name or (entry.env and entry.env == target.env))
        and in_force(directory, entry, now)
    )
    return Standing(identity, target, access, grant.expires if grant else 0, grant.id if grant else "", entries)


def blast(identity: Identity, target: Target, policy: Policy, now: int) -> list[Damage]:
    """What policy makes of each class of damage, of that identity on that target."""
    found = []
    for name, sample in CLASSES.items():
        question = Question(identity.name, identity.kind, target.name, target.env, target.logins[0], sample)
        said = judge(question, policy, None, now)
        found.append(Damage(name, sample.tier, said.verdict, said.approvals, said.rule))
    return found


def unused(
    directory: Directory, since: int, whitelist_used: Mapping[str, int], starts: Mapping[tuple[str, str], int]
) -> list[Unused]:
    """Grants and whitelist entries not used since `since` (microseconds). `whitelist_used` is by entry id, `starts` by
    identity and target: when something was let through, or started, last."""
    found: list[Unused] = []
    for grant in directory.access.grants.values():
        last = starts.get((grant.identity, grant.target), 0)
        last = last if last >= grant.added else 0
        if last < since:
            found.append(Unused("grant", grant.id, grant.identity, grant.target, grant.reason, grant.by, last))
    for entry in directory.whitelist.values():
        last = whitelist_used.get(entry.id, 0)
        if last < since:
            place = entry.target or f"env:{entry.env}"
            what = entry.pattern or entry.command.decode("utf-8", "replace")
            found.append(Unused("whitelist", entry.id, entry.identity, place, what, entry.by, last))
    return found


Entries = Iterable[tuple[str, str, int, Mapping[str, object]]]


def uses(entries: Entries) -> tuple[dict[str, int], dict[tuple[str, str], int]]:
    """When each whitelist entry was used last, and when each identity last started something on each target, out of
    (type, request, time, body) of `request.proposed` and `command.started` entries in order."""
    whitelist: dict[str, int] = {}
    starts: dict[tuple[str, str], int] = {}
    who: dict[str, tuple[str, str]] = {}
    for kind, request, t, body in entries:
        if kind == "request.proposed":
            who[request] = (str(body.get("identity")), str(body.get("target")))
            word, _, name = str(body.get("rule")).partition(" ")
            if word == "whitelist":
                whitelist[name] = t
        elif request in who:
            starts[who[request]] = t
    return whitelist, starts
