"""Calls that do something with a held request beside deciding it: edit, escalate, snooze.

An edit counts by its signature, as a vote does: it names its author, who may then cast one of the new request's votes.
"""

from __future__ import annotations

import hashlib

import msgspec

from bastion.control import statements, wire
from bastion.control.connection import Connection
from bastion.control.house import REASON_LIMIT, House
from bastion.control.signed import check_origin, signer_of
from bastion.errors import Conflict, NotFound, UsageError
from bastion.gate.editing import draft, terms
from bastion.history import info_of
from bastion.model import Request, RequestKind, State, Verdict
from bastion.policy.judge import Judgement
from bastion.policy.scripts import script_file
from bastion.policy.shell import Parsed, parse


class Editing:
    """Handlers."""

    def __init__(self, house: House) -> None:
        self._house = house

    async def edit_request(self, call: wire.EditRequest, connection: Connection) -> object:
        """wire.EditRequest"""
        house = self._house
        try:
            said = statements.decode_edit(call.statement)
        except statements.StatementError as error:
            raise UsageError(f"the statement does not read: {error}") from None
        info = self._held(call.request)
        if said.request != call.request or said.proposal != info.proposal or said.digest != info.digest:
            raise Conflict("the edit is for another proposal", "the request on your screen is not the one at the desk")
        if said.command != hashlib.sha256(call.command).hexdigest():
            raise Conflict("the command is not the one that was signed")
        check_origin(house, said.origin)
        if said.expires < house.clock.wall():
            raise Conflict("the end of the edit is past by the bastion's clock", "if that was set, the agent asks anew")
        if len(said.reason) > REASON_LIMIT:
            raise UsageError(f"a reason has at most {REASON_LIMIT} characters")
        signer = signer_of(house, call.statement, call.signature, wire.EDIT_NAMESPACE, connection.caller)
        request, judgement = self._judged(info, call.command, signer.name)
        return await house.broker.edit(info.id, request, judgement, call.statement, call.signature, said.reason.strip())

    async def try_edit(self, call: wire.TryEdit, connection: Connection) -> object:
        """wire.TryEdit"""
        request, judgement = self._judged(self._held(call.request), call.command, connection.caller.name)
        if judgement.verdict is not Verdict.DENY:
            return info_of(request, State.HELD, "")
        refused = info_of(request, State.REFUSED, "")
        return msgspec.structs.replace(refused, decision_reason=judgement.reason)

    async def escalate_request(self, call: wire.EscalateRequest, connection: Connection) -> object:
        """wire.EscalateRequest"""
        reason = call.reason.strip()
        if len(reason) > REASON_LIMIT:
            raise UsageError(f"a reason has at most {REASON_LIMIT} characters")
        return await self._house.broker.escalate(self._held(call.request).id, connection.caller.name, reason)

    async def snooze_request(self, call: wire.SnoozeRequest, connection: Connection) -> object:
        """wire.SnoozeRequest"""
        return await self._house.broker.snooze(self._held(call.request).id, connection.caller.name, call.until)

    def _held(self, request_id: str) -> wire.RequestInfo:
        """Raises NotFound, Conflict."""
        info = self._house.broker.info(request_id)
        if info is None:
            raise NotFound(f"no request {request_id!r} at the desk", "this takes the full id")
        if info.state != State.HELD.value:
            raise Conflict(f"request {info.id} is {info.state} already")
        return info

    def _judged(self, info: wire.RequestInfo, command: bytes, author: str) -> tuple[Request, Judgement]:
        """The new request on its terms, and the judgement. Raises UsageError, Conflict."""
        house, original = self._house, info.to_model()
        now = house.clock.wall()
        drafted = draft(
            original,
            command,
            request_id=house.new_request(),
            author=author,
            now=now,
            assess=house.assess,
            reads_code=house.reads_code,
            script=_script(original, command),
        )
        judgement = terms(original, drafted, house.judge(drafted, now))
        return judgement.settle(drafted), judgement


def _script(original: Request, command: bytes) -> tuple[str, bytes]:
    """The file on the target that the new command runs, and what it holds, where that is the agent's own script and so
    was read already. No other is read: an approver must not see a target's files by naming them in an edit."""
    parsed = parse(command)
    path = script_file(parsed) if original.kind is RequestKind.EXEC and isinstance(parsed, Parsed) else ""
    return (path, original.script_code) if path and path == original.script else ("", b"")
