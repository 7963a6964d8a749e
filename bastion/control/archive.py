"""What the ledger tells of requests and sessions that are over, for lists and replays.

It reads in threads, so that a long look back does not stop the daemon's loop. Everything comes out of the store; what
is still in memory is the broker's and the session registry's.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable, Collection
from itertools import islice
from pathlib import Path
from typing import TypeVar

import msgspec

from bastion import history
from bastion.control import standing
from bastion.control.moments import Moments
from bastion.control.wire import (
    FrameInfo,
    HeadProof,
    LedgerLine,
    MomentInfo,
    RequestInfo,
    RotationProof,
    SearchResult,
    SearchSessions,
    SessionInfo,
    ShowStats,
    StatsInfo,
    TimelineInfo,
    UnusedInfo,
)
from bastion.directory import Directory
from bastion.errors import NotFound, StoreError, UsageError
from bastion.model import digest_of
from bastion.names import pick
from recorder.entry import Entry
from recorder.errors import RecorderError
from recorder.prover import Prover
from recorder.reader import Missing, Reader

T = TypeVar("T")

LOOK_BACK = 5000
"""Newest requests or sessions in which a shortened id is looked for."""

ROOT = str(Path(__file__).resolve().parents[2])
"""Where this program's packages are: a process of ours is run by path, wherever it was installed."""

SEARCH_SECONDS = 20.0
"""For one search; then it says how far it came. A client waits 60 s for an answer."""

SEARCH_GRACE = 15.0
"""Beyond that, for the chunk that it is at and the lines of its session; then its process is killed."""

SEARCH_TEXT = 1000
"""Characters that are searched for: longer than any line that is shown."""


class Archive:
    """The store of one daemon, or of a command line without one."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self.prover = Prover(reader)
        self.moments = Moments(reader)

    async def requests(self, limit: int, *, without: Collection[str] = ()) -> list[RequestInfo]:
        """The newest `limit` requests, oldest first."""
        return await self._read(lambda: self.requests_now(limit, without=without))

    async def request(self, wanted: str) -> RequestInfo:
        """One request; the id may be shortened while unique. Raises NotFound."""
        return await self._read(lambda: self.request_now(wanted))

    async def sessions(self, limit: int, *, without: Collection[str] = ()) -> list[SessionInfo]:
        """The newest `limit` sessions, oldest first."""
        return await self._read(lambda: self.sessions_now(limit, without=without))

    async def session(self, wanted: str) -> SessionInfo:
        """One session; the id may be shortened while unique. Raises NotFound."""
        return await self._read(lambda: self.session_now(wanted))

    async def frames(self, session: str, after: int, *, reveal: bool = False) -> list[FrameInfo]:
        """Frames of a recording from number `after`, about PAGE_BYTES of them; empty at the end. Secrets in them are
        overwritten unless `reveal`."""
        return await self._read(lambda: self.frames_now(session, after, reveal=reveal))

    async def timeline(self, session: str) -> TimelineInfo:
        """What is known of a recording. Raises StoreError."""
        return await self._read(lambda: self.moments.timeline(session))

    async def moment(self, session: str, at: int, frame: int, *, reveal: bool = False) -> MomentInfo:
        """What leads to a moment of it; secrets are overwritten unless `reveal`. Raises StoreError."""
        return await self._read(lambda: self.moments.moment(session, at, frame, reveal=reveal))

    async def lines(self, after: int, limit: int) -> list[LedgerLine]:
        """Entries with seq > after."""
        return await self._read(lambda: self.lines_now(after, limit))

    async def proof(self, old_size: int) -> HeadProof:
        """That the newest head extends the one of `old_size` entries."""
        return await self._read(lambda: self.proof_now(old_size))

    async def reviewed(self, directory: Directory, since: int) -> list[UnusedInfo]:
        """Grants and whitelist entries not used since. Raises StoreError."""
        return await self._read(lambda: standing.reviewed(directory, self._reader, since))

    async def search(self, question: SearchSessions) -> SearchResult:
        """Search commands and screens: see control/searching.py. Raises UsageError, StoreError."""
        if not question.text.strip() or len(question.text) > SEARCH_TEXT or "\n" in question.text:
            raise UsageError(f"what is searched for is part of one line, 1 to {SEARCH_TEXT} characters")
        answer = await self._beside("bastion.control.searching", "search", msgspec.json.encode(question))
        return msgspec.json.decode(answer, type=SearchResult)

    async def stats(self, question: ShowStats) -> StatsInfo:
        """Figures about deciding: see control/counting.py. Raises StoreError."""
        answer = await self._beside("bastion.control.counting", "count", msgspec.json.encode(question))
        return msgspec.json.decode(answer, type=StatsInfo)

    async def _beside(self, module: str, what: str, question: bytes) -> bytes:
        """What a process of its own says. Raises StoreError."""
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-P", "-m", module, str(self._reader.directory.absolute()),
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE, cwd="/",
            env={"PYTHONPATH": ROOT, "PATH": os.environ.get("PATH", ""), "LC_ALL": "C.UTF-8"},
        )  # fmt: skip
        try:
            async with asyncio.timeout(SEARCH_SECONDS + SEARCH_GRACE):
                answer, said = await process.communicate(question + b"\n")
        except TimeoutError:
            raise StoreError(f"the {what} took too long and was ended", "narrow it: --since, --identity") from None
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        if process.returncode != 0:
            last = said.decode("utf-8", "replace").strip().rpartition("\n")[2][:200]
            raise StoreError(f"the {what} failed: {last or f'status {process.returncode}'}")
        return answer

    async def _read(self, work: Callable[[], T]) -> T:
        return await asyncio.to_thread(work)

    # --- the same, in the calling thread ------------------------------------------------------------------------------

    def requests_now(self, limit: int, *, without: Collection[str] = ()) -> list[RequestInfo]:
        """See `requests`. Raises StoreError."""
        ids = [name for name in self._newest("request.proposed", limit + len(without)) if name not in without]
        return [info for name in ids[-limit:] if (info := self._fold_request(name)) is not None]

    def request_now(self, wanted: str) -> RequestInfo:
        """See `request`. Raises NotFound or StoreError."""
        info = self._fold_request(wanted)
        if info is None:
            info = self._fold_request(pick(wanted, self._newest("request.proposed", LOOK_BACK), "request"))
        if info is None:
            raise NotFound(f"no request {wanted!r}")
        return info

    def sessions_now(self, limit: int, *, without: Collection[str] = ()) -> list[SessionInfo]:
        """See `sessions`. Raises StoreError."""
        ids = [name for name in self._newest("session.opened", limit + len(without)) if name not in without]
        return [info for name in ids[-limit:] if (info := self._fold_session(name)) is not None]

    def session_now(self, wanted: str) -> SessionInfo:
        """See `session`. Raises NotFound or StoreError."""
        info = self._fold_session(wanted)
        if info is None:
            info = self._fold_session(pick(wanted, self._newest("session.opened", LOOK_BACK), "session"))
        if info is None:
            raise NotFound(f"no session {wanted!r}")
        return info

    def frames_now(self, session: str, after: int, *, reveal: bool = False) -> list[FrameInfo]:
        """See `frames`. Raises StoreError."""
        return self.moments.frames(session, after, reveal=reveal)

    def lines_now(self, after: int, limit: int) -> list[LedgerLine]:
        """See `lines`. Raises StoreError."""
        try:
            entries = list(self._reader.entries(after=after, limit=limit))
        except RecorderError as error:
            raise StoreError(error.message, error.hint) from None
        return [LedgerLine(seq=entry.seq, leaf=entry.leaf, entry=entry.bytes) for entry in entries]

    def proof_now(self, old_size: int) -> HeadProof:
        """See `proof`. Raises StoreError."""
        try:
            found = self.prover.head(old_size)
        except RecorderError as error:
            raise StoreError(error.message, error.hint) from None
        return HeadProof(
            checkpoint=found.checkpoint,
            genesis=found.genesis,
            genesis_inclusion=found.genesis_inclusion,
            rotations=[
                RotationProof(
                    entry=each.entry, checkpoint=each.checkpoint, inclusion=each.inclusion, consistency=each.consistency
                )
                for each in found.rotations
            ],
            consistency=found.consistency,
        )

    def started_now(self, request: str) -> Entry | None:
        """The newest entry that says that the command starts. Raises StoreError."""
        try:
            found = list(self._reader.entries(types=("command.started",), request=request))
        except RecorderError as error:
            raise StoreError(error.message, error.hint) from None
        return found[-1] if found else None

    def newest_now(self, session: str, kind: str) -> Entry | None:
        """The newest entry of that type of a session. Raises StoreError."""
        try:
            found = list(self._reader.entries(types=(kind,), session=session))
        except RecorderError as error:
            raise StoreError(error.message, error.hint) from None
        return found[-1] if found else None

    def knows_request(self, name: str) -> bool:
        """Has the ledger anything of a request of that id? Raises StoreError."""
        try:
            return self._reader.knows_request(name)
        except RecorderError as error:
            raise StoreError(error.message, error.hint) from None

    def stored(self, request: str, digest: str) -> bytes:
        """The bytes of the command as the ledger holds them, checked against the digest that was approved.

        Raises StoreError when the store holds anything else.
        """
        try:
            packed = self._reader.first_payload("request.proposed", request, "content")
            info = history.unpack(packed) if packed is not None else None
        except (RecorderError, msgspec.MsgspecError) as error:
            raise StoreError(f"the store does not hold what was approved as {request}: {error}") from None
        if info is None or info.digest != digest or digest_of(info) != digest:
            raise StoreError(f"the store does not hold what was approved as {request}")
        return info.command

    def _fold_request(self, name: str) -> RequestInfo | None:
        try:
            entries = list(self._reader.entries(request=name))
            proposal = next((entry for entry in entries if entry.type == "request.proposed"), None)
            packed = self._reader.payload(proposal, "content") if proposal is not None else None
        except Missing:
            packed = None
        except RecorderError as error:
            raise StoreError(error.message, error.hint) from None
        return history.fold_request(packed, entries)

    def _fold_session(self, name: str) -> SessionInfo | None:
        try:
            return history.fold_session(self._reader.entries(session=name)) if name else None
        except RecorderError as error:
            raise StoreError(error.message, error.hint) from None

    def _newest(self, kind: str, limit: int) -> list[str]:
        """Ids of the newest `limit` entries of that type, oldest first."""
        try:
            newest = list(islice(self._reader.newest(kind), limit))
        except RecorderError as error:
            raise StoreError(error.message, error.hint) from None
        return [entry.request or entry.session for entry in reversed(newest)]
