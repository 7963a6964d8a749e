"""What an approver signs: canonical text of a vote, an edit, a whitelist entry, preferences. Pure.

A statement is canonical JSON (RFC 8785 profile: ASCII keys sorted, no floats, 64-bit numbers as strings). The signature
is an SSHSIG over these bytes under a namespace of its own, so that it cannot be taken for another kind of signature.
The daemon, and any verifier later, reads the decision out of the signed bytes and from nowhere else.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TypeVar

from bastion.model import Choice


class StatementError(ValueError):
    """The bytes are no statement in canonical form."""


@dataclass(frozen=True, slots=True)
class VoteStatement:
    """One vote: bound to one ledger (origin), one proposal (leaf) and one digest."""

    origin: str
    proposal: str
    """Leaf hash (hex) of the `request.proposed` entry."""
    request: str
    digest: str
    """As the approver's client computed it from what it displayed."""
    choice: Choice
    reason: str
    expires: int
    """Microseconds since the epoch; the vote is void later."""
    checkpoint: str
    """SHA-256 (hex) of the last checkpoint note that the client saw."""
    mode: str = ""
    """model.TtyMode, where the approver grants another than the request asks for. Not in the text when empty."""
    seconds: str = ""
    """How long keys may pass, in decimal digits; with a mode only."""


OPTIONAL = frozenset({"mode", "seconds"})
"""Fields of a vote that are there together, or not at all."""


@dataclass(frozen=True, slots=True)
class WhitelistStatement:
    """What an approver lets through without asking again: a command, or a pattern made from one."""

    origin: str
    command: str
    """base64 of the exact bytes."""
    pattern: str
    """Text of the pattern (policy/pattern.py); empty: exactly the command."""
    identity: str
    target: str
    """Empty when it is for an environment."""
    env: str
    """Environment label; empty when it is for one target."""
    login: str
    code: str
    """SHA-256 (hex) of the code that the command reads from stdin; empty if it reads none."""
    tier: str
    """The command's, as the approver was shown it."""
    expires: int
    """Microseconds since the epoch; 0: no end."""
    checkpoint: str


@dataclass(frozen=True, slots=True)
class EditStatement:
    """Another command in place of the one that an agent asked for. It approves nothing."""

    origin: str
    proposal: str
    """Leaf hash (hex) of the `request.proposed` entry that is edited."""
    request: str
    digest: str
    command: str
    """SHA-256 (hex) of the new bytes."""
    reason: str
    expires: int
    """Microseconds since the epoch; the statement is void later."""
    checkpoint: str


@dataclass(frozen=True, slots=True)
class PreferencesStatement:
    """How somebody wants their console over ssh."""

    origin: str
    text: str
    """Canonical (control/preferences.py); empty: as it comes."""
    expires: int
    """Microseconds since the epoch; the statement is void later."""
    checkpoint: str


Statement = VoteStatement | EditStatement | WhitelistStatement | PreferencesStatement


def encode(statement: Statement) -> bytes:
    """The bytes to be signed."""
    fields = {name: getattr(statement, name) for name in statement.__dataclass_fields__}
    if isinstance(statement, VoteStatement) and not statement.mode:
        fields = {name: value for name, value in fields.items() if name not in OPTIONAL}
    fields["expires"] = str(statement.expires)
    fields["v"] = 1
    return json.dumps(fields, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def _fields(data: bytes, kind: type[Statement]) -> dict[str, str]:
    try:
        fields = json.loads(data)
    except (ValueError, RecursionError):
        raise StatementError("not JSON") from None
    if not isinstance(fields, dict) or fields.pop("v", None) != 1:
        raise StatementError("not a statement of version 1")
    wanted = set(kind.__dataclass_fields__)
    if set(fields) != wanted and not (kind is VoteStatement and set(fields) == wanted - OPTIONAL):
        raise StatementError("other fields than the version has")
    if not all(isinstance(value, str) for value in fields.values()):
        raise StatementError("a field is not text")
    if not fields["expires"].isascii() or not fields["expires"].isdigit() or len(fields["expires"]) > 19:
        raise StatementError("expires is no time")
    return fields


def decode_vote(data: bytes) -> VoteStatement:
    """The vote that these bytes state. Raises StatementError, also for a form that is not the canonical one."""
    fields = _fields(data, VoteStatement)
    try:
        if fields.get("mode") and not re.fullmatch("0|[1-9][0-9]{0,3}", fields["seconds"]):
            raise ValueError("seconds is no number of them")
        statement = VoteStatement(
            **{k: v for k, v in fields.items() if k not in ("choice", "expires")},
            choice=Choice(fields["choice"]),
            expires=int(fields["expires"]),
        )
        canonical = encode(statement)
    except ValueError as error:  # UnicodeEncodeError, of a lone surrogate, is one
        raise StatementError(str(error)) from None
    if canonical != data:
        raise StatementError("not in canonical form")
    return statement


def decode_edit(data: bytes) -> EditStatement:
    """The edit that these bytes state. Raises StatementError, also for a form that is not canonical."""
    return _plain(data, EditStatement)


def decode_whitelist(data: bytes) -> WhitelistStatement:
    """The whitelist entry that these bytes state. Raises StatementError, also for a form that is not canonical."""
    return _plain(data, WhitelistStatement)


def decode_preferences(data: bytes) -> PreferencesStatement:
    """The preferences that these bytes state. Raises StatementError, also for a form that is not canonical."""
    return _plain(data, PreferencesStatement)


Plain = TypeVar("Plain", EditStatement, WhitelistStatement, PreferencesStatement)


def _plain(data: bytes, kind: type[Plain]) -> Plain:
    """A statement whose fields are text but for its end."""
    fields = _fields(data, kind)
    try:
        statement = kind(**{k: v for k, v in fields.items() if k != "expires"}, expires=int(fields["expires"]))
        canonical = encode(statement)
    except ValueError as error:
        raise StatementError(str(error)) from None
    if canonical != data:
        raise StatementError("not in canonical form")
    return statement
