"""The control protocol: messages and codec. Pure.

Theory of operation. A connection carries JSON objects, one a line, UTF-8, each at most LINE_LIMIT bytes. The client
opens with `hello`; the daemon answers `welcome`, or `failed` and closes when it does not speak that version. After
that the client sends calls, each with an `id` of its own choosing, and gets one `reply` or `failed` with that `id`;
answers may overtake each other. After `subscribe` or `watch` the daemon also pushes messages without an `id`.

A message is tagged by `type`. Unknown fields are ignored, so that fields can be added within a version; an unknown
type is answered with `failed`. Bytes travel as base64. Any garbage raises WireError and nothing else.

Over SSH the caller is the identity of the connection's key. On the local socket the caller is the host's own
administrator (`local:UID`, checked by peer credentials). A vote counts only by the signature that it carries.
"""

from __future__ import annotations

from typing import Any

import msgspec

from bastion import errors
from bastion.errors import BastionError
from bastion.model import Assessment, Effect, EffectKind, Request, RequestKind, Reversible, StdinMode, Tier, TtyMode

VERSION = 1
SUBSYSTEM = "control@agent-bastion"
"""Name of the SSH subsystem (RFC 4254 section 6.5)."""
DECISION_NAMESPACE = "decision@agent-bastion"
"""SSHSIG namespace of a vote."""
WHITELIST_NAMESPACE = "whitelist@agent-bastion"
"""SSHSIG namespace of a whitelist entry."""
LINE_LIMIT = 4 << 20
"""Bytes a line: a command and its code of stdin (1.1 MiB) in base64, with room."""


class WireError(Exception):
    """The other end sent something that is no message of this protocol."""


class RequestInfo(msgspec.Struct, frozen=True, kw_only=True):
    """A request and where it stands: all that is needed to recompute its digest, and all that a person is shown."""

    id: str
    state: str
    """model.State"""
    kind: str
    identity: str
    key: str
    session: str
    target: str
    env: str
    host_keys: list[str]
    login: str
    command: bytes
    environment: list[tuple[str, str]]
    stdin: str
    stdin_code: bytes
    reason: str
    rollback: str
    task: str
    tier: str
    score: int | None
    reasons: list[str]
    approvals: int
    created: int
    """Microseconds since the epoch, as all times here."""
    expires: int
    digest: str
    proposal: str
    """Leaf hash (hex) of its `request.proposed` entry: what a vote's statement names."""
    votes: list[VoteInfo] = []
    decided: int = 0
    """When it ended; 0 while held."""
    decision_reason: str = ""
    attached: bool = True
    """An agent is waiting for the outcome; otherwise an approval becomes a one-use ticket."""
    status: str = ""
    """How the command ended: `exit 0`, `signal TERM`, `not started: …`; empty before."""
    weights: list[int] = []
    """What each of `reasons` adds to the score."""
    reversible: str = Reversible.UNKNOWN.value
    effects: list[tuple[str, str]] = []
    """(kind, what): model.Effect."""
    verbs: list[str] = []
    rule: str = ""
    """What of the policy holds it."""
    emergency: str = ""
    """Why a human broke the glass; empty: nobody did."""
    approvers: list[str] = []
    """Groups: who approves is in all of them, or in one of `escalated`."""
    escalation: list[tuple[int, str]] = []
    """(seconds, group): from then on its members may decide, too."""
    escalated: list[str] = []
    """Groups that it went to by now."""
    cwd: str = ""
    sequence: int = 0
    parent: str = ""
    mode: str = TtyMode.NONE.value
    terminal: str = ""
    context: list[tuple[str, str]] = []
    script: str = ""
    """The file on the target that the command runs."""
    script_code: bytes = b""
    """What it held."""
    """(name, text): what the governed shell said of the item's words."""

    def to_model(self) -> Request:
        """The request as the approver's own client understands it; its `digest` is computed afresh, here."""
        return Request(
            id=self.id,
            kind=RequestKind(self.kind),
            identity=self.identity,
            key=self.key,
            session=self.session,
            target=self.target,
            env=self.env,
            host_keys=tuple(self.host_keys),
            login=self.login,
            command=self.command,
            environment=tuple((name, value) for name, value in self.environment),
            stdin=StdinMode(self.stdin),
            stdin_code=self.stdin_code,
            reason=self.reason,
            rollback=self.rollback,
            task=self.task,
            emergency=self.emergency,
            assessment=Assessment(
                self.score,
                Tier(self.tier),
                tuple(self.reasons),
                tuple(self.weights),
                Reversible(self.reversible),
                tuple(Effect(EffectKind(kind), what) for kind, what in self.effects),
                tuple(self.verbs),
            ),
            approvals=self.approvals,
            created=self.created,
            expires=self.expires,
            rule=self.rule,
            approvers=tuple(self.approvers),
            escalation=tuple((seconds, group) for seconds, group in self.escalation),
            cwd=self.cwd,
            sequence=self.sequence,
            parent=self.parent,
            mode=TtyMode(self.mode),
            terminal=self.terminal,
            context=tuple((name, text) for name, text in self.context),
            script=self.script,
            script_code=self.script_code,
        )


class VoteInfo(msgspec.Struct, frozen=True, kw_only=True):
    """One vote as it was counted."""

    by: str
    choice: str
    """model.Choice"""
    reason: str
    at: int


class SessionInfo(msgspec.Struct, frozen=True, kw_only=True):
    """One session channel of an agent."""

    id: str
    identity: str
    key: str
    target: str
    login: str
    client: str
    """Address and port of the agent's end."""
    state: str
    """open, closed, interrupted"""
    opened: int
    closed: int
    """0 while open."""
    end: str
    """Why it ended, in words; empty while open."""
    requests: list[str]
    output_bytes: int
    mode: str = ""
    """`view` or `raw` while keys pass to its command; empty otherwise."""
    until: int = 0
    """When that ends."""


class SearchHit(msgspec.Struct, frozen=True, kw_only=True):
    """One line that holds what was searched for."""

    at: int
    """When, microseconds since the epoch."""
    session: str
    request: str
    """That ran then; empty: none."""
    identity: str
    login: str
    target: str
    where: str
    """`command` or `screen`."""
    line: str
    """The line, cut round the hit where it is long. As it was: not harmless yet."""
    tier: str
    decision: str
    offset: int
    """Microseconds since the recording began: where a replay opens."""


class SearchResult(msgspec.Struct, frozen=True, kw_only=True):
    hits: list[SearchHit]
    """The newest sessions' first; within one by time."""
    sessions: int
    """That were searched."""
    complete: bool
    notes: list[str]
    """What was not searched, and why, in words."""
    before: int = 0
    """Not complete: the call's `before` to go on with."""


class IdentityInfo(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    kind: str
    roles: list[str]
    fingerprints: list[str]
    keys: list[str]
    revoked: str
    """The reason; empty while valid."""


class TargetInfo(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    address: str
    logins: list[str]
    env: str
    host_keys: list[str]
    fingerprints: list[str]
    credential: str


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


class GrantInfo(msgspec.Struct, frozen=True, kw_only=True):
    """Time-boxed access of one identity to one target."""

    id: str
    """`g-` and 8 hex digits"""
    identity: str
    target: str
    added: int
    expires: int
    reason: str
    by: str
    """Who granted it: `local:UID`, or the approvers."""
    request: str
    """Id of the request that asked for it; empty for one of the host's administrator."""
    in_force: bool


class FreezeInfo(msgspec.Struct, frozen=True, kw_only=True):
    """Nothing new, for now."""

    id: str
    """`f-` and 8 hex digits"""
    scope: str
    """all, env, target"""
    name: str
    mode: str
    """refuse, hold"""
    reason: str
    by: str
    since: int


class GroupInfo(msgspec.Struct, frozen=True, kw_only=True):
    """A named set of approvers, for rules that ask for one of them."""

    name: str
    members: list[str]


class AccessInfo(msgspec.Struct, frozen=True, kw_only=True):
    """How one identity stands on one target."""

    identity: str
    kind: str
    target: str
    env: str
    access: str
    """open, granted, asks, frozen"""
    until: int
    """End of the grant; 0 without one."""
    grant: str
    whitelist: list[str]
    """Patterns and commands that run there without being held."""


class UnusedInfo(msgspec.Struct, frozen=True, kw_only=True):
    """A grant or whitelist entry that nobody used lately."""

    kind: str
    """grant, whitelist"""
    id: str
    identity: str
    place: str
    what: str
    by: str
    used: int
    """0: never."""


class DamageInfo(msgspec.Struct, frozen=True, kw_only=True):
    """What policy makes of one class of damage."""

    name: str
    tier: str
    verdict: str
    """allow, hold, deny"""
    approvals: int
    rule: str


class BlastInfo(msgspec.Struct, frozen=True, kw_only=True):
    """What one identity could do on one target."""

    access: AccessInfo
    damage: list[DamageInfo]


class LedgerLine(msgspec.Struct, frozen=True, kw_only=True):
    """One entry of the ledger as stored."""

    seq: int
    leaf: str
    entry: bytes
    """The canonical JSON bytes."""


class RotationProof(msgspec.Struct, frozen=True, kw_only=True):
    """One change of the ledger's key: recorder.proof.RotationProof."""

    entry: bytes
    checkpoint: str
    inclusion: list[bytes]
    consistency: list[bytes]


class HeadProof(msgspec.Struct, frozen=True, kw_only=True):
    """That a head extends an earlier one: recorder.proof.Proof. The client checks it and believes nothing else."""

    checkpoint: str
    genesis: bytes
    genesis_inclusion: list[bytes]
    rotations: list[RotationProof]
    consistency: list[bytes]


class FrameInfo(msgspec.Struct, frozen=True, kw_only=True):
    """One recorded frame."""

    at: int
    """Microseconds since the recording began."""
    kind: str
    """output, stderr, input, resize, marker, exit"""
    data: bytes


class CheckInfo(msgspec.Struct, frozen=True, kw_only=True):
    """One probe of `target check`."""

    name: str
    ok: bool
    detail: str


# --- client to daemon --------------------------------------------------------------------------------------------


class Hello(msgspec.Struct, frozen=True, tag_field="type", tag="hello"):
    version: int
    client: str


class Call(msgspec.Struct, frozen=True, kw_only=True, tag_field="type"):
    """Base of the calls. `id` is the caller's; the answer carries it back."""

    id: int


class ListRequests(Call, frozen=True, kw_only=True, tag="list-requests"):
    """-> list[RequestInfo], newest last: all that are held, and the newest `limit` that ended. One answer carries about
    2 MiB; the rest comes by asking again with `after`, the last id so far, until nothing comes (Client.requests)."""

    state: str = ""
    limit: int = 200
    after: str = ""


class ShowRequest(Call, frozen=True, kw_only=True, tag="show-request"):
    """-> RequestInfo. `request` may be shortened while unique."""

    request: str


class CastVote(Call, frozen=True, kw_only=True, tag="cast-vote"):
    """-> RequestInfo as it stands after the vote. `statement` is the exact text that was signed."""

    request: str
    statement: bytes
    signature: str


class Subscribe(Call, frozen=True, kw_only=True, tag="subscribe"):
    """-> null; then RequestChanged and SessionChanged are pushed, first one for each held request and open session."""


class ListSessions(Call, frozen=True, kw_only=True, tag="list-sessions"):
    """-> list[SessionInfo], newest last."""

    limit: int = 200


class ShowSession(Call, frozen=True, kw_only=True, tag="show-session"):
    """-> SessionInfo."""

    session: str


class ReadRecording(Call, frozen=True, kw_only=True, tag="read-recording"):
    """-> list[FrameInfo] from frame number `after`, at most about 1 MiB; empty at the end of what is durable."""

    session: str
    after: int = 0


class SearchSessions(Call, frozen=True, kw_only=True, tag="search-sessions"):
    """-> SearchResult. Of the newest sessions back; empty filters match everything."""

    text: str
    """Case does not count."""
    identity: str = ""
    target: str = ""
    since: int = 0
    """Microseconds since the epoch."""
    until: int = 0
    """0: now."""
    tier: str = ""
    decision: str = ""
    """A model.State of the request that the line belongs to."""
    before: int = 0
    """Only sessions that began by then: SearchResult.before, to go on."""
    limit: int = 100


class WatchSession(Call, frozen=True, kw_only=True, tag="watch-session"):
    """-> SessionInfo; then SessionOutput is pushed until it ends or the connection closes."""

    session: str


class UnwatchSession(Call, frozen=True, kw_only=True, tag="unwatch-session"):
    """-> null."""

    session: str


class KillSession(Call, frozen=True, kw_only=True, tag="kill-session"):
    """-> SessionInfo."""

    session: str
    reason: str = ""


class EndKeys(Call, frozen=True, kw_only=True, tag="end-keys"):
    """-> SessionInfo; keys pass no more to the command that runs in this shell, which goes on line by line."""

    session: str
    reason: str = ""


class ListIdentities(Call, frozen=True, kw_only=True, tag="list-identities"):
    """-> list[IdentityInfo]."""


class AddIdentity(Call, frozen=True, kw_only=True, tag="add-identity"):
    """-> IdentityInfo."""

    name: str
    kind: str
    roles: list[str]
    key: str
    """One line of a `.pub` file."""


class RevokeIdentity(Call, frozen=True, kw_only=True, tag="revoke-identity"):
    """-> IdentityInfo; its live connections are cut."""

    name: str
    reason: str


class ListTargets(Call, frozen=True, kw_only=True, tag="list-targets"):
    """-> list[TargetInfo]."""


class AddTarget(Call, frozen=True, kw_only=True, tag="add-target"):
    """-> TargetInfo."""

    name: str
    address: str
    logins: list[str]
    env: str
    host_keys: list[str]
    credential: str


class RemoveTarget(Call, frozen=True, kw_only=True, tag="remove-target"):
    """-> TargetInfo; its live sessions are cut."""

    name: str


class CheckTarget(Call, frozen=True, kw_only=True, tag="check-target"):
    """-> list[CheckInfo]."""

    name: str


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


class ListGrants(Call, frozen=True, kw_only=True, tag="list-grants"):
    """-> list[GrantInfo], those that have not ended."""


class AddGrant(Call, frozen=True, kw_only=True, tag="add-grant"):
    """-> GrantInfo."""

    identity: str
    target: str
    lasting: int
    """Seconds."""
    reason: str


class RevokeGrant(Call, frozen=True, kw_only=True, tag="revoke-grant"):
    """-> GrantInfo; the sessions that need it are cut. `grant` may be shortened while unique."""

    grant: str
    reason: str


class ListFreezes(Call, frozen=True, kw_only=True, tag="list-freezes"):
    """-> list[FreezeInfo]."""


class SetFreeze(Call, frozen=True, kw_only=True, tag="set-freeze"):
    """-> FreezeInfo. `cut` ends the sessions that it covers, too."""

    scope: str
    name: str
    mode: str
    reason: str
    cut: bool = False


class LiftFreeze(Call, frozen=True, kw_only=True, tag="lift-freeze"):
    """-> FreezeInfo. `freeze` may be shortened while unique."""

    freeze: str
    reason: str


class ListGroups(Call, frozen=True, kw_only=True, tag="list-groups"):
    """-> list[GroupInfo]."""


class SetGroup(Call, frozen=True, kw_only=True, tag="set-group"):
    """-> GroupInfo."""

    name: str
    members: list[str]


class RemoveGroup(Call, frozen=True, kw_only=True, tag="remove-group"):
    """-> GroupInfo."""

    name: str


class ListAccess(Call, frozen=True, kw_only=True, tag="list-access"):
    """-> list[AccessInfo]: every identity that may ask, on every target."""


class ReviewAccess(Call, frozen=True, kw_only=True, tag="review-access"):
    """-> list[UnusedInfo]: grants and whitelist entries not used for so many seconds."""

    seconds_unused: int


class Blast(Call, frozen=True, kw_only=True, tag="blast"):
    """-> list[BlastInfo], one a target."""

    identity: str


class LedgerHead(Call, frozen=True, kw_only=True, tag="ledger-head"):
    """-> str: the signed checkpoint, a C2SP note."""


class ProveHead(Call, frozen=True, kw_only=True, tag="prove-head"):
    """-> HeadProof: that the newest head extends the one of `size` entries; 0 when there is none to extend."""

    size: int = 0


class ListLedger(Call, frozen=True, kw_only=True, tag="list-ledger"):
    """-> list[LedgerLine] with seq > after, at most `limit` (and at most 1,000)."""

    after: int = -1
    limit: int = 200


AnyCall = (
    ListRequests
    | ShowRequest
    | CastVote
    | Subscribe
    | ListSessions
    | ShowSession
    | ReadRecording
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

# --- daemon to client --------------------------------------------------------------------------------------------


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
    """`policy.failed`, `policy.loaded`, `request.escalated`, `request.expired`, `emergency`."""
    text: str
    at: int


Push = RequestChanged | SessionChanged | SessionOutput | Alert

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
