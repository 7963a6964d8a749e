"""What the calls of the control protocol mean, and who may make them.

Theory of operation. One table gives each call its handler and the roles that may use it; a call without a row is
refused. LOCAL rows are administration: they work on the bastion's own host (the local socket) and nowhere else.

A vote and a whitelist entry count by their signature, not by the connection that brought them: the statement is read
out of the signed bytes, the key must belong to an approver who is not revoked, and over SSH it must be the caller's
own. So whoever gets into the local socket can withhold decisions but cannot make one.
"""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from bastion.audit import Audit, Draft
from bastion.broker import Broker
from bastion.clock import Clock
from bastion.control import signing, statements, wire
from bastion.control.archive import Archive
from bastion.control.server import Caller, Connection
from bastion.directory import Body, Directory, WhitelistEntry, parse_address, parse_key, pick
from bastion.errors import Conflict, NotAllowed, NotFound, UsageError
from bastion.ids import whitelist_id
from bastion.model import Identity, PublicKey, Role, Target, Vote
from bastion.sessions import Sessions

REASON_LIMIT = 1024
"""Characters of a reason: it stands in a ledger entry and on the agent's stderr."""

LIST_LIMIT = 1000
"""Rows that one call returns at most."""

PAGE_BYTES = 2 << 20
"""Bytes of commands and code in one answer, before base64: wire.LINE_LIMIT has room for a third more."""

ROW_BYTES = 1024
"""What a row has beside them, about."""

CUT_GRACE_SECONDS = 0.05
"""From telling a revoked identity's sessions to dropping its connections; the goal is 100 ms in all."""

LOCAL: frozenset[Role] = frozenset()
EVERYBODY = frozenset(Role)
DECIDES = frozenset({Role.APPROVER})
WATCHES = frozenset({Role.APPROVER, Role.AUDITOR, Role.ADMIN})


@dataclass(frozen=True, slots=True)
class House:
    """The daemon's parts, as far as calls need them."""

    directory: Directory
    broker: Broker
    sessions: Sessions
    audit: Audit
    archive: Archive
    clock: Clock
    cut_connections: Callable[[str], None]
    drop_links: Callable[[str], None]
    probe: Callable[[Target], Awaitable[list[wire.CheckInfo]]]


class Calls:
    """Handlers of all calls."""

    def __init__(self, house: House) -> None:
        self._house = house
        self._changing = asyncio.Lock()
        self._table: dict[type[wire.Call], tuple[frozenset[Role], Callable[[Any, Connection], Awaitable[object]]]] = {
            wire.ListRequests: (EVERYBODY, self._list_requests),
            wire.ShowRequest: (EVERYBODY, self._show_request),
            wire.CastVote: (DECIDES, self._cast_vote),
            wire.Subscribe: (EVERYBODY, self._subscribe),
            wire.ListSessions: (EVERYBODY, self._list_sessions),
            wire.ShowSession: (EVERYBODY, self._show_session),
            wire.ReadRecording: (WATCHES, self._read_recording),
            wire.WatchSession: (WATCHES, self._watch_session),
            wire.UnwatchSession: (WATCHES, self._unwatch_session),
            wire.KillSession: (DECIDES, self._kill_session),
            wire.ListIdentities: (EVERYBODY, self._list_identities),
            wire.AddIdentity: (LOCAL, self._add_identity),
            wire.RevokeIdentity: (LOCAL, self._revoke_identity),
            wire.ListTargets: (EVERYBODY, self._list_targets),
            wire.AddTarget: (LOCAL, self._add_target),
            wire.RemoveTarget: (LOCAL, self._remove_target),
            wire.CheckTarget: (LOCAL, self._check_target),
            wire.ListWhitelist: (EVERYBODY, self._list_whitelist),
            wire.AddWhitelist: (DECIDES, self._add_whitelist),
            wire.RemoveWhitelist: (DECIDES, self._remove_whitelist),
            wire.LedgerHead: (EVERYBODY, self._ledger_head),
            wire.ListLedger: (EVERYBODY, self._list_ledger),
        }
        self._watching: dict[tuple[int, str], Callable[[], None]] = {}

    async def handle(self, call: wire.AnyCall, connection: Connection) -> object:
        """Answer one call. Raises BastionError for the caller."""
        row = self._table.get(type(call))
        caller = connection.caller
        if row is None:
            raise UsageError("this call is not known here")
        roles, handler = row
        if not caller.local and not roles & caller.roles:
            where = "on the bastion's own host only" if roles is LOCAL else f"needs the role {_or(roles)}"
            raise NotAllowed(f"{caller.name} may not do this", where)
        return await handler(call, connection)

    # --- requests ---------------------------------------------------------------------------------------------------

    async def _list_requests(self, call: wire.ListRequests, _: Connection) -> object:
        limit = min(max(call.limit, 0), LIST_LIMIT)
        live = self._house.broker.infos()
        held = [info for info in live if info.state == "held"]
        ended = [info for info in live if info.state != "held"]
        if len(ended) < limit:
            known = {info.id for info in live}
            ended = await self._house.archive.requests(limit - len(ended), without=known) + ended
        rows = [*(ended[-limit:] if limit else []), *held]
        return _page([info for info in rows if not call.state or info.state == call.state], call.after)

    async def _show_request(self, call: wire.ShowRequest, _: Connection) -> object:
        return await self._find_request(call.request)

    async def _find_request(self, wanted: str) -> wire.RequestInfo:
        live = {info.id: info for info in self._house.broker.infos()}
        try:
            return live[pick(wanted, live, "request")]
        except NotFound:
            return await self._house.archive.request(wanted)

    async def _cast_vote(self, call: wire.CastVote, connection: Connection) -> object:
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

    async def _subscribe(self, _: wire.Subscribe, connection: Connection) -> object:
        house = self._house
        for request in house.broker.infos():
            if request.state == "held":
                connection.push(wire.RequestChanged(request=request))
        for session in house.sessions.infos():
            if session.state == "open":
                connection.push(wire.SessionChanged(session=session))
        connection.on_close(house.broker.subscribe(lambda info: connection.push(wire.RequestChanged(request=info))))
        connection.on_close(house.sessions.subscribe(lambda info: connection.push(wire.SessionChanged(session=info))))
        return None

    # --- sessions ---------------------------------------------------------------------------------------------------

    async def _list_sessions(self, call: wire.ListSessions, _: Connection) -> object:
        limit = min(max(call.limit, 1), LIST_LIMIT)
        live = self._house.sessions.infos()
        if len(live) < limit:
            live = await self._house.archive.sessions(limit - len(live), without={info.id for info in live}) + live
        return live[-limit:]

    async def _show_session(self, call: wire.ShowSession, _: Connection) -> object:
        return await self._find_session(call.session)

    async def _find_session(self, wanted: str) -> wire.SessionInfo:
        live = {info.id: info for info in self._house.sessions.infos()}
        try:
            return live[pick(wanted, live, "session")]
        except NotFound:
            return await self._house.archive.session(wanted)

    async def _read_recording(self, call: wire.ReadRecording, connection: Connection) -> object:
        info = await self._find_session(call.session)
        if call.after == 0:
            await self._note_view(connection.caller, info.id, "recording")
        return await self._house.archive.frames(info.id, call.after)

    async def _watch_session(self, call: wire.WatchSession, connection: Connection) -> object:
        info = await self._find_session(call.session)
        if info.state != "open":
            raise Conflict(f"session {info.id} is {info.state}", "`bastion session replay` shows it")
        await self._note_view(connection.caller, info.id, "live")
        spot = (id(connection), info.id)
        if spot not in self._watching:
            try:
                stop = self._house.sessions.watch(
                    info.id, lambda frame: connection.push(wire.SessionOutput(session=info.id, frame=frame))
                )
            except KeyError:
                raise Conflict(f"session {info.id} has just ended") from None
            self._watching[spot] = stop
            connection.on_close(lambda: self._stop_watching(spot))
        return info

    async def _unwatch_session(self, call: wire.UnwatchSession, connection: Connection) -> object:
        self._stop_watching((id(connection), call.session))
        return None

    def _stop_watching(self, spot: tuple[int, str]) -> None:
        stop = self._watching.pop(spot, None)
        if stop is not None:
            stop()

    async def _note_view(self, caller: Caller, session: str, what: str) -> None:
        await self._house.audit.write(Draft("access.viewed", caller.name, {"what": what}, session=session))

    async def _kill_session(self, call: wire.KillSession, connection: Connection) -> object:
        name = pick(call.session, self._house.sessions.ids(), "open session")
        who, why = connection.caller.name, call.reason.strip()[:REASON_LIMIT]
        await self._house.audit.write(Draft("session.killed", who, {"by": who, "reason": why}, session=name))
        try:
            self._house.sessions.cut(name, f"killed by {who}" + (f": {why}" if why else ""))
        except KeyError:
            raise Conflict(f"session {name} has just ended") from None
        return self._house.sessions.info(name)

    # --- identities and targets -------------------------------------------------------------------------------------

    async def _commit(self, kind: str, plan: Callable[[], Body], actor: str) -> Body:
        """Plan, write, apply: one change of the directory at a time."""
        async with self._changing:
            body = plan()
            await self._house.audit.write(Draft(kind, actor, body))
            self._house.directory.apply(kind, body)
            return body

    async def _list_identities(self, _: wire.ListIdentities, __: Connection) -> object:
        return [identity_info(each) for each in self._house.directory.identities.values()]

    async def _add_identity(self, call: wire.AddIdentity, connection: Connection) -> object:
        directory = self._house.directory
        await self._commit(
            "identity.added",
            lambda: directory.plan_identity(call.name, call.kind, call.roles, call.key),
            connection.caller.name,
        )
        return identity_info(directory.identities[call.name])

    async def _revoke_identity(self, call: wire.RevokeIdentity, connection: Connection) -> object:
        house = self._house
        await self._commit(
            "identity.revoked",
            lambda: house.directory.plan_revocation(call.name, call.reason),
            connection.caller.name,
        )
        house.sessions.cut_where(lambda info: info.identity == call.name, f"identity {call.name} was revoked")
        asyncio.get_running_loop().call_later(CUT_GRACE_SECONDS, house.cut_connections, call.name)
        await house.broker.withdraw_left_behind(call.name, f"identity {call.name} was revoked")
        return identity_info(house.directory.identities[call.name])

    async def _list_targets(self, _: wire.ListTargets, __: Connection) -> object:
        return [target_info(each) for each in self._house.directory.targets.values()]

    async def _add_target(self, call: wire.AddTarget, connection: Connection) -> object:
        directory = self._house.directory
        parse_address(call.address)
        await self._commit(
            "target.added",
            lambda: directory.plan_target(
                call.name, call.address, call.logins, call.env, call.host_keys, call.credential
            ),
            connection.caller.name,
        )
        return target_info(directory.targets[call.name])

    async def _remove_target(self, call: wire.RemoveTarget, connection: Connection) -> object:
        house = self._house
        gone = house.directory.targets.get(call.name)
        await self._commit("target.removed", lambda: house.directory.plan_removal(call.name), connection.caller.name)
        house.sessions.cut_where(lambda info: info.target == call.name, f"target {call.name} was removed")
        house.drop_links(call.name)
        return target_info(gone) if gone is not None else None

    async def _check_target(self, call: wire.CheckTarget, _: Connection) -> object:
        target = self._house.directory.targets.get(call.name)
        if target is None:
            raise NotFound(f"no target {call.name!r}", "`bastion target list` names them")
        return await self._house.probe(target)

    # --- whitelist --------------------------------------------------------------------------------------------------

    async def _list_whitelist(self, _: wire.ListWhitelist, __: Connection) -> object:
        now = self._house.clock.wall()
        entries = self._house.directory.whitelist.values()
        return [whitelist_info(entry) for entry in entries if entry.expires == 0 or now < entry.expires]

    async def _add_whitelist(self, call: wire.AddWhitelist, connection: Connection) -> object:
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

        await self._commit("whitelist.added", plan, signer.name)
        return whitelist_info(house.directory.whitelist[entry_id])

    async def _remove_whitelist(self, call: wire.RemoveWhitelist, connection: Connection) -> object:
        directory = self._house.directory
        known = dict(directory.whitelist)
        body = await self._commit(
            "whitelist.removed", lambda: directory.plan_forgetting(call.entry), connection.caller.name
        )
        return whitelist_info(known[body["id"]])

    # --- ledger -----------------------------------------------------------------------------------------------------

    async def _ledger_head(self, _: wire.LedgerHead, __: Connection) -> object:
        return self._house.audit.head_note()

    async def _list_ledger(self, call: wire.ListLedger, _: Connection) -> object:
        return await self._house.archive.lines(call.after, min(max(call.limit, 1), LIST_LIMIT))


def identity_info(identity: Identity) -> wire.IdentityInfo:
    """As clients get it."""
    return wire.IdentityInfo(
        name=identity.name,
        kind=identity.kind.value,
        roles=sorted(role.value for role in identity.roles),
        fingerprints=[key.fingerprint for key in identity.keys],
        keys=[key.line for key in identity.keys],
        revoked=identity.revoked,
    )


def target_info(target: Target) -> wire.TargetInfo:
    """As clients get it."""
    host = f"[{target.host}]" if ":" in target.host else target.host
    return wire.TargetInfo(
        name=target.name,
        address=f"{host}:{target.port}",
        logins=list(target.logins),
        env=target.env,
        host_keys=list(target.host_keys),
        fingerprints=[parse_key(line).fingerprint for line in target.host_keys],
        credential=target.credential,
    )


def whitelist_info(entry: WhitelistEntry) -> wire.WhitelistInfo:
    """As clients get it."""
    return wire.WhitelistInfo(
        id=entry.id,
        command=entry.command,
        identity=entry.identity,
        target=entry.target,
        login=entry.login,
        by=entry.by,
        expires=entry.expires,
    )


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


def _or(roles: frozenset[Role]) -> str:
    return " or ".join(sorted(roles))
