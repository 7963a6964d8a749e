"""The whitelist: entries, proposals for a request, signed additions. Pure."""

from __future__ import annotations

import msgspec

from bastion.control.wire.base import Call


class WhitelistInfo(msgspec.Struct, frozen=True, kw_only=True):
    """One remembered approval: a command or a pattern, of one identity and login, on a target or in an environment."""

    id: str
    """`w-` and 8 hex digits"""
    command: bytes
    """Exactly this; with a pattern, what it was made from."""
    identity: str
    target: str
    """Empty when it is for an environment."""
    login: str
    by: str
    expires: int
    """0: no end."""
    pattern: str = ""
    """Empty: exactly `command`."""
    env: str = ""
    """Empty when it is for one target."""
    code: str = ""
    """SHA-256 (hex) of the code on stdin that it is bound to."""
    tier: str = "unrated"
    """As rated when it was signed: what is rated higher later is held."""
    in_force: bool = True
    """False: its end has come, or its signer was revoked."""


class CandidateInfo(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that could be remembered."""

    pattern: str
    """Text of the pattern; empty: exactly the command."""
    words: str
    """What it lets through, for a person."""


class ProposalInfo(msgspec.Struct, frozen=True, kw_only=True):
    """What may be remembered of a command: an answer to ProposeWhitelist."""

    refused: str
    """Why nothing may; empty if something may."""
    command: bytes
    identity: str
    target: str
    env: str
    """Of the target."""
    login: str
    code: str
    tier: str
    until: int
    """The latest end that an entry may have, microseconds since the epoch; 0: none needed."""
    candidates: list[CandidateInfo]
    """The exact command first."""


class ListWhitelist(Call, frozen=True, kw_only=True, tag="list-whitelist"):
    """-> list[WhitelistInfo], with `every` those too that are no longer in force."""

    every: bool = False


class ProposeWhitelist(Call, frozen=True, kw_only=True, tag="propose-whitelist"):
    """-> ProposalInfo, for a request (its full id) or for a command of somebody somewhere. Changes nothing."""

    request: str = ""
    command: bytes = b""
    identity: str = ""
    target: str = ""
    env: str = ""
    """Instead of a target."""
    login: str = ""


class AddWhitelist(Call, frozen=True, kw_only=True, tag="add-whitelist"):
    """-> WhitelistInfo. `statement` (see control.statements) is the exact text that an approver signed."""

    statement: bytes
    signature: str


class RemoveWhitelist(Call, frozen=True, kw_only=True, tag="remove-whitelist"):
    """-> WhitelistInfo."""

    entry: str
