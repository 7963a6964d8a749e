"""Calls that decide: votes on requests, and the whitelist.

A vote and a whitelist entry count by their signature, not by the connection that brought them: the statement is read
out of the signed bytes, the key must belong to an approver who is not revoked, and over SSH it must be the caller's
own. So whoever gets into the local socket can withhold decisions but cannot make one.
"""

from __future__ import annotations

import base64

from bastion.control import signing, statements, wire
from bastion.control.house import LIST_LIMIT, REASON_LIMIT, House
from bastion.control.infos import whitelist_info
from bastion.control.server import Caller, Connection
from bastion.directory import Body, pick
from bastion.errors import Conflict, NotAllowed, NotFound, UsageError
from bastion.ids import whitelist_id
from bastion.model import Identity, PublicKey, Role, Vote

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
            ended = await self._house.archive.requests(limit - len(ended), without=known) + ended
        rows = [*(ended[-limit:] if limit else []), *held]
        return _page([info for info in rows if not call.state or info.state == call.state], call.after)

    async def show_request(self, call: wire.ShowRequest, _: Connection) -> object:
        """wire.ShowRequest"""
        return await self._find_request(call.request)

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
        self._check_origin(statement.origin)
        if statement.proposal != info.proposal:
            raise Conflict("the vote is for another proposal")
        if statement.expires < house.clock.wall():
            raise Conflict("the vote is too old", "sign a new one")
        if len(statement.reason) > REASON_LIMIT:
            raise UsageError(f"a reason has at most {REASON_LIMIT} characters")
        signer = self._signer(call.statement, call.signature, wire.DECISION_NAMESPACE, connection.caller)
        vote = Vote(
            request=statement.request,
            digest=statement.digest,
            choice=statement.choice,
            by=signer.name,
            reason=statement.reason,
            signature=call.signature,
        )
        return await house.broker.vote(vote, call.statement)

    def _check_origin(self, origin: str) -> None:
        if origin != self._house.audit.origin:
            raise Conflict("the statement is for another bastion's ledger")

    def _signer(self, statement: bytes, signature: str, namespace: str, caller: Caller) -> Identity:
        """The approver whose key signed this. Raises NotAllowed."""
        approvers = {
            key: identity
            for identity in self._house.directory.identities.values()
            if Role.APPROVER in identity.roles and not identity.revoked
            for key in identity.keys
        }
        key: PublicKey | None = signing.verify(statement, signature, namespace, approvers)
        if key is None:
            raise NotAllowed("the signature is not an approver's", "sign with the key of an identity with that role")
        signer = approvers[key]
        if not caller.local and signer.name != caller.name:
            raise NotAllowed(f"{caller.name} brought a signature of {signer.name}")
        return signer

    async def list_whitelist(self, _: wire.ListWhitelist, __: Connection) -> object:
        """wire.ListWhitelist"""
        now = self._house.clock.wall()
        entries = self._house.directory.whitelist.values()
        return [whitelist_info(entry) for entry in entries if entry.expires == 0 or now < entry.expires]

    async def add_whitelist(self, call: wire.AddWhitelist, connection: Connection) -> object:
        """wire.AddWhitelist"""
        house = self._house
        try:
            wish = statements.decode_whitelist(call.statement)
            command = base64.b64decode(wish.command, validate=True)
        except ValueError as error:
            raise UsageError(f"the statement does not read: {error}") from None
        self._check_origin(wish.origin)
        if wish.expires and wish.expires <= house.clock.wall():
            raise UsageError("the entry would have expired already")
        signer = self._signer(call.statement, call.signature, wire.WHITELIST_NAMESPACE, connection.caller)
        entry_id = whitelist_id()

        def plan() -> Body:
            body = house.directory.plan_whitelist(
                entry_id, command, wish.identity, wish.target, wish.login, wish.expires, call.statement.decode()
            )
            return {**body, "by": signer.name, "signature": call.signature}

        await self._house.commit("whitelist.added", plan, signer.name)
        return whitelist_info(house.directory.whitelist[entry_id])

    async def remove_whitelist(self, call: wire.RemoveWhitelist, connection: Connection) -> object:
        """wire.RemoveWhitelist"""
        directory = self._house.directory
        known = dict(directory.whitelist)
        body = await self._house.commit(
            "whitelist.removed", lambda: directory.plan_forgetting(call.entry), connection.caller.name
        )
        return whitelist_info(known[body["id"]])


def _page(rows: list[wire.RequestInfo], after: str) -> list[wire.RequestInfo]:
    """The rows behind the one with id `after`, as many as fit into one answer, at least one."""
    ids = [info.id for info in rows]
    if after:
        rows = rows[ids.index(after) + 1 :] if after in ids else []
    page: list[wire.RequestInfo] = []
    size = 0
    for info in rows:
        size += len(info.command) + len(info.stdin_code) + ROW_BYTES
        if page and size > PAGE_BYTES:
            break
        page.append(info)
    return page
