"""What can be read of a bastion, from its daemon or straight from its store."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Protocol

from bastion.admin import load_directory
from bastion.control import wire
from bastion.control.archive import Archive
from bastion.control.client import Client
from bastion.control.infos import freeze_info, grant_info, group_info, identity_info, target_info, whitelist_info
from bastion.errors import NotAllowed, NotFound
from bastion.renderer import Renderer
from recorder.reader import Reader

LEDGER_PAGE = 1000
"""Entries asked for at once: the daemon's own limit."""


Note = Callable[[dict[str, object], str, str], None]
"""(body, session, request): write `access.viewed`."""


class Source(Protocol):
    """One bastion, to be read."""

    async def requests(self, state: str, limit: int) -> list[wire.RequestInfo]:
        """Held ones and the newest `limit` that ended, newest last."""

    async def request(self, wanted: str, *, reveal: bool = False) -> wire.RequestInfo:
        """`reveal`: its secrets will be shown, which is noted. Raises NotFound or Conflict."""

    async def sessions(self, limit: int) -> list[wire.SessionInfo]:
        """The newest, newest last."""

    async def session(self, wanted: str) -> wire.SessionInfo:
        """Raises NotFound or Conflict."""

    async def frames(self, session: str, after: int, *, reveal: bool = False) -> list[wire.FrameInfo]:
        """A page of a recording, from frame number `after`; empty at the end. `reveal`: with its secrets, noted."""

    async def timeline(self, session: str) -> wire.TimelineInfo:
        """What is known of a recording; what is not rendered yet is rendered from now on. Raises StoreError."""

    async def moment(self, session: str, at: int, frame: int = -1, *, reveal: bool = False) -> wire.MomentInfo:
        """What leads to a moment of it. Raises StoreError."""

    async def search(self, question: wire.SearchSessions) -> wire.SearchResult:
        """Raises UsageError or StoreError."""

    async def stats(self, question: wire.ShowStats) -> wire.StatsInfo:
        """Figures about deciding."""

    async def identities(self) -> list[wire.IdentityInfo]: ...

    async def targets(self) -> list[wire.TargetInfo]: ...

    async def whitelist(self) -> list[wire.WhitelistInfo]:
        """Those in force."""

    async def grants(self) -> list[wire.GrantInfo]:
        """Those that have not ended."""

    async def freezes(self) -> list[wire.FreezeInfo]: ...

    async def access(self) -> list[wire.AccessInfo]:
        """Every identity that may ask, on every target."""

    async def unused(self, seconds: int) -> list[wire.UnusedInfo]:
        """Grants and whitelist entries not used for so long."""

    async def groups(self) -> list[wire.GroupInfo]: ...

    async def entries(self, after: int, limit: int) -> list[wire.LedgerLine]:
        """Entries with seq > after, at most `limit`."""

    async def revealed(self, seq: int) -> list[wire.LedgerLine]:
        """That entry, to be shown with its secrets, which is noted; empty where there is none."""

    async def proof(self, old_size: int) -> wire.HeadProof:
        """The newest signed head, and that it extends the one of `old_size` entries."""


class DaemonSource:
    """Asks a daemon."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def requests(self, state: str, limit: int) -> list[wire.RequestInfo]:
        return await self._client.requests(state, limit)

    async def request(self, wanted: str, *, reveal: bool = False) -> wire.RequestInfo:
        return await self._client.call(wire.ShowRequest, wire.RequestInfo, request=wanted, reveal=reveal)

    async def sessions(self, limit: int) -> list[wire.SessionInfo]:
        return await self._client.call(wire.ListSessions, list[wire.SessionInfo], limit=limit)

    async def session(self, wanted: str) -> wire.SessionInfo:
        return await self._client.call(wire.ShowSession, wire.SessionInfo, session=wanted)

    async def frames(self, session: str, after: int, *, reveal: bool = False) -> list[wire.FrameInfo]:
        return await self._client.call(
            wire.ReadRecording, list[wire.FrameInfo], session=session, after=after, reveal=reveal
        )

    async def timeline(self, session: str) -> wire.TimelineInfo:
        return await self._client.call(wire.ReadTimeline, wire.TimelineInfo, session=session)

    async def moment(self, session: str, at: int, frame: int = -1, *, reveal: bool = False) -> wire.MomentInfo:
        return await self._client.call(
            wire.ReadMoment, wire.MomentInfo, session=session, at=at, frame=frame, reveal=reveal
        )

    async def search(self, question: wire.SearchSessions) -> wire.SearchResult:
        fields = {name: getattr(question, name) for name in question.__struct_fields__ if name != "id"}
        return await self._client.call(wire.SearchSessions, wire.SearchResult, **fields)

    async def stats(self, question: wire.ShowStats) -> wire.StatsInfo:
        return await self._client.call(wire.ShowStats, wire.StatsInfo, since=question.since, commands=question.commands)

    async def identities(self) -> list[wire.IdentityInfo]:
        return await self._client.call(wire.ListIdentities, list[wire.IdentityInfo])

    async def targets(self) -> list[wire.TargetInfo]:
        return await self._client.call(wire.ListTargets, list[wire.TargetInfo])

    async def whitelist(self) -> list[wire.WhitelistInfo]:
        return await self._client.call(wire.ListWhitelist, list[wire.WhitelistInfo])

    async def grants(self) -> list[wire.GrantInfo]:
        return await self._client.call(wire.ListGrants, list[wire.GrantInfo])

    async def freezes(self) -> list[wire.FreezeInfo]:
        return await self._client.call(wire.ListFreezes, list[wire.FreezeInfo])

    async def access(self) -> list[wire.AccessInfo]:
        return await self._client.call(wire.ListAccess, list[wire.AccessInfo])

    async def unused(self, seconds: int) -> list[wire.UnusedInfo]:
        return await self._client.call(wire.ReviewAccess, list[wire.UnusedInfo], seconds_unused=seconds)

    async def groups(self) -> list[wire.GroupInfo]:
        return await self._client.call(wire.ListGroups, list[wire.GroupInfo])

    async def entries(self, after: int, limit: int) -> list[wire.LedgerLine]:
        rows: list[wire.LedgerLine] = []
        while len(rows) < limit:
            size = min(limit - len(rows), LEDGER_PAGE)
            page = await self._client.call(wire.ListLedger, list[wire.LedgerLine], after=after, limit=size)
            if not page:
                break
            rows += page
            after = page[-1].seq
        return rows

    async def revealed(self, seq: int) -> list[wire.LedgerLine]:
        return await self._client.call(wire.ListLedger, list[wire.LedgerLine], after=seq - 1, limit=1, reveal=True)

    async def proof(self, old_size: int) -> wire.HeadProof:
        return await self._client.call(wire.ProveHead, wire.HeadProof, size=old_size)


class StoreSource:
    """Reads the store of a bastion whose daemon does not run."""

    def __init__(self, reader: Reader, note: Note | None = None) -> None:
        """`note` writes an entry that says what was looked at; without it nothing can be revealed."""
        self._reader = reader
        self._archive = Archive(reader)
        self._renderer: Renderer | None = None
        self._mine = reader.directory.stat().st_uid == os.geteuid()
        """Files of root's among the daemon's would be in its way, and a trap for root."""
        self._note = note
        self._noted: set[tuple[str, str]] = set()

    async def requests(self, state: str, limit: int) -> list[wire.RequestInfo]:
        rows = await self._archive.requests(limit)
        return [row for row in rows if not state or row.state == state]

    async def request(self, wanted: str, *, reveal: bool = False) -> wire.RequestInfo:
        info = await self._archive.request(wanted)
        if reveal:
            self._reveal("request", info.session, info.id)
        return info

    async def sessions(self, limit: int) -> list[wire.SessionInfo]:
        return await self._archive.sessions(limit)

    async def session(self, wanted: str) -> wire.SessionInfo:
        return await self._archive.session(wanted)

    async def frames(self, session: str, after: int, *, reveal: bool = False) -> list[wire.FrameInfo]:
        if reveal:
            self._reveal("recording", session, "")
        return await self._archive.frames(session, after, reveal=reveal)

    def _reveal(self, what: str, session: str, request: str) -> None:
        if self._note is None:
            raise NotAllowed("nothing can be revealed here", "the ledger could not note it")
        if (what, session or request) not in self._noted:
            self._noted.add((what, session or request))
            self._note({"what": what, "revealed": True}, session, request)

    async def timeline(self, session: str) -> wire.TimelineInfo:
        found = await self._archive.timeline(session)
        if found.rendered < found.chunks and not found.stopped and self._mine:
            if self._renderer is None:
                self._renderer = Renderer(self._reader.directory, start_seconds=0)
            self._renderer.render(session)
        return found

    async def moment(self, session: str, at: int, frame: int = -1, *, reveal: bool = False) -> wire.MomentInfo:
        if reveal:
            self._reveal("recording", session, "")
        return await self._archive.moment(session, at, frame, reveal=reveal)

    async def close(self) -> None:
        """End what was started for it."""
        if self._renderer is not None:
            await self._renderer.close()

    async def search(self, question: wire.SearchSessions) -> wire.SearchResult:
        return await self._archive.search(question)

    async def stats(self, question: wire.ShowStats) -> wire.StatsInfo:
        return await self._archive.stats(question)

    async def identities(self) -> list[wire.IdentityInfo]:
        return [identity_info(each) for each in load_directory(self._reader).identities.values()]

    async def targets(self) -> list[wire.TargetInfo]:
        return [target_info(each) for each in load_directory(self._reader).targets.values()]

    async def whitelist(self) -> list[wire.WhitelistInfo]:
        from bastion.policy.whitelist import in_force

        directory = load_directory(self._reader)
        rows = [(each, in_force(directory, each, _now())) for each in directory.whitelist.values()]
        return [whitelist_info(each, in_force=good) for each, good in rows if good]

    async def grants(self) -> list[wire.GrantInfo]:
        grants = load_directory(self._reader).access.grants.values()
        return [grant_info(each, in_force=_now() < each.expires) for each in grants]

    async def freezes(self) -> list[wire.FreezeInfo]:
        return [freeze_info(each) for each in load_directory(self._reader).access.freezes.values()]

    async def access(self) -> list[wire.AccessInfo]:
        from bastion.control.standing import listed

        return listed(load_directory(self._reader), _now())

    async def unused(self, seconds: int) -> list[wire.UnusedInfo]:
        return await self._archive.reviewed(load_directory(self._reader), _now() - seconds * 1_000_000)

    async def groups(self) -> list[wire.GroupInfo]:
        return [group_info(*each) for each in sorted(load_directory(self._reader).access.groups.items())]

    async def entries(self, after: int, limit: int) -> list[wire.LedgerLine]:
        return await self._archive.lines(after, limit)

    async def revealed(self, seq: int) -> list[wire.LedgerLine]:
        if self._note is None:
            raise NotAllowed("nothing can be revealed here", "the ledger could not note it")
        self._note({"what": "entry", "entry": seq, "revealed": True}, "", "")
        return await self._archive.lines(seq - 1, 1)

    async def proof(self, old_size: int) -> wire.HeadProof:
        return await self._archive.proof(old_size)


def _now() -> int:
    return time.time_ns() // 1000


async def one_target(source: Source, name: str) -> wire.TargetInfo:
    """That target. Raises NotFound."""
    for each in await source.targets():
        if each.name == name:
            return each
    raise NotFound(f"no target {name!r}", "`bastion target list` names them")
