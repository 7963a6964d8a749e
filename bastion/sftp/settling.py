"""From a change to its end: collected or held, decided, applied, on record; and what the client was refused.

Theory of operation. One of these a channel. `change` takes an Item; when it is held depends on the client
(`clients.py`): at once, or with all others at the end (`flush`). What was approved is described anew and compared with
what the ledger holds before the applier gets it, and the applier finds staged bytes by their approved hash only.

Raises asyncssh.SFTPError with the reason wherever something is not done.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence

import asyncssh
from asyncssh.constants import FXP_REALPATH

from bastion.gate import notices
from bastion.model import Request
from bastion.sftp import names
from bastion.sftp.applying import Applier, beside
from bastion.sftp.asking import Asking, Refusal
from bastion.sftp.batch import TOGETHER, Batch, requests
from bastion.sftp.changes import Item, Kind, bundle_hash, describe
from bastion.sftp.clients import LIMITS, NO_CHANGES, REALPATH, Client, recognise
from bastion.sftp.far import Far
from bastion.sftp.leftovers import Place
from bastion.sftp.staging import Staged


class Settling:
    """See the file's header. `place` notes what an approved request may leave on the target; `client` is which one it
    is, where that is known beforehand; `version` is its SSH version; `stored` gives a request's bytes as the ledger
    holds them, `stopped` says why nothing more shall be made, `note` takes lines of the session's list."""

    def __init__(
        self,
        far: Far,
        asking: Asking,
        place: Place,
        *,
        client: Client | None,
        version: str,
        limit: int,
        stored: Callable[[str, str], bytes],
        stopped: Callable[[], str],
        note: Callable[[str], None],
    ) -> None:
        self._far, self._asking, self._place, self._version, self._limit = far, asking, place, version, limit
        self._known = client
        self._stored, self._stopped, self.note = stored, stopped, note
        self._asked: list[str] = []
        self.batch = Batch()
        self.refusals: list[Refusal] = []
        """What was refused or failed; the last of them gives the exit status."""
        self._told = False
        self.applying = False
        """Approved changes are being made: an agent that leaves does not stop them half way."""

    # --- the client -------------------------------------------------------------------------------------------------

    def asked(self, kind: int | bytes) -> None:
        """What the client asks for; the first two tell which it is."""
        if len(self._asked) < 2:
            name = kind.decode("ascii", "replace") if isinstance(kind, bytes) else ""
            self._asked.append(REALPATH if kind == FXP_REALPATH else name if name == LIMITS else "other")

    @property
    def client(self) -> Client:
        """As far as it is known by now."""
        return self._known or recognise(self._version, tuple(self._asked))

    def takes_changes(self) -> None:
        """Raises for a client that only reads."""
        if self.client is Client.READING:
            if not self._told:
                self._told = True
                self._asking.say(notices.refused(NO_CHANGES))
            raise asyncssh.SFTPPermissionDenied(f"bastion: {NO_CHANGES}")

    # --- judging ----------------------------------------------------------------------------------------------------

    def look(self, path: bytes, asked: bytes) -> None:
        """Names and what they are: covered by the channel's first request, unless policy forbids the path."""
        self.permit([Item(Kind.LOOK, path, asked)])

    def permit(self, items: Sequence[Item]) -> None:
        """Raises what policy would refuse anyhow, before anything is sent or waited for."""
        if reason := self._asking.forbidden(items):
            raise asyncssh.SFTPPermissionDenied(f"bastion: {reason}")

    async def leave(self, items: Sequence[Item]) -> Request:
        """The started request that lets these be done."""
        answer = await self._asking.ask(items)
        if isinstance(answer, Refusal):
            self.refused(answer)
            raise asyncssh.SFTPPermissionDenied(f"bastion: {answer.reason}")
        return answer.request

    def refused(self, refusal: Refusal) -> None:
        """It counts for the exit status."""
        self.refusals.append(refusal)

    def failed(self, reason: str) -> None:
        """The bastion, or the target, could not do its part."""
        self.refused(Refusal(reason, notices.EXIT_BASTION))

    # --- changing ---------------------------------------------------------------------------------------------------

    async def change(self, item: Item, staged: Staged | None = None, *, spelled: bytes = b"") -> None:
        """Hold it with the others, or now. `spelled` is a new directory's path as the client wrote it."""
        self.takes_changes()
        self.permit([item])
        if self.client is not Client.COLLECTED or item.kind not in TOGETHER:
            await self.flush()
            await self._settle([item], {item.sha256: staged} if staged is not None else {})
            return
        self.batch.add(item, staged, spelled=spelled)
        if self.batch.full:
            await self.flush()

    async def flush(self) -> None:
        """Hold what was collected, now."""
        if not self.batch:
            return
        batch, self.batch = self.batch, Batch()
        try:
            await self._settle(batch.items, batch.contents)
        finally:
            batch.drop()

    async def settle(self, items: Sequence[Item], contents: Mapping[str, Staged]) -> None:
        """Hold these, now: together, as far as a request can hold them. Nothing is asked before policy was seen to
        forbid none of it."""
        self.takes_changes()
        parts = list(requests(items))
        for part in parts:
            self.permit(part)
            await asyncio.sleep(0)  # 2,000 of them take a tenth of a second
        for part in parts:
            await self._settle(part, contents)

    async def _settle(self, items: Sequence[Item], contents: Mapping[str, Staged]) -> None:
        """Ask, and apply exactly what was approved."""
        request = await self.leave(items)
        if describe(items) != self._stored(request.id, request.digest):
            await self._asking.finished(request, status=1, note="not applied: the ledger holds another description")
            raise asyncssh.SFTPFailure("bastion: the ledger holds another description")
        for item in items:
            self.note(f"{item.kind.value} {names.shown(item.path)} {item.sha256}".rstrip())
        self.applying = True
        applier = Applier(self._far, request.id, contents, self._limit, self._stopped)
        try:
            self._place.begin(request.id, beside(request.id, items))
            applied = await applier.apply(items)
        finally:
            self.applying = False
            self._place.end(request.id, applier.left)
        written = [item for item in applied.made if item.sha256]
        taken = sum(item.size for item in written), bundle_hash(written) if written else ""
        await self._asking.finished(request, status=1 if applied.trouble else 0, note=applied.note, taken=taken)
        if applied.trouble:
            self.failed(applied.note)
            raise asyncssh.SFTPFailure(f"bastion: {applied.note}")
