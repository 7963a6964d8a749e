"""Who may connect, where to, and what runs without asking: identities, targets, whitelist. Pure.

Grants, freezes and groups are `access` (access.py), folded out of the same entries; the whitelist is `approved`
(whitelisted.py).

Theory of operation. There is no table of identities to edit behind the ledger's back: the ledger's entries *are* the
directory, and this file folds them. `apply` takes one entry's type and body and is the only way in; the same entries
in the same order give the same directory, in the daemon, in the command line without a daemon, and in a verifier.

The `plan_*` functions check a wish against the directory as it stands and return the body of the entry that would
make it so; they change nothing. Whoever calls them appends the entry, waits until it is durable, and applies it.

Rules that live here (P5): a key belongs to one identity, for ever; an identity with a role decides and never reaches
a target; an agent, a CI job or a service has no role; a revoked name is not given away again.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from bastion.access import ACCESS_TYPES, Access, Grant, Scope, words
from bastion.errors import Conflict, NotFound, UsageError
from bastion.model import Identity, IdentityKind, Role, Target
from bastion.names import CERTIFIED, CREDENTIAL, HANDED, LOGIN, check_name, parse_address, pick
from bastion.publickey import parse_key
from bastion.whitelisted import Whitelist, WhitelistEntry

WHITELIST_COMMAND_LIMIT = 4096
"""Bytes of a whitelisted command: it stands in a ledger entry (16 KiB) in base64, beside its signature."""

ENTRY_TYPES = (
    "identity.added",
    "identity.revoked",
    "target.added",
    "target.removed",
    "whitelist.added",
    "whitelist.removed",
    "preferences.set",
    *ACCESS_TYPES,
)
"""What `apply` understands; the rest of the ledger does not concern the directory."""

Body = dict[str, Any]


@dataclass(slots=True)
class Directory:
    """The directory as of some entry of the ledger."""

    identities: dict[str, Identity] = field(default_factory=dict)
    targets: dict[str, Target] = field(default_factory=dict)
    approved: Whitelist = field(default_factory=Whitelist)
    """The whitelist, and where it is looked up."""
    preferences: dict[str, str] = field(default_factory=dict)
    """How approvers want their console (control/preferences.py), by identity."""
    _by_key: dict[str, str] = field(default_factory=dict)
    _statements: set[str] = field(default_factory=set)
    access: Access = field(default_factory=Access)

    def identity_of(self, fingerprint: str) -> Identity | None:
        """Whose key this is, revoked or not; None if nobody's."""
        name = self._by_key.get(fingerprint)
        return self.identities[name] if name is not None else None

    @property
    def whitelist(self) -> dict[str, WhitelistEntry]:
        """What is remembered, by id."""
        return self.approved.entries

    def remembered(self, identity: str, login: str, command: bytes) -> Iterator[WhitelistEntry]:
        """Entries that could be about this command (Whitelist.about)."""
        return self.approved.about(identity, login, command)

    def plays(self, identity: str, login: str) -> Iterator[WhitelistEntry]:
        """Entries that let modules of Ansible through (Whitelist.plays)."""
        return self.approved.plays(identity, login)

    def grant(self, identity: str, target: str, now: int) -> Grant | None:
        """The grant in force at `now` (microseconds) for this identity on this target."""
        return self.access.grant(identity, target, now)

    def needs_grant(self, target: Target) -> bool:
        """Whether its environment takes a grant."""
        return target.env in self.access.guarded

    # --- entries in -------------------------------------------------------------------------------------------

    def apply(self, kind: str, body: Mapping[str, Any]) -> None:
        """Take one entry of the ledger. Other types than ENTRY_TYPES change nothing."""
        match kind:
            case "identity.added":
                keys = tuple(parse_key(line) for line in body["keys"])
                name = str(body["name"])
                self.identities[name] = Identity(
                    name, IdentityKind(body["kind"]), frozenset(Role(role) for role in body["roles"]), keys
                )
                self._by_key.update({key.fingerprint: name for key in keys})
            case "identity.revoked":
                old = self.identities[body["name"]]
                self.identities[old.name] = Identity(old.name, old.kind, old.roles, old.keys, str(body["reason"]))
                self.access.forget(identity=old.name)
            case "target.added":
                host, port = parse_address(body["address"])
                self.targets[body["name"]] = Target(
                    name=body["name"],
                    host=host,
                    port=port,
                    logins=tuple(body["logins"]),
                    env=body["env"],
                    host_keys=tuple(body["host_keys"]),
                    credential=body["credential"],
                )
            case "target.removed":
                del self.targets[body["name"]]
                for entry in [entry for entry in self.whitelist.values() if entry.target == body["name"]]:
                    self.approved.forget(entry.id)
                self.access.forget(target=body["name"])
            case "whitelist.added":
                self.approved.add(WhitelistEntry.of(body))
                self._statements.add(str(body["statement"]))
            case "whitelist.removed":
                self.approved.forget(str(body["id"]))
            case "preferences.set":
                self.preferences[str(body["by"])] = str(body["text"])
                self._statements.add(str(body["statement"]))
            case _:
                self.access.apply(kind, body)

    # --- wishes checked ---------------------------------------------------------------------------------------

    def plan_identity(self, name: str, kind: str, roles: Iterable[str], key_line: str) -> Body:
        """Body of `identity.added`. Raises UsageError or Conflict."""
        check_name(name, "identity")
        try:
            wanted_kind = IdentityKind(kind)
        except ValueError:
            raise UsageError(f"unknown kind {kind!r}", f"one of {', '.join(IdentityKind)}") from None
        try:
            wanted_roles = sorted({Role(role) for role in roles})
        except ValueError:
            raise UsageError("unknown role", f"one of {', '.join(Role)}") from None
        if wanted_roles and wanted_kind is not IdentityKind.HUMAN:
            raise UsageError(f"an identity of kind {kind} cannot have a role", "only humans decide or audit")
        key = parse_key(key_line)
        if name in self.identities:
            what = "was revoked" if self.identities[name].revoked else "exists"
            raise Conflict(f"identity {name} {what}", "names are not used twice: choose another")
        owner = self._by_key.get(key.fingerprint)
        if owner is not None:
            raise Conflict(f"key {key.fingerprint} belongs to {owner}", "one key, one identity: make a new key")
        return {"name": name, "kind": wanted_kind.value, "roles": [r.value for r in wanted_roles], "keys": [key.line]}

    def plan_revocation(self, name: str, reason: str) -> Body:
        """Body of `identity.revoked`. Raises NotFound, Conflict or UsageError."""
        identity = self.identities.get(name)
        if identity is None:
            raise NotFound(f"no identity {name!r}", "`bastion identity list` names them")
        if identity.revoked:
            raise Conflict(f"identity {name} was revoked already")
        return {"name": name, "reason": words(reason, "reason")}

    def plan_target(
        self, name: str, address: str, logins: Iterable[str], env: str, host_keys: Iterable[str], credential: str
    ) -> Body:
        """Body of `target.added`. Raises UsageError or Conflict."""
        check_name(name, "target")
        if name in self.targets:
            raise Conflict(f"target {name} exists", "remove it first, or choose another name")
        host, port = parse_address(address)
        accounts = list(dict.fromkeys(logins))
        if not accounts:
            raise UsageError("no login", "--login USER names the remote account")
        for login in accounts:
            if not LOGIN.fullmatch(login):
                raise UsageError(f"{login!r} is no account name")
        keys = [parse_key(line).line for line in host_keys]
        if not keys:
            raise UsageError("no host key", "a target's host key is pinned: --host-key FILE.pub")
        scheme, _, path = credential.partition(":")
        handed = scheme == HANDED and CREDENTIAL.fullmatch(path)
        if credential != CERTIFIED and not handed and (scheme != "key" or not path.startswith("/")):
            raise UsageError("the credential must be `ca`, key:/absolute/FILE or credential:NAME")
        return {
            "name": name,
            "address": f"[{host}]:{port}" if ":" in host else f"{host}:{port}",
            "logins": accounts,
            "env": words(env, "environment label"),
            "host_keys": keys,
            "credential": credential,
        }

    def plan_removal(self, name: str) -> Body:
        """Body of `target.removed`. Raises NotFound."""
        if name not in self.targets:
            raise NotFound(f"no target {name!r}", "`bastion target list` names them")
        return {"name": name}

    def plan_whitelist(self, entry: WhitelistEntry, statement: str) -> Body:
        """Body of `whitelist.added`, but for how `statement` was signed. Raises NotFound, UsageError, Conflict.

        A signed statement adds one entry, once: otherwise what an approver took off the list could be put back by
        whoever kept the signature. What may be remembered at all is policy.whitelist's question.
        """
        self.plan_visit(entry.identity, "")
        if statement in self._statements:
            raise Conflict("this statement was used before", "sign a new one")
        if bool(entry.target) == bool(entry.env):
            raise UsageError("an entry is for one target or for one environment")
        if entry.target:
            place = self.targets.get(entry.target)
            if place is None:
                raise NotFound(f"no target {entry.target!r}", "`bastion target list` names them")
            if entry.login not in place.logins:
                raise UsageError(f"{entry.login!r} is no login of {place.name}", f"one of {', '.join(place.logins)}")
        elif not LOGIN.fullmatch(entry.login):
            raise UsageError(f"{entry.login!r} is no account name")
        if not entry.command.strip():
            raise UsageError("the command is empty")
        if len(entry.command) > WHITELIST_COMMAND_LIMIT or len(entry.pattern.encode()) > WHITELIST_COMMAND_LIMIT:
            raise UsageError(f"the command has {len(entry.command)} bytes", f"at most {WHITELIST_COMMAND_LIMIT}")
        return {
            "id": entry.id,
            "command": base64.b64encode(entry.command).decode(),
            "pattern": entry.pattern,
            "identity": entry.identity,
            "target": entry.target,
            "env": words(entry.env, "environment label") if entry.env else "",
            "login": entry.login,
            "code": entry.code,
            "tier": entry.tier.value,
            "expires": str(entry.expires),
            "by": entry.by,
            "statement": statement,
        }

    def plan_preferences(self, by: str, text: str, statement: str) -> Body:
        """Body of `preferences.set`, but for how `statement` was signed. Raises Conflict."""
        if statement in self._statements:
            raise Conflict("this statement was used before", "sign a new one")
        return {"by": by, "text": text, "statement": statement}

    def plan_forgetting(self, entry_id: str) -> Body:
        """Body of `whitelist.removed`; the id may be shortened while unique. Raises NotFound or Conflict."""
        return {"id": pick(entry_id, self.whitelist, "whitelist entry")}

    def plan_visit(self, identity: str, target: str) -> None:
        """Whether that identity could ever be on that target (empty: on any). Raises NotFound or UsageError."""
        agent = self.identities.get(identity)
        if agent is None or agent.revoked:
            raise NotFound(f"no identity {identity!r}", "`bastion identity list` names them")
        if agent.decides:
            raise UsageError(f"{identity} decides and never reaches a target")
        if target and target not in self.targets:
            raise NotFound(f"no target {target!r}", "`bastion target list` names them")

    def plan_grant(self, grant_id: str, identity: str, target: str, **rest: Any) -> Body:
        """Body of `grant.added`; the rest as Access.plan_grant has it. Raises NotFound or UsageError."""
        self.plan_visit(identity, target)
        return self.access.plan_grant(grant_id, identity, target, **rest)

    def plan_ungranting(self, grant_id: str, reason: str) -> Body:
        """Body of `grant.revoked`; the id may be shortened while unique. Raises NotFound, Conflict or UsageError."""
        return {"id": pick(grant_id, self.access.grants, "grant"), "reason": words(reason, "reason")}

    def plan_freeze(self, freeze_id: str, scope: str, name: str, mode: str, reason: str, **rest: Any) -> Body:
        """Body of `freeze.set`. Raises NotFound, UsageError or Conflict."""
        known = self.targets if scope == Scope.TARGET else {target.env for target in self.targets.values()}
        if name and name not in known:
            raise NotFound(f"no {'target' if scope == Scope.TARGET else 'target in environment'} {name!r}")
        return self.access.plan_freeze(freeze_id, scope, name, mode, reason, **rest)

    def plan_unfreezing(self, freeze_id: str, reason: str) -> Body:
        """Body of `freeze.lifted`; the id may be shortened while unique. Raises NotFound, Conflict or UsageError."""
        return {"id": pick(freeze_id, self.access.freezes, "freeze"), "reason": words(reason, "reason")}

    def plan_group(self, name: str, members: Iterable[str]) -> Body:
        """Body of `group.set`: humans that decide. Raises NotFound or UsageError."""
        who = list(members)
        for each in who:
            person = self.identities.get(each)
            if person is None or person.revoked:
                raise NotFound(f"no identity {each!r}", "`bastion identity list` names them")
            if Role.APPROVER not in person.roles:
                raise UsageError(f"{each} is no approver", "a group is for rules that ask for one of its members")
        return self.access.plan_group(name, who)
