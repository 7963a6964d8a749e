"""Requests and sessions as the ledger tells them. Pure: entries in, wire structs out.

`pack` and `unpack` are the one form in which a whole request is kept beside its entry (the entry itself carries the
digest and a salted commitment to these bytes, so that the content can be redacted while the proof lives).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Protocol

import msgspec

from bastion.control.wire import RequestInfo, SessionInfo, VoteInfo
from bastion.model import Request, State

ENDED = {"approve": State.APPROVED, "deny": State.DENIED, "expired": State.EXPIRED, "withdrawn": State.WITHDRAWN}
"""`choice` of a `request.decided` entry to the state that it leads to (an approval only with enough of them)."""

UNDECIDED = {"allow": State.ALLOWED, "deny": State.REFUSED, "hold": State.HELD}
"""`verdict` of a `request.proposed` entry to the state right after it."""


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
        context=list(request.context),
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
