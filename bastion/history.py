"""Requests and sessions as the ledger tells them. Pure: entries in, wire structs out.

`pack` and `unpack` are the one form in which a whole request is kept beside its entry (the entry itself carries the
digest and a salted commitment to these bytes, so that the content can be redacted while the proof lives).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import msgspec

from bastion.control.wire import RequestInfo, SessionInfo, VoteInfo
from bastion.model import Choice, Request, RequestKind, State, TtyMode, Vote

ENDED = {"approve": State.APPROVED, "deny": State.DENIED, "expired": State.EXPIRED, "withdrawn": State.WITHDRAWN}
"""`choice` of a `request.decided` entry to the state that it leads to (an approval only with enough of them)."""

UNDECIDED = {"allow": State.ALLOWED, "deny": State.REFUSED, "hold": State.HELD}
"""`verdict` of a `request.proposed` entry to the state right after it."""


OUTLIVES = frozenset({RequestKind.EXEC, RequestKind.TRANSFER})
"""Kinds of requests that may be held for longer than their client, or the daemon, is there."""


class EntryLike(Protocol):
    """What this file needs of a ledger entry; recorder.entry.Entry has it."""

    @property
    def type(self) -> str: ...
    @property
    def leaf(self) -> str: ...
    @property
    def t(self) -> int: ...
    @property
    def session(self) -> str: ...
    @property
    def request(self) -> str: ...
    @property
    def body(self) -> Mapping[str, Any]: ...


def info_of(request: Request, state: State, proposal: str) -> RequestInfo:
    """A fresh request as approvers get it."""
    return RequestInfo(
        id=request.id,
        state=state.value,
        kind=request.kind.value,
        identity=request.identity,
        key=request.key,
        session=request.session,
        target=request.target,
        env=request.env,
        host_keys=list(request.host_keys),
        login=request.login,
        command=request.command,
        environment=list(request.environment),
        stdin=request.stdin.value,
        stdin_code=request.stdin_code,
        reason=request.reason,
        rollback=request.rollback,
        task=request.task,
        emergency=request.emergency,
        tier=request.assessment.tier.value,
        score=request.assessment.score,
        reasons=list(request.assessment.reasons),
        approvals=request.approvals,
        created=request.created,
        expires=request.expires,
        digest=request.digest,
        proposal=proposal,
        weights=list(request.assessment.weights),
        reversible=request.assessment.reversible.value,
        effects=[(effect.kind.value, effect.what) for effect in request.assessment.effects],
        verbs=list(request.assessment.verbs),
        rule=request.rule,
        approvers=list(request.approvers),
        escalation=list(request.escalation),
        cwd=request.cwd,
        sequence=request.sequence,
        parent=request.parent,
        mode=request.mode.value,
        terminal=request.terminal,
        unsigned=list(request.unsigned),
        author=request.author,
        edits=request.edits,
        answers=request.answers,
        context=list(request.context),
        script=request.script,
        script_code=request.script_code,
    )


def pack(request: Request) -> bytes:
    """The whole request as bytes for the payload table."""
    return msgspec.json.encode(info_of(request, State.HELD, ""))


def unpack(data: bytes) -> RequestInfo:
    """What `pack` packed. Raises msgspec.MsgspecError for anything else."""
    return msgspec.json.decode(data, type=RequestInfo)


def fold_request(packed: bytes | None, entries: Iterable[EntryLike]) -> RequestInfo | None:
    """One request from its packed form (None if redacted) and all entries that carry its id, in order."""
    info: RequestInfo | None = None
    for entry in entries:
        body = entry.body
        if entry.type == "request.proposed":
            info = unpack(packed) if packed is not None else _redacted(entry)
            state = UNDECIDED[str(body["verdict"])]
            info = msgspec.structs.replace(info, state=state.value, proposal=entry.leaf, attached=False)
            if state is not State.HELD:
                info = msgspec.structs.replace(info, decided=entry.t, decision_reason=str(body.get("why", "")))
        elif info is not None:
            info = _step(info, entry)
    return info


def _step(info: RequestInfo, entry: EntryLike) -> RequestInfo:
    body = entry.body
    match entry.type:
        case "request.decided":
            choice, by = str(body["choice"]), str(body.get("by", ""))
            votes = info.votes
            if by:
                vote = VoteInfo(by=by, choice=choice, reason=str(body.get("reason", "")), at=entry.t)
                votes = [*votes, vote]
            approved = sum(vote.choice == "approve" for vote in votes)
            if choice == "approve" and approved < info.approvals:
                return msgspec.structs.replace(info, votes=votes)
            return msgspec.structs.replace(
                info,
                votes=votes,
                state=ENDED[choice].value,
                decided=entry.t,
                decision_reason=str(body.get("reason", "")),
            )
        case "request.escalated":
            return msgspec.structs.replace(info, escalated=[*info.escalated, str(body["group"])])
        case "request.snoozed":
            by, until = str(body["by"]), int(body["until"])
            others = [each for each in info.snoozed if each[0] != by]
            return msgspec.structs.replace(info, snoozed=[*others, (by, until)] if until > entry.t else others)
        case "request.edited":
            return msgspec.structs.replace(info, edited=str(body["to"]))
        case "stdin.sent":
            return msgspec.structs.replace(info, status="sent")
        case "vote.voided":
            return msgspec.structs.replace(info, votes=[vote for vote in info.votes if vote.by != body["by"]])
        case "command.started":
            return msgspec.structs.replace(info, status="running")
        case "command.finished":
            return msgspec.structs.replace(info, status=outcome(body))
        case _:
            return info


@dataclass(frozen=True, slots=True)
class Left:
    """A request that goes back to the desk."""

    info: RequestInfo
    votes: tuple[Vote, ...]
    escalated: tuple[str, ...]
    """Groups that it went to."""
    grounds: str
    """Leaf of the entry that approved it; empty while it is held."""
    decided: int
    """When, microseconds since the epoch; 0 while it is held."""


def left_behind(
    packed: bytes | None, entries: Sequence[EntryLike], now: int, ticket: float
) -> tuple[State | None, Left | None]:
    """How a request stands that a daemon left, and what goes back to the desk of it: an exec or a transfer whose time
    is not over, or that was approved less than `ticket` seconds ago. `now` in microseconds since the epoch."""
    info = fold_request(packed, entries)
    if info is None or info.state not in (State.HELD, State.APPROVED):
        return None, None
    state = State(info.state)
    votes = [entry for entry in entries if entry.type == "request.decided" and entry.body["choice"] == "approve"]
    last = votes[-1] if state is State.APPROVED else None
    in_time = now < (last.t + int(ticket * 1_000_000) if last is not None else info.expires)
    if info.kind not in OUTLIVES or not in_time or info.to_model().digest != info.digest:
        return state, None
    return state, Left(
        info=msgspec.structs.replace(info, attached=False),
        votes=tuple(_vote(entry) for entry in votes),
        escalated=tuple(str(entry.body["group"]) for entry in entries if entry.type == "request.escalated"),
        grounds=last.leaf if last is not None else "",
        decided=last.t if last is not None else 0,
    )


def _vote(entry: EntryLike) -> Vote:
    body = entry.body
    mode = TtyMode(body["mode"]) if "mode" in body else None
    return Vote(
        request=entry.request,
        digest=str(body["digest"]),
        choice=Choice.APPROVE,
        by=str(body["by"]),
        reason=str(body["reason"]),
        signature=str(body["signature"]),
        mode=mode,
        seconds=int(body.get("seconds", 0)),
        via=str(body.get("via", "")),
        via_user=str(body.get("via_user", "")),
    )


def outcome(body: Mapping[str, Any]) -> str:
    """How a command ended, from the body of `command.finished`, in words."""
    if body.get("note"):
        return str(body["note"])
    if body.get("signal"):
        return f"signal {body['signal']}"
    return f"exit {body.get('status')}"


def _redacted(entry: EntryLike) -> RequestInfo:
    body = entry.body
    return RequestInfo(
        id=entry.request,
        state=State.HELD.value,
        kind=str(body["kind"]),
        identity=str(body["identity"]),
        key=str(body["key"]),
        session=entry.session,
        target=str(body["target"]),
        env=str(body["env"]),
        host_keys=[],
        login=str(body["login"]),
        command=b"(redacted)",
        environment=[],
        stdin=str(body["stdin"]),
        stdin_code=b"",
        reason="",
        rollback="",
        task="",
        tier=str(body["tier"]),
        score=body["score"],
        reasons=[],
        approvals=int(body["approvals"]),
        created=entry.t,
        expires=int(body["expires"]),
        digest=str(body["digest"]),
        proposal=entry.leaf,
    )


def fold_session(entries: Iterable[EntryLike]) -> SessionInfo | None:
    """One session from all entries that carry its id, in order."""
    info: SessionInfo | None = None
    for entry in entries:
        body = entry.body
        if entry.type == "session.opened":
            info = SessionInfo(
                id=entry.session,
                identity=str(body["identity"]),
                key=str(body["key"]),
                target=str(body["target"]),
                login=str(body["login"]),
                client=str(body["client"]),
                state="open",
                opened=entry.t,
                closed=0,
                end="",
                requests=[],
                output_bytes=0,
            )
        elif info is None:
            continue
        elif entry.type in ("request.proposed", "request.attached") and entry.request not in info.requests:
            info = msgspec.structs.replace(info, requests=[*info.requests, entry.request])
        elif entry.type == "command.finished":
            size = int(body["stdout_bytes"]) + int(body["stderr_bytes"])
            info = msgspec.structs.replace(info, output_bytes=info.output_bytes + size)
        elif entry.type in ("session.closed", "session.interrupted"):
            state = "closed" if entry.type == "session.closed" else "interrupted"
            info = msgspec.structs.replace(info, state=state, closed=entry.t, end=str(body["end"]))
    return info
