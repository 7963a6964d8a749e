"""Who may connect, where to, and what runs without asking: identities, targets, whitelist. Pure.

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
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from bastion.errors import Conflict, NotFound, UsageError
from bastion.model import Identity, IdentityKind, PublicKey, Role, Target

NAME = re.compile(r"[a-z0-9](?:[a-z0-9._-]{0,62}[a-z0-9])?", re.ASCII)
"""Names of identities and targets: 1-64 of a-z 0-9 . _ - as in DNS labels, so that one can be an SSH user name."""

LOGIN = re.compile(r"[A-Za-z_][A-Za-z0-9._-]{0,31}", re.ASCII)
"""A remote account: what useradd(8) accepts, capitals and dots too; 32 characters is its limit."""

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

FIELD_LIMIT = 1024
"""Characters of a reason or an environment label in an entry."""

ENTRY_TYPES = (
    "identity.added",
    "identity.revoked",
    "target.added",
    "target.removed",
    "whitelist.added",
    "whitelist.removed",
)
"""What `apply` understands; the rest of the ledger does not concern the directory."""

Body = dict[str, Any]


@dataclass(frozen=True, slots=True)
class WhitelistEntry:
    """An exact command that an approver lets through, for one identity on one target and login."""

    id: str
    command: bytes
    identity: str
    target: str
    login: str
    by: str
    expires: int
    """Microseconds since the epoch; 0: no end."""


@dataclass(slots=True)
class Directory:
    """The directory as of some entry of the ledger."""

    identities: dict[str, Identity] = field(default_factory=dict)
    targets: dict[str, Target] = field(default_factory=dict)
    whitelist: dict[str, WhitelistEntry] = field(default_factory=dict)
    _by_key: dict[str, str] = field(default_factory=dict)
    _statements: set[str] = field(default_factory=set)
    _by_command: dict[tuple[str, str, str, bytes], list[str]] = field(default_factory=dict)

    def identity_of(self, fingerprint: str) -> Identity | None:
        """Whose key this is, revoked or not; None if nobody's."""
        name = self._by_key.get(fingerprint)
        return self.identities[name] if name is not None else None

    def whitelisted(self, identity: str, target: str, login: str, command: bytes, now: int) -> WhitelistEntry | None:
        """The entry in force at `now` (microseconds) that lets exactly this through."""
        for entry_id in self._by_command.get((identity, target, login, command), ()):
            entry = self.whitelist[entry_id]
            if entry.expires == 0 or now < entry.expires:
                return entry
        return None

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
            case "whitelist.added":
                added = WhitelistEntry(
                    id=body["id"],
                    command=base64.b64decode(body["command"]),
                    identity=body["identity"],
                    target=body["target"],
                    login=body["login"],
                    by=body["by"],
                    expires=int(body["expires"]),
                )
                self.whitelist[added.id] = added
                self._statements.add(str(body["statement"]))
                self._by_command.setdefault(_place(added), []).append(added.id)
            case "whitelist.removed":
                self._forget(str(body["id"]))
            case _:
                pass

    def _forget(self, entry_id: str) -> None:
        entry = self.whitelist.pop(entry_id)
        rest = self._by_command[_place(entry)]
        rest.remove(entry_id)
        if not rest:
            del self._by_command[_place(entry)]

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
        return {"name": name, "reason": _check_words(reason, "reason")}

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
        if scheme != "key" or not path.startswith("/"):
            raise UsageError("the credential must be key:/absolute/FILE", "certificates are not open in this release")
        return {
            "name": name,
            "address": f"[{host}]:{port}" if ":" in host else f"{host}:{port}",
            "logins": accounts,
            "env": _check_words(env, "environment label"),
            "host_keys": keys,
            "credential": credential,
        }

    def plan_removal(self, name: str) -> Body:
        """Body of `target.removed`. Raises NotFound."""
        if name not in self.targets:
            raise NotFound(f"no target {name!r}", "`bastion target list` names them")
        return {"name": name}

    def plan_whitelist(
        self, entry_id: str, command: bytes, identity: str, target: str, login: str, expires: int, statement: str
    ) -> Body:
        """Body of `whitelist.added`, but for who signed `statement` and how. Raises NotFound, UsageError, Conflict.

        A signed statement adds one entry, once: otherwise what an approver took off the list could be put back by
        whoever kept the signature.
        """
        agent = self.identities.get(identity)
        if agent is None or agent.revoked:
            raise NotFound(f"no identity {identity!r}", "`bastion identity list` names them")
        if agent.decides:
            raise UsageError(f"{identity} decides and never reaches a target")
        place = self.targets.get(target)
        if place is None:
            raise NotFound(f"no target {target!r}", "`bastion target list` names them")
        if statement in self._statements:
            raise Conflict("this statement was used before", "sign a new one")
        if login not in place.logins:
            raise UsageError(f"{login!r} is no login of {target}", f"one of {', '.join(place.logins)}")
        if not command.strip():
            raise UsageError("the command is empty")
        if len(command) > WHITELIST_COMMAND_LIMIT:
            raise UsageError(f"the command has {len(command)} bytes", f"at most {WHITELIST_COMMAND_LIMIT}")
        return {
            "id": entry_id,
            "command": base64.b64encode(command).decode(),
            "identity": identity,
            "target": target,
            "login": login,
            "expires": str(expires),
            "statement": statement,
        }

    def plan_forgetting(self, entry_id: str) -> Body:
        """Body of `whitelist.removed`; the id may be shortened while unique. Raises NotFound or Conflict."""
        return {"id": pick(entry_id, self.whitelist, "whitelist entry")}


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


def _place(entry: WhitelistEntry) -> tuple[str, str, str, bytes]:
    return entry.identity, entry.target, entry.login, entry.command


def _check_name(name: str, what: str) -> None:
    if not NAME.fullmatch(name):
        raise UsageError(
            f"{name!r} is no name for an {what}" if what[0] in "aeiou" else f"{name!r} is no {what} name",
            "1-64 of a-z 0-9 . _ -, a letter or digit at both ends",
        )
    if name in RESERVED:
        raise UsageError(f"{name} is reserved", "choose another name")


def _check_words(text: str, what: str) -> str:
    words = text.strip()
    if not words or len(words) > FIELD_LIMIT or not words.isprintable():
        raise UsageError(f"the {what} is empty, too long or not printable", f"1-{FIELD_LIMIT} characters")
    return words
