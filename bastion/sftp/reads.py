"""Files that an agent reads: asked about when they are opened, alone or with the others of their directory.

Raises asyncssh.SFTPError with the reason wherever something is not read.
"""

from __future__ import annotations

import contextlib

import asyncssh
from asyncssh.sftp import SFTPAttrs

from bastion.model import Request, Verdict
from bastion.sftp import names
from bastion.sftp.asking import Asking, Refusal
from bastion.sftp.changes import Item, Kind, There
from bastion.sftp.clients import Client
from bastion.sftp.far import Far, kind_of
from bastion.sftp.handles import Reading
from bastion.sftp.settling import Settling
from bastion.sftp.together import Leave, Together


class Reads:
    """Of one channel."""

    def __init__(self, far: Far, asking: Asking, settling: Settling) -> None:
        self._far, self._asking, self._settling = far, asking, settling
        self.together = Together()

    async def open(self, path: bytes, asked: bytes) -> Reading:
        """Open a resolved path, when there is leave."""
        item = Item(Kind.READ, path, asked, await self._far.found(path))
        request, together = await self._leave(item)
        try:
            handle = await self._far.raw.open(path, asyncssh.FXF_READ, SFTPAttrs())
            try:
                await self._still_there(path)
            except BaseException:
                await self._far.raw.close(handle)
                raise
        except asyncssh.SFTPError as error:
            if together is None:
                await self._asking.finished(request, status=1, note=f"it was not opened: {error.reason}")
            raise
        return Reading(item, request, handle, together)

    async def _leave(self, item: Item) -> tuple[Request, Leave | None]:
        """The request that lets it be read, and with which others."""
        match item.found.there:
            case There.NOTHING:
                self._settling.look(item.path, item.asked)
                raise asyncssh.SFTPNoSuchFile("no such file")
            case There.FILE:
                together = self._given(item) or await self._ask_together(item)
                if together is None:
                    return await self._settling.leave([item]), None
                if together.request is None:
                    raise asyncssh.SFTPPermissionDenied(f"bastion: {together.reason}")
                return together.request, together
            case There.DIRECTORY:
                raise asyncssh.SFTPFailure("that is a directory")
            case _:
                raise asyncssh.SFTPPermissionDenied("bastion: neither a file nor a directory, so it is not opened")

    def _given(self, item: Item) -> Leave | None:
        """What was decided about it with others, if it may be read by that still."""
        leave = self.together.leave_for(item.path)
        if leave is None or leave.request is None:
            return leave
        verdict, reason = self._asking.judged([item])
        if verdict is Verdict.DENY:
            raise asyncssh.SFTPPermissionDenied(f"bastion: {reason}")
        return None if verdict is Verdict.HOLD and leave.verdict is Verdict.ALLOW else leave

    async def _ask_together(self, item: Item) -> Leave | None:
        """About all that its directory's listing has, where policy says the same of all as of this one.

        None: about this one only."""
        if self._settling.client is not Client.COLLECTED or item.asked != item.path:
            return None
        files = self.together.list_for(item.path)
        verdict = self._asking.judged([item])[0] if len(files) > 1 else Verdict.DENY
        if verdict is Verdict.DENY or self._asking.judged(files)[0] is not verdict:
            return None
        answer = await self._asking.ask(files)
        paths = {each.path for each in files} - {item.path}
        if isinstance(answer, Refusal):
            self._settling.refused(answer)
            leave = Leave(None, answer.reason, paths)
        else:
            leave = Leave(answer.request, "", paths, verdict)
        self.together.add(leave)
        return leave

    async def _still_there(self, path: bytes) -> None:
        """The file that was opened is the one that was asked about, as far as a path can tell."""
        attrs = await self._far.attributes(path)
        if await self._far.real(path) != path or attrs is None or kind_of(attrs) is not There.FILE:
            raise asyncssh.SFTPFailure("the path has changed meanwhile")

    async def read(self, reading: Reading, offset: int, size: int) -> bytes:
        """Some of it; empty at the end."""
        data = await self._far.read(reading.handle, offset, size)
        reading.add(offset, data)
        return data

    async def close(self, reading: Reading) -> None:
        """It was read, as far as it was. Raises StoreError."""
        with contextlib.suppress(asyncssh.Error):
            await self._far.raw.close(reading.handle)
        words = f"sha256 {reading.sha256}" if reading.whole else "not read in order"
        self._settling.note(f"get {names.shown(reading.item.path)} {reading.given} bytes {words}")
        if reading.together is not None:
            reading.together.add(reading.item.path, reading.given, reading.sha256)
            return
        note = "" if reading.whole else "not read in order"
        given = reading.given, reading.sha256
        await self._asking.finished(reading.request, status=0, note=note, given=given)

    async def over(self) -> None:
        """The channel ends: nothing more is read together. Raises StoreError."""
        for leave in self.together.granted:
            if leave.request is not None:
                await self._asking.finished(leave.request, status=0, given=(leave.given, leave.sha256))
