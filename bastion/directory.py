"""Who may connect, where to, and what runs without asking: identities, targets, whitelist. Pure.

Grants, freezes and groups are `access` (access.py), folded out of the same entries.

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
import binascii
import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from bastion.access import ACCESS_TYPES, Access, Grant, Scope, words
from bastion.errors import Conflict, NotFound, UsageError
from bastion.model import Identity, IdentityKind, PublicKey, Role, Target, Tier

NAME = re.compile(r"[a-z0-9](?:[a-z0-9._-]{0,62}[a-z0-9])?", re.ASCII)
"""Names of identities and targets: 1-64 of a-z 0-9 . _ - as in DNS labels, so that one can be an SSH user name."""

CERTIFIED = "ca"
"""Credential of a target that trusts the bastion's authority instead of a key."""

HANDED = "credential"
"""Scheme of a target's credential that systemd hands to the service: `credential:NAME` (systemd.exec(5))."""
CREDENTIAL = re.compile(
    r"(?!(?:host_key|host_authority|upstream_ca|ledger_key)$)[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}", re.A
)
"""Its name; systemd takes up to 255 characters. The bastion's own keys log in nowhere."""

LOGIN = re.compile(r"[A-Za-z_][A-Za-z0-9._-]{0,31}", re.ASCII)
"""A remote account: what useradd(8) accepts, capitals and dots too; 32 characters is its limit."""

PLAY = "ansible module "
"""How a pattern of modules of Ansible begins (policy/plays.py); no other does, since each of them has a hole."""

RESERVED = frozenset({"bastion", "local"})
"""Names that mean something else: `bastion@` is the bastion itself, `local:` its host's administrator."""

KEY_ALGORITHMS = (
    "ssh-ed25519",
    "sk-ssh-ed25519@openssh.com",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "sk-ecdsa-sha2-nistp256@openssh.com",
    "ssh-rsa",
)
"""Accepted public keys. DSA is broken; certificates are no identities here."""

RSA_LEAST_BITS = 2048
"""OpenSSH's RequiredRSASize is 1024; NIST SP 800-57 has asked for 2048 since 2014."""

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


@dataclass(frozen=True, slots=True)
class WhitelistEntry:
    """What an approver lets through, for one identity and login on one target or in one environment."""

    id: str
    command: bytes
    """Exactly this; with a pattern, the command that it was made from."""
    identity: str
    target: str
    """Empty when it is for an environment."""
    login: str
    by: str
    expires: int
    """Microseconds since the epoch; 0: no end."""
    pattern: str = ""
    """Text of the pattern (policy/pattern.py); empty: exactly `command`."""
    env: str = ""
    """Environment label; empty when it is for one target."""
    code: str = ""
    """SHA-256 (hex) of the code that the command reads from stdin; empty if it reads none."""
    tier: Tier = Tier.UNRATED
    """As the daemon rated it when it was signed."""


@dataclass(slots=True)
class Directory:
    """The directory as of some entry of the ledger."""

    identities: dict[str, Identity] = field(default_factory=dict)
    targets: dict[str, Target] = field(default_factory=dict)
    whitelist: dict[str, WhitelistEntry] = field(default_factory=dict)
    preferences: dict[str, str] = field(default_factory=dict)
    """How approvers want their console (control/preferences.py), by identity."""
    _by_key: dict[str, str] = field(default_factory=dict)
    _statements: set[str] = field(default_factory=set)
    _by_command: dict[tuple[str, str, bytes], list[str]] = field(default_factory=dict)
    _by_beginning: dict[tuple[str, str, bytes], list[str]] = field(default_factory=dict)
    """Patterns, by what stands before their first brace."""
    _beginnings: dict[int, int] = field(default_factory=dict)
    """Lengths of these, and how many patterns have each."""
    _by_play: dict[tuple[str, str], list[str]] = field(default_factory=dict)
    """Modules of Ansible by name (policy/plays.py), by identity and login."""
    access: Access = field(default_factory=Access)

    def identity_of(self, fingerprint: str) -> Identity | None:
        """Whose key this is, revoked or not; None if nobody's."""
        name = self._by_key.get(fingerprint)
        return self.identities[name] if name is not None else None

    def remembered(self, identity: str, login: str, command: bytes) -> Iterator[WhitelistEntry]:
        """Entries that could be about this command: of that identity and login, exact ones first. Whether one lets it
        through is policy.whitelist's question."""
        for entry_id in self._by_command.get((identity, login, command), ()):
            yield self.whitelist[entry_id]
        for length in self._beginnings:
            for entry_id in self._by_beginning.get((identity, login, command[:length]), ()):
                yield self.whitelist[entry_id]

    def plays(self, identity: str, login: str) -> Iterator[WhitelistEntry]:
        """Entries of that identity and login that let modules of Ansible through."""
        for entry_id in self._by_play.get((identity, login), ()):
            yield self.whitelist[entry_id]

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
                    self._forget(entry.id)
                self.access.forget(target=body["name"])
            case "whitelist.added":
                added = WhitelistEntry(
                    id=body["id"],
                    command=base64.b64decode(body["command"]),
                    identity=body["identity"],
                    target=body["target"],
                    login=body["login"],
                    by=body["by"],
                    expires=int(body["expires"]),
                    pattern=body.get("pattern", ""),
                    env=body.get("env", ""),
                    code=body.get("code", ""),
                    tier=Tier(body.get("tier", Tier.UNRATED)),
                )
                self.whitelist[added.id] = added
                self._statements.add(str(body["statement"]))
                self._remember(added)
            case "whitelist.removed":
                self._forget(str(body["id"]))
            case "preferences.set":
                self.preferences[str(body["by"])] = str(body["text"])
                self._statements.add(str(body["statement"]))
            case _:
                self.access.apply(kind, body)

    def _remember(self, entry: WhitelistEntry) -> None:
        if entry.pattern.startswith(PLAY):
            self._by_play.setdefault((entry.identity, entry.login), []).append(entry.id)
            return
        place, index = _place(entry), self._by_beginning if entry.pattern else self._by_command
        index.setdefault(place, []).append(entry.id)
        if entry.pattern:
            self._beginnings[len(place[2])] = self._beginnings.get(len(place[2]), 0) + 1

    def _forget(self, entry_id: str) -> None:
        entry = self.whitelist.pop(entry_id)
        if entry.pattern.startswith(PLAY):
            self._by_play[entry.identity, entry.login].remove(entry_id)
            return
        place, index = _place(entry), self._by_beginning if entry.pattern else self._by_command
        index[place].remove(entry_id)
        if not index[place]:
            del index[place]
        if entry.pattern:
            length = len(place[2])
            self._beginnings[length] -= 1
            if not self._beginnings[length]:
                del self._beginnings[length]

    # --- wishes checked ---------------------------------------------------------------------------------------

    def plan_identity(self, name: str, kind: str, roles: Iterable[str], key_line: str) -> Body:
        """Body of `identity.added`. Raises UsageError or Conflict."""
        _check_name(name, "identity")
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
        _check_name(name, "target")
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


def pick(wanted: str, known: Iterable[str], what: str) -> str:
    """The one id that is `wanted` or begins with it. Raises NotFound, or Conflict when several do."""
    ids = list(known)
    if wanted in ids:
        return wanted
    hits = [each for each in ids if wanted and each.startswith(wanted)]
    if not hits:
        raise NotFound(f"no {what} {wanted!r}")
    if len(hits) > 1:
        raise Conflict(f"{wanted!r} could be {len(hits)} of them", "give more of the id")
    return hits[0]


def parse_key(line: str) -> PublicKey:
    """One line of a `.pub` file. Options in front are refused, since they would not be enforced. Raises UsageError."""
    words = line.strip().split(None, 2)
    if len(words) < 2 or words[0] not in KEY_ALGORITHMS:
        raise UsageError("no public key that is accepted here", f"`algorithm base64 comment`, {KEY_ALGORITHMS[0]} best")
    algorithm, text = words[:2]
    try:
        blob = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise UsageError("the public key is damaged", "its second word is no base64") from None
    parts = _ssh_strings(blob)
    if not parts or parts[0] != algorithm.encode():
        raise UsageError("the public key is damaged", "its parts do not fit its algorithm")
    if algorithm == "ssh-rsa" and (len(parts) != 3 or int.from_bytes(parts[2], "big").bit_length() < RSA_LEAST_BITS):
        raise UsageError("the RSA key is too short", f"at least {RSA_LEAST_BITS} bits, or better an Ed25519 key")
    mark = base64.b64encode(hashlib.sha256(blob).digest()).rstrip(b"=").decode()
    return PublicKey(f"SHA256:{mark}", f"{algorithm} {base64.b64encode(blob).decode()}")


def _ssh_strings(blob: bytes) -> list[bytes]:
    """The strings (RFC 4251 section 5) that make up a public key blob; empty if it does not divide exactly."""
    parts: list[bytes] = []
    at = 0
    while at < len(blob):
        size = int.from_bytes(blob[at : at + 4], "big")
        if at + 4 + size > len(blob):
            return []
        parts.append(blob[at + 4 : at + 4 + size])
        at += 4 + size
    return parts


def parse_address(text: str) -> tuple[str, int]:
    """`HOST:PORT`, `[IPv6]:PORT` or `HOST` (port 22). Raises UsageError."""
    match = re.fullmatch(r"(?:\[([0-9A-Fa-f:.]+)\]|([A-Za-z0-9._-]+))(?::([0-9]{1,5}))?", text, re.ASCII)
    port = int(match[3] or 22) if match else 0
    if not match or not 0 < port < 65536 or text.startswith("-"):
        raise UsageError(f"{text!r} is no address", "HOST:PORT or [IPv6]:PORT")
    return match[1] or match[2], port


def _place(entry: WhitelistEntry) -> tuple[str, str, bytes]:
    """Where it is looked up: by the whole command, or by what all commands of its pattern begin with."""
    beginning = entry.pattern.partition("{")[0].encode() if entry.pattern else entry.command
    return entry.identity, entry.login, beginning


def _check_name(name: str, what: str) -> None:
    if not NAME.fullmatch(name):
        raise UsageError(
            f"{name!r} is no name for an {what}" if what[0] in "aeiou" else f"{name!r} is no {what} name",
            "1-64 of a-z 0-9 . _ -, a letter or digit at both ends",
        )
    if name in RESERVED:
        raise UsageError(f"{name} is reserved", "choose another name")
