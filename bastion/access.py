"""Who may be where, for how long: grants, freezes, groups, and which environments need a grant. Pure.

Theory of operation. As in directory.py: `apply` takes one entry of the ledger and is the only way in, `plan_*` checks
a wish and returns the body of the entry that would fulfil it.

    access.configured  the environments in which a target takes a grant, as bastion.toml had them at the last start
    grant.added        one identity may use one target until `expires`
    grant.expired      its time is over          grant.revoked      a human ended it
    freeze.set         nothing new on a target, in an environment, or anywhere          freeze.lifted
    group.set          a named set of humans, for rules that ask for one of them        group.removed

A grant ends twice: for what is asked, by the wall clock that never goes back (`grant`), and for what runs, by the
monotonic clock of the daemon, which calls `suspend` at that moment and writes `grant.expired` after it. What is
suspended stays so: the ledger is told later than the gate, never the other way round.

A grant opens a target, no more: what runs there is judged as everywhere.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from bastion.errors import Conflict, NotFound, UsageError
from bastion.names import NAME

LONGEST_GRANT = 7 * 86_400
"""Seconds of the longest grant that the entries allow; bastion.toml sets the limit in force."""

MEMBERS_LIMIT = 200
"""Identities in one group: with names of 64 characters they fit into an entry (16 KiB)."""

WORDS_LIMIT = 1024
"""Characters of a reason or an environment label in an entry."""

ACCESS_TYPES = (
    "access.configured",
    "freeze.lifted",
    "freeze.set",
    "grant.added",
    "grant.expired",
    "grant.revoked",
    "group.removed",
    "group.set",
)

Body = dict[str, Any]


class Scope(StrEnum):
    """What a freeze is about."""

    ALL = "all"
    ENV = "env"
    TARGET = "target"


class FreezeMode(StrEnum):
    """What becomes of what is asked meanwhile."""

    REFUSE = "refuse"
    """Refused; what was approved before does not start either."""
    HOLD = "hold"
    """Held for a person, whatever policy and whitelist say."""


@dataclass(frozen=True, slots=True)
class Grant:
    """Time-boxed access of one identity to one target."""

    id: str
    """`g-` and 8 hex digits."""
    identity: str
    target: str
    expires: int
    """Microseconds since the epoch."""
    reason: str
    by: str
    """Who granted it: `local:UID`, or the approvers."""
    request: str
    """Id of the request that asked for it; empty for one of the host's administrator."""
    added: int
    """Microseconds since the epoch."""


@dataclass(frozen=True, slots=True)
class Freeze:
    """Nothing new, for now."""

    id: str
    """`f-` and 8 hex digits."""
    scope: Scope
    name: str
    """The target or the environment; empty for all."""
    mode: FreezeMode
    reason: str
    by: str
    since: int
    """Microseconds since the epoch."""

    def covers(self, target: str, env: str) -> bool:
        """Whether it is about this target in this environment."""
        return self.scope is Scope.ALL or self.name == (target if self.scope is Scope.TARGET else env)


@dataclass(slots=True)
class Access:
    """All of it, as of some entry of the ledger."""

    guarded: frozenset[str] = frozenset()
    """Environments in which a target takes a grant."""
    grants: dict[str, Grant] = field(default_factory=dict)
    freezes: dict[str, Freeze] = field(default_factory=dict)
    groups: dict[str, frozenset[str]] = field(default_factory=dict)
    suspended: set[str] = field(default_factory=set)
    """Grants that no longer count, though the ledger has not been told yet."""

    def grant(self, identity: str, target: str, now: int) -> Grant | None:
        """The grant in force that ends last; None if there is none at `now` (microseconds)."""
        found = [
            each
            for each in self.grants.values()
            if (each.identity, each.target) == (identity, target)
            and each.id not in self.suspended
            and now < each.expires
        ]
        return max(found, key=lambda each: each.expires, default=None)

    def frozen(self, target: str, env: str) -> Freeze | None:
        """The freeze that is about this target, one that refuses before one that holds."""
        found = [each for each in self.freezes.values() if each.covers(target, env)]
        return min(found, key=lambda each: (each.mode is not FreezeMode.REFUSE, each.since), default=None)

    def suspend(self, grant_id: str) -> None:
        """It counts no more, from this moment."""
        self.suspended.add(grant_id)

    # --- entries in -------------------------------------------------------------------------------------------

    def apply(self, kind: str, body: Mapping[str, Any]) -> None:
        """Take one entry. Other types than ACCESS_TYPES change nothing."""
        match kind:
            case "access.configured":
                self.guarded = frozenset(body["grants"])
            case "grant.added":
                self.grants[body["id"]] = Grant(
                    id=body["id"],
                    identity=body["identity"],
                    target=body["target"],
                    expires=int(body["expires"]),
                    reason=body["reason"],
                    by=body["by"],
                    request=body["request"],
                    added=int(body["added"]),
                )
            case "grant.expired" | "grant.revoked":
                self.grants.pop(body["id"], None)
                self.suspended.discard(body["id"])
            case "freeze.set":
                self.freezes[body["id"]] = Freeze(
                    id=body["id"],
                    scope=Scope(body["scope"]),
                    name=body["name"],
                    mode=FreezeMode(body["mode"]),
                    reason=body["reason"],
                    by=body["by"],
                    since=int(body["since"]),
                )
            case "freeze.lifted":
                self.freezes.pop(body["id"], None)
            case "group.set":
                self.groups[body["name"]] = frozenset(body["members"])
            case "group.removed":
                self.groups.pop(body["name"], None)
            case _:
                pass

    def forget(self, *, identity: str = "", target: str = "") -> None:
        """What is bound to a revoked identity or a removed target goes with it."""
        for each in list(self.grants.values()):
            if each.identity == identity or each.target == target:
                del self.grants[each.id]
                self.suspended.discard(each.id)
        for freeze in list(self.freezes.values()):
            if target and freeze.scope is Scope.TARGET and freeze.name == target:
                del self.freezes[freeze.id]
        if identity:
            self.groups = {name: members - {identity} for name, members in self.groups.items()}

    # --- wishes checked ---------------------------------------------------------------------------------------

    def plan_grant(
        self, grant_id: str, identity: str, target: str, *, seconds: int, reason: str, by: str, request: str, now: int
    ) -> Body:
        """Body of `grant.added`; who and where were checked by the directory. Raises UsageError."""
        if not 1 <= seconds <= LONGEST_GRANT:
            raise UsageError(f"a grant of {seconds} s", f"1 s to {LONGEST_GRANT // 86_400} days")
        return {
            "id": grant_id,
            "identity": identity,
            "target": target,
            "seconds": seconds,
            "added": str(now),
            "expires": str(now + seconds * 1_000_000),
            "reason": words(reason, "reason"),
            "by": by,
            "request": request,
        }

    def plan_freeze(self, freeze_id: str, scope: str, name: str, mode: str, reason: str, *, by: str, now: int) -> Body:
        """Body of `freeze.set`; that the target exists was checked by the directory. Raises UsageError, Conflict."""
        try:
            what, how = Scope(scope), FreezeMode(mode)
        except ValueError as error:
            raise UsageError(str(error)) from None
        if (what is Scope.ALL) != (name == ""):
            raise UsageError("a freeze is for one target, one environment, or all")
        if any((each.scope, each.name, each.mode) == (what, name, how) for each in self.freezes.values()):
            raise Conflict(f"{name or 'everything'} is frozen already", "`bastion freeze --list` names it")
        return {
            "id": freeze_id,
            "scope": what.value,
            "name": words(name, "environment label") if name else "",
            "mode": how.value,
            "reason": words(reason, "reason"),
            "by": by,
            "since": str(now),
        }

    def plan_group(self, name: str, members: Iterable[str]) -> Body:
        """Body of `group.set`; that the members exist was checked by the directory. Raises UsageError."""
        who = sorted(set(members))
        if not NAME.fullmatch(name):
            raise UsageError(f"{name!r} is no group name", "1-64 of a-z 0-9 . _ -, a letter or digit at both ends")
        if not 1 <= len(who) <= MEMBERS_LIMIT:
            raise UsageError(f"a group has 1 to {MEMBERS_LIMIT} members")
        return {"name": name, "members": who}

    def plan_group_removal(self, name: str) -> Body:
        """Body of `group.removed`. Raises NotFound."""
        if name not in self.groups:
            raise NotFound(f"no group {name!r}", "`bastion group list` names them")
        return {"name": name}


def words(text: str, what: str) -> str:
    """Words that stand in an entry. Raises UsageError."""
    said = text.strip()
    if not said or len(said) > WORDS_LIMIT or not said.isprintable():
        raise UsageError(f"the {what} is empty, too long or not printable", f"1-{WORDS_LIMIT} characters")
    return said
