"""Calls that look: changes as they come, sessions, recordings, the ledger; and the one that ends a session.

Looking at what an agent did is itself an entry of the ledger.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from bastion.audit import Draft
from bastion.control import wire
from bastion.control.connection import Caller, Connection
from bastion.control.house import LIST_LIMIT, REASON_LIMIT, House
from bastion.errors import Conflict, NotAllowed, NotFound
from bastion.model import Role
from bastion.names import pick
from bastion.overwriting import Live

REVEALS = frozenset({Role.AUDITOR, Role.ADMIN})
"""Who may see the secrets in a recording. Who decides sees those of the requests that they decide on."""


class Viewing:
    """Handlers."""

    def __init__(self, house: House) -> None:
        self._house = house
        self._searching = asyncio.Semaphore(1)  # one at a time: it renders, and renders on one of the host's cores
        self._seen: set[tuple[int, str, bool]] = set()
        """Recordings that each connection has read of, and whether with the secrets in them."""
        self._watching: dict[tuple[int, str], Callable[[], None]] = {}

    async def subscribe(self, _: wire.Subscribe, connection: Connection) -> object:
        """wire.Subscribe"""
        house = self._house
        for request in house.broker.infos():
            if request.state == "held":
                connection.push(wire.RequestChanged(request=request))
        for session in house.sessions.infos():
            if session.state == "open":
                connection.push(wire.SessionChanged(session=session))
        hear: Callable[[wire.Alert], None] = connection.push
        house.audience.add(hear)
        house.crowd.add(connection.push)
        connection.push(house.freezes())
        connection.push(house.channels())
        connection.on_close(lambda: house.crowd.discard(connection.push))
        connection.on_close(lambda: house.audience.discard(hear))
        caller = connection.caller
        connection.on_close(
            house.presence.enter(caller.name, decides=Role.APPROVER in caller.roles, local=caller.local)
        )
        connection.on_close(house.broker.subscribe(lambda info: connection.push(wire.RequestChanged(request=info))))
        connection.on_close(house.sessions.subscribe(lambda info: connection.push(wire.SessionChanged(session=info))))
        return None

    async def list_sessions(self, call: wire.ListSessions, _: Connection) -> object:
        """wire.ListSessions"""
        limit = min(max(call.limit, 1), LIST_LIMIT)
        live = self._house.sessions.infos()
        if len(live) < limit:
            live = await self._house.archive.sessions(limit - len(live), without={info.id for info in live}) + live
        return live[-limit:]

    async def show_session(self, call: wire.ShowSession, _: Connection) -> object:
        """wire.ShowSession"""
        return await self._find_session(call.session)

    async def _find_session(self, wanted: str) -> wire.SessionInfo:
        live = {info.id: info for info in self._house.sessions.infos()}
        try:
            return live[pick(wanted, live, "session")]
        except NotFound:
            return await self._house.archive.session(wanted)

    async def read_recording(self, call: wire.ReadRecording, connection: Connection) -> object:
        """wire.ReadRecording"""
        info = await self._find_session(call.session)
        await self._note_recording(connection, info.id, reveal=call.reveal)
        return await self._house.archive.frames(info.id, call.after, reveal=call.reveal)

    async def read_timeline(self, call: wire.ReadTimeline, connection: Connection) -> object:
        """wire.ReadTimeline"""
        info = await self._find_session(call.session)
        await self._note_recording(connection, info.id)
        found = await self._house.archive.timeline(info.id)
        if found.rendered < found.chunks and not found.stopped:
            self._house.render(info.id)
        return found

    async def read_moment(self, call: wire.ReadMoment, connection: Connection) -> object:
        """wire.ReadMoment"""
        info = await self._find_session(call.session)
        await self._note_recording(connection, info.id, reveal=call.reveal)
        return await self._house.archive.moment(info.id, call.at, call.frame, reveal=call.reveal)

    async def _note_recording(self, connection: Connection, session: str, *, reveal: bool = False) -> None:
        """Once a connection: whoever looks again, looks on. Raises NotAllowed."""
        _check_reveal(reveal, connection.caller)
        spot = (id(connection), session, reveal)
        if spot not in self._seen:
            self._seen.add(spot)
            connection.on_close(lambda: self._seen.discard(spot))
            await self._note_view(connection.caller, session, "recording", revealed=reveal)

    async def search_sessions(self, call: wire.SearchSessions, connection: Connection) -> object:
        """wire.SearchSessions"""
        body = {"what": "search", "text_bytes": len(call.text.encode("utf-8", "surrogatepass"))}
        await self._house.audit.write(Draft("access.viewed", connection.caller.name, body))
        async with self._searching:
            return await self._house.archive.search(call)

    async def watch_session(self, call: wire.WatchSession, connection: Connection) -> object:
        """wire.WatchSession"""
        info = await self._find_session(call.session)
        if info.state != "open":
            raise Conflict(f"session {info.id} is {info.state}", "`bastion session replay` shows it")
        _check_reveal(call.reveal, connection.caller)
        await self._note_view(connection.caller, info.id, "live", revealed=call.reveal)
        spot = (id(connection), info.id)
        if spot not in self._watching:
            try:
                stop = self._house.sessions.watch(info.id, _pushing(info.id, connection, reveal=call.reveal))
            except KeyError:
                raise Conflict(f"session {info.id} has just ended") from None
            self._watching[spot] = stop
            connection.on_close(lambda: self._stop_watching(spot))
        return info

    async def unwatch_session(self, call: wire.UnwatchSession, connection: Connection) -> object:
        """wire.UnwatchSession"""
        self._stop_watching((id(connection), call.session))
        return None

    def _stop_watching(self, spot: tuple[int, str]) -> None:
        stop = self._watching.pop(spot, None)
        if stop is not None:
            stop()

    async def _note_view(self, caller: Caller, session: str, what: str, *, revealed: bool = False) -> None:
        body = {"what": what, **({"revealed": True} if revealed else {})}
        await self._house.audit.write(Draft("access.viewed", caller.name, body, session=session))

    async def kill_session(self, call: wire.KillSession, connection: Connection) -> object:
        """wire.KillSession"""
        name = pick(call.session, self._house.sessions.ids(), "open session")
        who, why = connection.caller.name, call.reason.strip()[:REASON_LIMIT]
        await self._house.audit.write(Draft("session.killed", who, {"by": who, "reason": why}, session=name))
        try:
            self._house.sessions.cut(name, f"killed by {who}" + (f": {why}" if why else ""))
        except KeyError:
            raise Conflict(f"session {name} has just ended") from None
        return self._house.sessions.info(name)

    async def end_keys(self, call: wire.EndKeys, connection: Connection) -> object:
        """wire.EndKeys"""
        name = pick(call.session, self._house.sessions.ids(), "open session")
        who, why = connection.caller.name, call.reason.strip()[:REASON_LIMIT]
        info = self._house.sessions.info(name)
        if info is None or not info.mode:
            raise Conflict(f"no keys pass in session {name}")
        await self._house.audit.write(Draft("session.keys-ended", who, {"by": who, "reason": why}, session=name))
        self._house.sessions.end_keys(name, f"ended by {who}" + (f": {why}" if why else ""))
        return self._house.sessions.info(name)

    async def ledger_head(self, _: wire.LedgerHead, __: Connection) -> object:
        """wire.LedgerHead"""
        return self._house.audit.head_note()

    async def prove_head(self, call: wire.ProveHead, _: Connection) -> object:
        """wire.ProveHead"""
        return await self._house.archive.proof(call.size)

    async def list_ledger(self, call: wire.ListLedger, connection: Connection) -> object:
        """wire.ListLedger"""
        if call.reveal:
            _check_reveal(call.reveal, connection.caller)
            body = {"what": "entry", "entry": max(call.after, -1) + 1, "revealed": True}
            await self._house.audit.write(Draft("access.viewed", connection.caller.name, body))
            return await self._house.archive.lines(call.after, 1)
        return await self._house.archive.lines(call.after, min(max(call.limit, 1), LIST_LIMIT))


def _check_reveal(reveal: bool, caller: Caller) -> None:
    """May they see secrets that a recording holds? Raises NotAllowed."""
    if reveal and not caller.local and not caller.roles & REVEALS:
        raise NotAllowed(f"{caller.name} may not see what is covered", "needs the role auditor or admin")


def _pushing(session: str, connection: Connection, *, reveal: bool) -> Callable[[wire.FrameInfo], None]:
    live = Live()

    def push(frame: wire.FrameInfo) -> None:
        if not reveal:
            frame = wire.FrameInfo(at=frame.at, kind=frame.kind, data=live.cover(frame.kind, frame.data))
        if frame.data:
            connection.push(wire.SessionOutput(session=session, frame=frame))

    return push
