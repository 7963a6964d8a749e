"""Keeping recordings and letting go of them: redaction, holds, retention; and the ledger's key. Pure."""

from __future__ import annotations

import msgspec

from bastion.control.wire.base import Call

REDACTION_NAMESPACE = "redaction@agent-bastion"
"""SSHSIG namespace of an order to redact."""


class RedactionInfo(msgspec.Struct, frozen=True, kw_only=True):
    """What an order would take out, or took."""

    session: str
    frames: str
    """Ranges of frame numbers, as they stand in the order."""
    contents: list[int]
    """Numbers of `request.proposed` entries."""
    count: int
    """Frames that go."""
    bytes: int
    people: int
    """Signatures that it takes."""


class HoldInfo(msgspec.Struct, frozen=True, kw_only=True):
    """A session whose recording must stay."""

    session: str
    reason: str
    by: str
    since: int


class OldInfo(msgspec.Struct, frozen=True, kw_only=True):
    """A recording whose time is over."""

    session: str
    env: str
    ended: int


class RetentionInfo(msgspec.Struct, frozen=True, kw_only=True):
    """What a run of retention deleted, or would."""

    recordings: list[OldInfo]
    freed: int
    """Bytes on the disk."""
    whole: bool
    """False: the file system cannot free parts of a file, so some space comes back later."""


class PlanRedaction(Call, frozen=True, kw_only=True, tag="plan-redaction"):
    """-> RedactionInfo: what a selection comes to; nothing is changed. The whole id of a session."""

    session: str
    first: int = 0
    """Microseconds since the recording began."""
    last: int = -1
    """Not negative: all frames from `first` to this."""
    request: str = ""
    """What it put out."""
    text: bytes = b""
    """Where these bytes are. They are not kept anywhere."""
    secrets: bool = False
    """Where the rules of secrets find one."""
    contents: tuple[str, ...] = ()
    """Requests whose content goes, too."""


class Redact(Call, frozen=True, kw_only=True, tag="redact"):
    """-> RedactionInfo: carry out an order that admins signed."""

    statement: bytes
    signatures: list[str]


class PlaceHold(Call, frozen=True, kw_only=True, tag="place-hold"):
    """-> HoldInfo"""

    session: str
    reason: str


class LiftHold(Call, frozen=True, kw_only=True, tag="lift-hold"):
    """-> HoldInfo, as it was"""

    session: str
    reason: str


class ListHolds(Call, frozen=True, kw_only=True, tag="list-holds"):
    """-> list[HoldInfo]"""


class RunRetention(Call, frozen=True, kw_only=True, tag="run-retention"):
    """-> RetentionInfo"""

    dry: bool = False


class RotateKey(Call, frozen=True, kw_only=True, tag="rotate-key"):
    """-> str: the new key's line. The daemon goes on with it."""
