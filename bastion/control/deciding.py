"""Calls that decide: votes on requests.

A vote counts by its signature, not by the connection that brought it: see control.signed.
"""

from __future__ import annotations

from bastion.audit import Draft
from bastion.control import statements, wire
from bastion.control.connection import Connection
from bastion.control.house import LIST_LIMIT, REASON_LIMIT, House
from bastion.control.signed import approver, check_origin, signer_of
from bastion.errors import Conflict, NotAllowed, NotFound, UsageError
from bastion.gate.modes import WINDOW_MOST
from bastion.model import Choice, RequestKind, TtyMode, Vote
from bastion.names import pick

PAGE_BYTES = 2 << 20
"""Bytes of commands and code in one answer, before base64: wire.LINE_LIMIT has room for a third more."""

ROW_BYTES = 1024
"""What a row has beside them, about."""


class Deciding:
    """Handlers."""

    def __init__(self, house: House) -> None:
        self._house = house

    async def list_requests(self, call: wire.ListRequests, _: Connection) -> object:
        """wire.ListRequests"""
        limit = min(max(call.limit, 0), LIST_LIMIT)
        live = self._house.broker.infos()
        held = [info for info in live if info.state == "held"]
        ended = [info for info in live if info.state != "held"]
        if len(ended) < limit:
            known = {info.id for info in live}
            older = await self._house.archive.requests(limit - len(ended), without=known)
            # one that was proposed meanwhile is in the ledger a moment before it is at the desk
            ended = [info for info in older if info.state != "held"] + ended
        rows = [*(ended[-limit:] if limit else []), *held]
        return _page([info for info in rows if not call.state or info.state == call.state], call.after)

    async def show_request(self, call: wire.ShowRequest, connection: Connection) -> object:
        """wire.ShowRequest"""
        info = await self._find_request(call.request)
        if call.reveal:
            body = {"what": "request", "revealed": True}
            draft = Draft("access.viewed", connection.caller.name, body, session=info.session, request=info.id)
            await self._house.audit.write(draft)
        return info

    async def _find_request(self, wanted: str) -> wire.RequestInfo:
        live = {info.id: info for info in self._house.broker.infos()}
        try:
            return live[pick(wanted, live, "request")]
        except NotFound:
            return await self._house.archive.request(wanted)

    async def cast_vote(self, call: wire.CastVote, connection: Connection) -> object:
        """wire.CastVote"""
        house = self._house
        try:
            statement = statements.decode_vote(call.statement)
        except statements.StatementError as error:
            raise UsageError(f"the statement does not read: {error}") from None
        info = house.broker.info(statement.request)
        if info is None or call.request != statement.request:
            raise NotFound(f"no request {statement.request!r}", "votes name the full id")
        check_origin(house, statement.origin)
        if statement.proposal != info.proposal:
            raise Conflict("the vote is for another proposal")
        if info.state != "held":
            raise Conflict(f"request {info.id} is {info.state} already")
        if statement.expires < house.clock.wall():
            raise Conflict("the end of the vote is past by the bastion's clock", "if that was set, the agent asks anew")
        if len(statement.reason) > REASON_LIMIT:
            raise UsageError(f"a reason has at most {REASON_LIMIT} characters")
        caller = connection.caller
        unsigned = not call.signature and bool(caller.way)  # the broker asks policy whether that counts
        if unsigned:
            signer = approver(house, caller)
        else:
            signer = signer_of(house, call.statement, call.signature, wire.DECISION_NAMESPACE, caller)
        mode, seconds = _granted_mode(statement, info)
        if unsigned and mode is not None:
            raise NotAllowed("what may be typed into a command is granted with a signature")
        vote = Vote(
            request=statement.request,
            digest=statement.digest,
            choice=statement.choice,
            by=signer.name,
            reason=statement.reason,
            signature=call.signature,
            mode=mode,
            seconds=seconds,
            via=caller.way if unsigned else "",
            via_user=caller.name if unsigned else "",
        )
        return await house.broker.vote(vote, call.statement)


def _granted_mode(statement: statements.VoteStatement, info: wire.RequestInfo) -> tuple[TtyMode | None, int]:
    """What an approval says of the keys. Raises UsageError."""
    if not statement.mode:
        return None, 0
    if (
        info.kind not in (RequestKind.LINE.value, RequestKind.EXEC.value)
        or not info.terminal
        or statement.choice is not Choice.APPROVE
    ):
        raise UsageError("a mode is granted with the approval of a command on a terminal, and with nothing else")
    try:
        mode = TtyMode(statement.mode)
    except ValueError:
        raise UsageError(f"no mode {statement.mode!r}", f"one of {', '.join(TtyMode)}") from None
    seconds = int(statement.seconds)
    if seconds > WINDOW_MOST:
        raise UsageError(f"keys pass for at most {WINDOW_MOST} s")
    return mode, seconds


def _page(rows: list[wire.RequestInfo], after: str) -> list[wire.RequestInfo]:
    """The rows behind the one with id `after`, as many as fit into one answer, at least one."""
    ids = [info.id for info in rows]
    if after:
        rows = rows[ids.index(after) + 1 :] if after in ids else []
    page: list[wire.RequestInfo] = []
    size = 0
    for info in rows:
        size += len(info.command) + len(info.stdin_code) + len(info.script_code) + ROW_BYTES
        if page and size > PAGE_BYTES:
            break
        page.append(info)
    return page
