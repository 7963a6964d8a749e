"""Who could decide, when, and what they signed: identities and signed statements as the ledger tells them. Pure.

A verifier must not take the writer's word, so statements are parsed again here, from the bytes that the approver's
own key signed. A statement is canonical JSON with exactly the fields of its kind, all text but `v`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from recorder import sshsig

DECISION = "decision@agent-bastion"
WHITELIST = "whitelist@agent-bastion"
EDIT = "edit@agent-bastion"
PREFERENCES = "preferences@agent-bastion"
"""SSHSIG namespaces: a signature for one is none for the other."""

VOTE_FIELDS = frozenset({"checkpoint", "choice", "digest", "expires", "origin", "proposal", "reason", "request", "v"})
MODE_FIELDS = frozenset({"mode", "seconds"})
"""Of a vote that grants what may be typed into the command; both or none."""
EDIT_FIELDS = frozenset({"checkpoint", "command", "digest", "expires", "origin", "proposal", "reason", "request", "v"})
"""`command` is the SHA-256 (hex) of the bytes that an approver wrote in place of the agent's."""
PREFERENCES_FIELDS = frozenset({"checkpoint", "expires", "origin", "text", "v"})
WHITELIST_FIELDS = frozenset(
    ["checkpoint", "code", "command", "env", "expires", "identity", "login", "origin", "pattern", "target", "tier", "v"]
)


class Violation(ValueError):
    """An entry that cannot stand where it stands; the text says why."""


@dataclass(slots=True)
class Person:
    """An identity as of some entry."""

    name: str
    roles: frozenset[str]
    keys: frozenset[bytes]
    """Public key blobs."""
    revoked: bool = False


@dataclass(slots=True)
class People:
    """All identities as of some entry."""

    _by_name: dict[str, Person] = field(default_factory=dict)
    _owner: dict[bytes, str] = field(default_factory=dict)

    def add(self, body: Mapping[str, Any]) -> None:
        """`identity.added`. Raises Violation: a name or key is given away once."""
        name, roles, lines = body.get("name"), _texts(body.get("roles")), _texts(body.get("keys"))
        if not isinstance(name, str) or not name or roles is None or lines is None:
            raise Violation("an identity without name, roles or keys")
        if name in self._by_name:
            raise Violation(f"identity {name} was added before")
        try:
            keys = frozenset(sshsig.key_blob(line) for line in lines)
        except sshsig.SignatureError as error:
            raise Violation(f"identity {name}: {error}") from None
        for key in keys:
            if self._owner.setdefault(key, name) != name:
                raise Violation(f"a key of {name} belongs to {self._owner[key]}")
        if roles and body.get("kind") != "human":
            raise Violation(f"{name} is of kind {body.get('kind')} and has a role")
        self._by_name[name] = Person(name, frozenset(roles), keys)

    def revoke(self, body: Mapping[str, Any]) -> None:
        """`identity.revoked`. Raises Violation."""
        person = self._by_name.get(str(body.get("name")))
        if person is None:
            raise Violation("an identity is revoked that was never added")
        person.revoked = True

    def counts(self, name: str) -> bool:
        """Whether that approver's word counts as of now."""
        person = self._by_name.get(name)
        return person is not None and not person.revoked and "approver" in person.roles

    def signed(
        self, body: Mapping[str, Any], namespace: str, wanted: frozenset[str], *, role: str = "approver"
    ) -> tuple[str, dict[str, str]]:
        """Signer and statement of an entry that carries one. Raises Violation.

        The signature must be by a key that belongs, as of now, to the identity `by`, which has the role and is not
        revoked.
        """
        by, text, armour = body.get("by"), body.get("statement"), body.get("signature")
        if not (isinstance(by, str) and isinstance(text, str) and isinstance(armour, str)):
            raise Violation("no signed statement")
        person = self._by_name.get(by)
        if person is None:
            raise Violation(f"signed by {by}, who is no identity at this point")
        if person.revoked:
            raise Violation(f"signed by {by}, who was revoked before")
        if role not in person.roles:
            raise Violation(f"signed by {by}, who is no {role}")
        statement = _statement(text, wanted)
        try:
            key = sshsig.verify(armour, text.encode(), namespace)
        except sshsig.SignatureError as error:
            raise Violation(f"the signature of {by}: {error}") from None
        if key not in person.keys:
            raise Violation(f"the signature is by no key of {by}")
        return by, statement


def _texts(value: object) -> list[str] | None:
    """The value, if it is a list of texts."""
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return value
    return None


def _statement(text: str, wanted: frozenset[str]) -> dict[str, str]:
    try:
        fields = json.loads(text)
        again = json.dumps(fields, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    except (ValueError, RecursionError):
        raise Violation("the statement is no JSON") from None
    forms = (wanted, wanted | MODE_FIELDS) if wanted is VOTE_FIELDS else (wanted,)
    if again != text or not isinstance(fields, dict) or fields.keys() not in forms:
        raise Violation("the statement is not in its form")
    version = fields.pop("v")
    if version != 1 or type(version) is not int or not all(isinstance(value, str) for value in fields.values()):
        raise Violation("the statement is of another version")
    if not (fields["expires"].isascii() and fields["expires"].isdigit()):
        raise Violation("the statement's end is no time")
    return fields
