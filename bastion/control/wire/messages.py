"""The messages of the control protocol as a whole, and their codec. Pure."""

from __future__ import annotations

from typing import Any

import msgspec

from bastion import errors
from bastion.control.wire.access import (
    AddGrant,
    Blast,
    FreezeInfo,
    LiftFreeze,
    ListAccess,
    ListFreezes,
    ListGrants,
    ListGroups,
    RemoveGroup,
    ReviewAccess,
    RevokeGrant,
    SetFreeze,
    SetGroup,
)
from bastion.control.wire.background import ShowBackground, ShowPolicy
from bastion.control.wire.base import LINE_LIMIT, WireError
from bastion.control.wire.channels import ChannelInfo, ListChannels, TryChannels
from bastion.control.wire.custody import (
    LiftHold,
    ListHolds,
    PlaceHold,
    PlanRedaction,
    Redact,
    RotateKey,
    RunRetention,
)
from bastion.control.wire.estate import (
    AddIdentity,
    AddTarget,
    CheckTarget,
    ListIdentities,
    ListTargets,
    RemoveTarget,
    RevokeIdentity,
)
from bastion.control.wire.figures import ListPresence, PresenceChanged, ShowStats
from bastion.control.wire.preferences import SetPreferences, ShowPreferences
from bastion.control.wire.queue import EditRequest, EscalateRequest, SnoozeRequest, TryEdit
from bastion.control.wire.record import LedgerHead, ListLedger, ProveHead
from bastion.control.wire.replay import ReadMoment, ReadTimeline
from bastion.control.wire.requests import CastVote, ListRequests, RequestInfo, ShowRequest, Subscribe
from bastion.control.wire.sessions import (
    EndKeys,
    FrameInfo,
    KillSession,
    ListSessions,
    ReadRecording,
    SearchSessions,
    SessionInfo,
    ShowSession,
    UnwatchSession,
    WatchSession,
)
from bastion.control.wire.whitelist import AddWhitelist, ListWhitelist, ProposeWhitelist, RemoveWhitelist
from bastion.errors import BastionError


class Hello(msgspec.Struct, frozen=True, tag_field="type", tag="hello"):
    version: int
    client: str


AnyCall = (
    ListRequests
    | SetPreferences
    | ShowPreferences
    | PlanRedaction
    | Redact
    | PlaceHold
    | LiftHold
    | ListHolds
    | RunRetention
    | RotateKey
    | ShowRequest
    | ShowBackground
    | ShowPolicy
    | CastVote
    | EditRequest
    | TryEdit
    | EscalateRequest
    | SnoozeRequest
    | ListChannels
    | TryChannels
    | ShowStats
    | ListPresence
    | Subscribe
    | ListSessions
    | ShowSession
    | ReadRecording
    | ReadTimeline
    | ReadMoment
    | SearchSessions
    | WatchSession
    | UnwatchSession
    | KillSession
    | EndKeys
    | ListIdentities
    | AddIdentity
    | RevokeIdentity
    | ListTargets
    | AddTarget
    | RemoveTarget
    | CheckTarget
    | ListWhitelist
    | ProposeWhitelist
    | AddWhitelist
    | RemoveWhitelist
    | ListGrants
    | AddGrant
    | RevokeGrant
    | ListFreezes
    | SetFreeze
    | LiftFreeze
    | ListGroups
    | SetGroup
    | RemoveGroup
    | ListAccess
    | ReviewAccess
    | Blast
    | LedgerHead
    | ProveHead
    | ListLedger
)


class Welcome(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="welcome"):
    version: int
    origin: str
    """Of the ledger; part of every signed statement."""
    identity: str
    """Who the daemon takes the caller for: an identity's name, or `local:UID`."""
    roles: list[str]
    checkpoint: str
    """The newest signed checkpoint, a C2SP note: the client pins it."""


class Reply(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="reply"):
    id: int
    result: msgspec.Raw


class Failed(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="failed"):
    id: int | None
    error: str
    """Class name in bastion.errors."""
    message: str
    hint: str


class RequestChanged(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="request-changed"):
    request: RequestInfo


class SessionChanged(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="session-changed"):
    session: SessionInfo


class SessionOutput(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="session-output"):
    session: str
    frame: FrameInfo


class Alert(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="alert"):
    """Something that people must hear of now. To whoever subscribed."""

    kind: str
    """`policy.failed`, `policy.loaded`, `request.escalated`, `request.expired`, `emergency`, `freeze.set`,
    `freeze.lifted`, `identity.revoked`, `grant.revoked`, `target.removed`, `whitelist.removed`, `presence.absent`,
    `recorder.failed`, `notify.dead`."""
    text: str
    at: int


class FreezesChanged(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="freezes-changed"):
    """All that is frozen now. After `subscribe`, and in the moment in which a freeze begins to count or ends."""

    freezes: list[FreezeInfo]


class ChannelsChanged(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="channels-changed"):
    """How the notification channels stand. After `subscribe`, and when one begins or ceases to deliver."""

    channels: list[ChannelInfo]


Push = RequestChanged | SessionChanged | SessionOutput | Alert | PresenceChanged | FreezesChanged | ChannelsChanged

FAILURES = {
    each.__name__: each
    for each in vars(errors).values()
    if isinstance(each, type) and issubclass(each, BastionError) and each is not errors.ConfigError
}
"""Failures by the name that stands in `failed`. ConfigError travels as its parent: the file is the daemon's own."""

_encoder = msgspec.json.Encoder()
_from_client: msgspec.json.Decoder[Hello | AnyCall] = msgspec.json.Decoder(Hello | AnyCall)
_from_daemon: msgspec.json.Decoder[Welcome | Reply | Failed | Push] = msgspec.json.Decoder(
    Welcome | Reply | Failed | Push
)


def encode(message: msgspec.Struct) -> bytes:
    """A message as one line with its newline. Raises WireError if it is longer than LINE_LIMIT."""
    line = _encoder.encode(message)
    if len(line) >= LINE_LIMIT:
        raise WireError(f"message of {len(line)} bytes; the limit is {LINE_LIMIT}")
    return line + b"\n"


def decode_call(line: bytes) -> Hello | AnyCall:
    """What a client sent. Raises WireError."""
    try:
        return _from_client.decode(line)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise WireError(str(error)) from None


def decode_answer(line: bytes) -> Welcome | Reply | Failed | Push:
    """What the daemon sent. Raises WireError."""
    try:
        return _from_daemon.decode(line)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise WireError(str(error)) from None


def reply(call_id: int, result: object) -> Reply:
    """A reply that carries any of the result types named at the calls."""
    return Reply(id=call_id, result=msgspec.Raw(_encoder.encode(result)))


def failed(call_id: int | None, error: BastionError) -> Failed:
    """A failure as it is sent: under the nearest name that the other end can know."""
    name = next(each.__name__ for each in type(error).__mro__ if each.__name__ in FAILURES)
    return Failed(id=call_id, error=name, message=error.message, hint=error.hint)


def failure(message: Failed) -> BastionError:
    """A failure as it was raised; of a name that this release does not know, the base class."""
    return FAILURES.get(message.error, BastionError)(message.message, message.hint)


def convert(raw: msgspec.Raw, kind: Any) -> Any:
    """The result of a reply as the type that its call names. Raises WireError."""
    try:
        return msgspec.json.decode(raw, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise WireError(str(error)) from None


def id_of(line: bytes) -> int | None:
    """The `id` of a line that did not decode as a call, so that the refusal can name it; None if it has none."""
    try:
        value = msgspec.json.decode(line, type=dict[str, Any]).get("id")
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    return value if isinstance(value, int) else None
