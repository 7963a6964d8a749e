"""What `scp -O` gets from a target: read through a bastion's files, and sent in its protocol (rcp.py).

Theory of operation. It is scp's far end (`scp -f`): each file is asked about when it is opened, and with -r those of a
directory together where policy says the same of all of them, as for SFTP (`reads.py`). Links are followed, as scp does;
a directory that leads back into itself is not entered again. What cannot be read is a status in the protocol, and the
next one follows.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Any

import asyncssh
from asyncssh.sftp import SFTPAttrs
from asyncssh.stream import SSHWriter

from bastion.policy.copies import Scp
from bastion.sftp import names, rcp
from bastion.sftp.changes import There
from bastion.sftp.far import READ_BLOCK, READS_AHEAD, filename, kind_of
from bastion.sftp.files import Files
from bastion.sftp.sink import FAILED
from bastion.sftp.stream import Lost, Stream


class Source:
    """One client."""

    def __init__(self, files: Files, call: Scp, stream: Stream, writer: SSHWriter[bytes]) -> None:
        self._files, self._call, self._stream, self._writer = files, call, stream, writer
        self._open: Any = None
        self._reads: deque[asyncio.Task[bytes]] = deque()
        self.trouble = ""
        self.status = 0

    async def run(self) -> None:
        """See Worker."""
        try:
            if await self._stream.status(rcp.LINE_LIMIT) is not None:
                raise Lost("the client says that it failed")
            for path in self._call.paths:
                await self._tried(path, path.rstrip(b"/").rpartition(b"/")[2] or path, ())
        except Lost as error:
            self.trouble = str(error)

    async def stop(self) -> None:
        """See Worker."""
        await self._drop_reads()
        if self._open is not None:
            opened, self._open = self._open, None
            await self._files.drop(opened)

    # --- one thing ------------------------------------------------------------------------------------------------

    async def _tried(self, path: bytes, name: bytes, inside: tuple[bytes, ...]) -> None:
        """A file or a directory, or the client is told why not."""
        try:
            if (reason := rcp.wrong(name)) and self._call.recursive:
                raise asyncssh.SFTPFailure(f"{reason}, which this protocol cannot carry")
            attrs = await self._files.stat(path)
            if kind_of(attrs) is not There.DIRECTORY:
                await self._send(path, name)
            elif self._call.recursive:
                await self._directory(path, name, attrs, inside)
            else:
                raise asyncssh.SFTPFailure("not a regular file")
        except asyncssh.SFTPConnectionLost:
            raise
        except asyncssh.SFTPError as error:
            self.status = FAILED
            self._say(rcp.Failure(rcp.sentence(f"scp: {names.shown(path)}: {error.reason}")))

    async def _directory(self, path: bytes, name: bytes, attrs: SFTPAttrs, inside: tuple[bytes, ...]) -> None:
        real = await self._files.realpath(path)
        if real in inside:
            raise asyncssh.SFTPFailure("it leads back to a directory that it is in")
        found = [filename(entry) async for entry in self._files.scandir(path)]
        if not await self._times(attrs) or not await self._taken(rcp.Enter((attrs.permissions or 0) & 0o7777, name)):
            return
        for each in sorted(each for each in found if each not in (b".", b"..")):
            await self._tried(names.join(path, each), each, (*inside, real))
        await self._taken(rcp.Leave())

    async def _send(self, path: bytes, name: bytes) -> None:
        self._open = opened = await self._files.open(path, asyncssh.FXF_READ, SFTPAttrs())
        try:
            attrs = await self._files.fstat(opened)
            size = attrs.size or 0
            if not await self._times(attrs):
                return
            if await self._taken(rcp.Copy((attrs.permissions or 0) & 0o7777, size, name)):
                await self._content(path, opened, size)
        finally:
            await self.stop()

    async def _content(self, path: bytes, opened: Any, size: int) -> None:
        """As many bytes as were announced, as the target and the client allow; what is missing is zeros, and told."""
        loop, at, asked, why = asyncio.get_running_loop(), 0, 0, ""
        while at < size:
            while not why and asked < size and len(self._reads) < READS_AHEAD:
                work = self._files.read(opened, asked, min(READ_BLOCK, size - asked))
                self._reads.append(loop.create_task(work, name="scp read"))
                asked += min(READ_BLOCK, size - asked)
            wanted = min(READ_BLOCK, size - at)
            data = b""
            if not why:
                try:
                    data = await self._reads.popleft()
                except asyncssh.SFTPConnectionLost:
                    raise
                except asyncssh.SFTPError as error:
                    why = error.reason
                if len(data) < wanted:  # short of what was asked: what was asked behind it does not fit on
                    await self._drop_reads()
                    asked = at + len(data)
                    why = why or ("" if data else "it is shorter than it was")
            data = data or bytes(wanted)
            self._writer.write(data)
            at += len(data)
            await self._files.pace()
        if why:
            self.status = FAILED
            self._say(rcp.Failure(rcp.sentence(f"scp: {names.shown(path)}: {why}")))
        else:
            self._writer.write(rcp.FINE)
        await self._heard()

    async def _drop_reads(self) -> None:
        dropped, self._reads = list(self._reads), deque()
        for task in dropped:
            task.cancel()
        await asyncio.gather(*dropped, return_exceptions=True)

    # --- to the client, and its answers -----------------------------------------------------------------------------

    async def _times(self, attrs: SFTPAttrs) -> bool:
        """With -p: what the next one has."""
        if not self._call.preserves:
            return True
        return await self._taken(rcp.Times(attrs.mtime or 0, attrs.atime or 0))

    async def _taken(self, line: rcp.Line) -> bool:
        """Whether the client wants what follows."""
        self._say(line)
        return await self._heard()

    async def _heard(self) -> bool:
        if await self._stream.status(rcp.LINE_LIMIT) is None:
            return True
        self.status = FAILED
        return False

    def _say(self, line: rcp.Line) -> None:
        self._writer.write(rcp.encode(line))
