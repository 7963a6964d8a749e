"""Entries of the ledger as events of the Open Cybersecurity Schema Framework, for SIEMs. Pure.

Theory of operation. One table, ROWS, says for each type of entry which classes of events it becomes, with which
activity. A type without a row is a Base Event: nothing is left out, and a SIEM can count. What every event has is made
in one place; the entry's body goes along under `unmapped`, and `metadata.uid` is the entry's leaf hash, by which an
event is found in the ledger again. Events are for finding things: what proves anything is the ledger.

Version 1.3.0 of the schema (https://schema.ocsf.io/1.3.0/). Texts are the agents' own: JSON escapes them, and who shows
them has to make them harmless again. Secrets in them are covered by the caller.

What an event needs beyond its own entry (the address that a session came from) is remembered while a session is open,
so memory does not grow with the ledger.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

VERSION = "1.3.0"
"""Of the schema."""
SESSIONS = 10_000
"""Open sessions that are remembered; more than a bastion lets in at once (`connections` is at most that)."""


class EntryLike(Protocol):
    """What is needed of an entry; recorder.entry.Entry has it."""

    @property
    def origin(self) -> str: ...
    @property
    def seq(self) -> int: ...
    @property
    def t(self) -> int: ...
    @property
    def type(self) -> str: ...
    @property
    def actor(self) -> str: ...
    @property
    def session(self) -> str: ...
    @property
    def request(self) -> str: ...
    @property
    def leaf(self) -> str: ...
    @property
    def body(self) -> Mapping[str, Any]: ...


@dataclass(frozen=True, slots=True)
class Class:
    """A class of events."""

    uid: int
    name: str
    category: int
    category_name: str
    activities: Mapping[int, str]


CRUD = {1: "Create", 2: "Read", 3: "Update", 4: "Delete", 99: "Other"}
BASE = Class(0, "Base Event", 0, "Uncategorized", {99: "Other"})
AUTHENTICATION = Class(3002, "Authentication", 3, "Identity & Access Management", {1: "Logon", 2: "Logoff"})
AUTHORIZE = Class(3003, "Authorize Session", 3, "Identity & Access Management", {1: "Assign Privileges", 99: "Other"})
ENTITY = Class(3004, "Entity Management", 3, "Identity & Access Management", CRUD)
SSH = Class(4007, "SSH Activity", 4, "Network Activity", {1: "Open", 2: "Close", 3: "Reset", 5: "Refuse"})
API = Class(6003, "API Activity", 6, "Application Activity", CRUD)


@dataclass(frozen=True, slots=True)
class Row:
    """One event that a type of entry becomes."""

    kind: Class
    activity: int
    severity: int = 1
    """1 informational, 2 low, 3 medium, 4 high, 5 critical"""
    status: int = 1
    """1 success, 2 failure, 0 unknown"""
    entity: str = ""
    """With ENTITY: what it is."""
    key: str = "name"
    """With ENTITY: the field of the body that names it."""


def _entity(entity: str, activity: int, severity: int = 2, key: str = "name") -> tuple[Row, ...]:
    return (Row(ENTITY, activity, severity, entity=entity, key=key),)


ROWS: Mapping[str, tuple[Row, ...]] = {
    "session.opened": (Row(AUTHENTICATION, 1), Row(SSH, 1)),
    "session.closed": (Row(AUTHENTICATION, 2), Row(SSH, 2)),
    "session.interrupted": (Row(AUTHENTICATION, 2, 3, 0), Row(SSH, 3, 3, 0)),
    "session.killed": (Row(SSH, 3, 4),),
    "session.keys-ended": (Row(API, 3, 3),),
    "channel.refused": (Row(SSH, 5, 3, 2),),
    "request.proposed": (Row(API, 1),),
    "request.attached": (Row(API, 3),),
    "request.restored": (Row(API, 3),),
    "request.escalated": (Row(API, 3, 3),),
    "request.edited": (Row(API, 3, 3),),
    "request.decided": (Row(API, 3, 2),),
    "vote.voided": (Row(API, 3, 4),),
    "command.started": (Row(API, 99),),
    "command.finished": (Row(API, 99),),
    "stdin.sent": (Row(API, 99),),
    "shell.spoofed": (Row(API, 99, 4, 2),),
    "recording.failed": (Row(API, 99, 5, 2),),
    "access.viewed": (Row(API, 2, 2),),
    "grant.added": (Row(AUTHORIZE, 1, 3),),
    "grant.revoked": (Row(AUTHORIZE, 99, 3),),
    "grant.expired": (Row(AUTHORIZE, 99, 2),),
    "identity.added": _entity("Identity", 1, 3),
    "identity.revoked": _entity("Identity", 4, 4),
    "target.added": _entity("Target", 1, 3),
    "target.removed": _entity("Target", 4, 3),
    "group.set": _entity("Approver group", 3, 3),
    "group.removed": _entity("Approver group", 4, 3),
    "whitelist.added": _entity("Whitelist entry", 1, 3, "id"),
    "whitelist.removed": _entity("Whitelist entry", 4, 2, "id"),
    "preferences.set": _entity("Preferences", 3, 1, "by"),
    "freeze.set": _entity("Freeze", 1, 4, "id"),
    "freeze.lifted": _entity("Freeze", 4, 4, "id"),
    "policy.loaded": _entity("Policy", 3, 3),
    "policy.failed": (Row(ENTITY, 3, 4, 2, "Policy", "file"),),
    "access.configured": _entity("Access rules", 3, 3, ""),
    "retention.configured": _entity("Retention", 3, 4, ""),
    "retention.deleted": _entity("Recording", 4, 2, ""),
    "redaction.ordered": _entity("Recording", 3, 4, ""),
    "recording.redacted": _entity("Recording", 3, 4, ""),
    "content.redacted": _entity("Request content", 4, 4, ""),
    "hold.placed": _entity("Legal hold", 1, 3, "session"),
    "hold.lifted": _entity("Legal hold", 4, 4, "session"),
    "key.rotated": _entity("Ledger key", 3, 4, "log_key"),
    "store.created": _entity("Ledger", 1, 3, "store"),
}
"""By type of entry. docs/ocsf.md has the same table."""

SEVERITIES = {0: "Unknown", 1: "Informational", 2: "Low", 3: "Medium", 4: "High", 5: "Critical"}
STATUSES = {0: "Unknown", 1: "Success", 2: "Failure"}
_ADDRESS = re.compile(r"\[?([0-9A-Fa-f:.]+)\]?:([0-9]{1,5})", re.ASCII)


@dataclass(slots=True)
class Exporter:
    """Feed it entries in order."""

    product: str
    """Version of this program."""
    _sessions: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    """Bodies of `session.opened` of sessions that are open."""

    def events(self, entry: EntryLike) -> Iterator[dict[str, Any]]:
        """The events that it becomes: at least one."""
        if entry.type == "session.opened":
            self._sessions[entry.session] = entry.body
            while len(self._sessions) > SESSIONS:
                del self._sessions[next(iter(self._sessions))]
        for row in ROWS.get(entry.type, (Row(BASE, 99),)):
            yield self._event(entry, row)
        if entry.type in ("session.closed", "session.interrupted"):
            self._sessions.pop(entry.session, None)

    def _event(self, entry: EntryLike, row: Row) -> dict[str, Any]:
        kind, status = row.kind, self._status(entry, row)
        activity = row.kind.activities[row.activity]
        return {
            "activity_id": row.activity,
            "activity_name": entry.type if row.activity == 99 else activity,
            "category_uid": kind.category,
            "category_name": kind.category_name,
            "class_uid": kind.uid,
            "class_name": kind.name,
            "type_uid": kind.uid * 100 + row.activity,
            "type_name": f"{kind.name}: {activity}",
            "severity_id": row.severity,
            "severity": SEVERITIES[row.severity],
            "status_id": status,
            "status": STATUSES[status],
            "time": entry.t // 1000,
            "message": f"{entry.type} by {entry.actor}",
            "metadata": {
                "version": VERSION,
                "product": {"name": "agent-bastion", "vendor_name": "agent-bastion", "version": self.product},
                "log_name": entry.origin,
                "uid": entry.leaf,
                "sequence": entry.seq,
                "event_code": entry.type,
                **({"correlation_uid": entry.request or entry.session} if entry.request or entry.session else {}),
            },
            **self._own(entry, row),
            "unmapped": {"session": entry.session, "request": entry.request, "body": dict(entry.body)},
        }

    @staticmethod
    def _status(entry: EntryLike, row: Row) -> int:
        body = entry.body
        if entry.type == "request.proposed" and body.get("verdict") == "deny":
            return 2
        if entry.type == "request.decided":
            return 1 if body.get("choice") == "approve" else 2
        if entry.type == "command.finished":
            return 1 if body.get("status") == 0 else 2
        return row.status

    def _own(self, entry: EntryLike, row: Row) -> dict[str, Any]:
        """What the class has of its own."""
        opened = self._sessions.get(entry.session, {})
        user = _user(str(entry.body.get("identity") or opened.get("identity") or entry.actor))
        actor = {"user": _user(entry.actor)}
        match row.kind.uid:
            case SSH.uid | AUTHENTICATION.uid:
                ends = {"src_endpoint": _source(opened, entry), "dst_endpoint": _target(opened, entry)}
                made: dict[str, Any] = {**ends, "actor": actor}
                if row.kind is SSH:
                    return {**made, "auth_type_id": 6, "auth_type": "Public Key"}
                made |= {"user": user, "session": {"uid": entry.session}, "is_remote": True}
                return {**made, "auth_protocol_id": 99, "auth_protocol": "SSH public key"}
            case AUTHORIZE.uid:
                target = str(entry.body.get("target") or entry.body.get("id") or "")
                return {"user": user, "actor": actor, "privileges": [f"connect:{target}"]}
            case ENTITY.uid:
                name = str(entry.body.get(row.key) or "") if row.key else ""
                uid = name or entry.session or entry.request or entry.type
                return {"actor": actor, "entity": {"type": row.entity, "name": uid, "uid": uid}}
            case API.uid:
                return {
                    "actor": {**actor, **({"session": {"uid": entry.session}} if entry.session else {})},
                    "api": {"operation": entry.type, "service": {"name": "agent-bastion"}},
                    "src_endpoint": _source(opened, entry),
                    "dst_endpoint": _target(opened, entry),
                    "resources": [{"type": "request", "uid": entry.request}] if entry.request else [],
                }
            case _:
                return {"actor": actor}


def _user(name: str) -> dict[str, Any]:
    system = name == "bastion" or name.startswith("local:")
    return {"name": name, "uid": name, "type_id": 3 if system else 1, "type": "System" if system else "User"}


def _source(opened: Mapping[str, Any], entry: EntryLike) -> dict[str, Any]:
    """Where the agent came from; otherwise the bastion itself."""
    address = _ADDRESS.fullmatch(str(entry.body.get("client") or opened.get("client") or ""))
    if address is None:
        return {"hostname": entry.origin.partition("/")[0]}
    return {"ip": address[1], "port": int(address[2])}


def _target(opened: Mapping[str, Any], entry: EntryLike) -> dict[str, Any]:
    """Where it went; the bastion where there is no target."""
    name = str(entry.body.get("target") or opened.get("target") or "")
    return {"name": name, "hostname": name} if name else {"hostname": entry.origin.partition("/")[0]}
