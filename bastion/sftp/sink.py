"""What `scp -O` sends to a target: received here in its protocol (rcp.py), and asked for as changes of files.

Theory of operation. It is scp's far end (`scp -t`), with a bastion's files (`files.py`) in the place of a disk: each
file goes to staging, each new directory and mode into the batch. Nothing is on the target before the client has ended
its stream, the whole was held, and a person or policy said yes; the client has the answer as exit status. A client that
does not look at that (`clients.py`) waits behind each file instead.

A failure of one file is a status in the protocol, and the next one follows; what breaks the protocol is fatal, and then
nothing of it all is done: a client that cannot be followed is not one that is half followed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import asyncssh
from asyncssh.sftp import SFTPAttrs
from asyncssh.stream import SSHWriter

from bastion.policy.copies import Scp
from bastion.sftp import names, rcp
from bastion.sftp.changes import There
from bastion.sftp.far import kind_of
from bastion.sftp.files import Files
from bastion.sftp.stream import Lost, Stream

NEW = asyncssh.FXF_WRITE | asyncssh.FXF_CREAT | asyncssh.FXF_TRUNC
"""How scp opens what it writes: new, or emptied."""

FAILED = 1
"""scp's exit status for anything that went wrong."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where things come to."""

    path: bytes
    is_directory: bool
    """Then they come into it under their names; else the next one is this path."""
    behind: SFTPAttrs | None = None
    """What is set when all is in it."""

    def of(self, name: bytes) -> bytes:
        """Where something of that name comes to."""
        return names.join(self.path, name) if self.is_directory else self.path


class Sink:
    """One client. `limit` bytes are taken of a file at most."""

    def __init__(self, files: Files, call: Scp, stream: Stream, writer: SSHWriter[bytes], limit: int) -> None:
        self._files, self._call, self._stream, self._writer, self._limit = files, call, stream, writer, limit
        self._open: Any = None
        self._times: rcp.Times | None = None
        self.trouble = ""
        self.status = 0

    async def run(self) -> None:
        """See Worker."""
        try:
            await self._serve()
        except Lost as error:
            self.trouble = str(error)
        except rcp.Malformed as error:
            self.trouble = f"the client sent {error}"
        if self.trouble:
            self._tell(rcp.Failure(rcp.sentence(f"scp: {self.trouble}"), fatal=True))

    async def stop(self) -> None:
        """See Worker."""
        if self._open is not None:
            await self._files.drop(self._open)
            self._open = None

    async def _serve(self) -> None:
        path = self._call.paths[0]
        try:
            is_directory = await self._found(path) is There.DIRECTORY
        except asyncssh.SFTPError as error:
            raise Lost(f"{names.shown(path)}: {error.reason}") from None
        if self._call.directory and not is_directory:
            raise Lost(f"{names.shown(path)} is no directory")
        self._fine()
        places = [Place(path, is_directory)]
        while (line := await self._stream.line(rcp.LINE_LIMIT)) is not None:
            match rcp.parse(line):
                case rcp.Times() as times:
                    self._times = times
                    self._fine()
                case rcp.Copy() as copy:
                    await self._answer(copy.name, self._receive(places[-1].of(copy.name), copy))
                case rcp.Enter() as enter:
                    into = await self._answer(enter.name, self._enter(places[-1].of(enter.name), enter))
                    places += [into] if into is not None else []
                case rcp.Leave():
                    if len(places) == 1:
                        raise Lost("the client ends a directory that it never began")
                    await self._answer(places[-1].path, self._left(places.pop()))
                case rcp.Failure(fatal=True):
                    raise Lost("the client says that it failed")
                case rcp.Failure():
                    self.status = FAILED
        if len(places) > 1:
            raise Lost("the client ended inside a directory")

    async def _found(self, path: bytes) -> There:
        """What is there, or will be, links followed."""
        try:
            return kind_of(await self._files.stat(path))
        except asyncssh.SFTPNoSuchFile:
            return There.NOTHING

    # --- one thing ------------------------------------------------------------------------------------------------

    async def _answer(self, name: bytes, work: Any) -> Place | None:
        """Do it, and tell the client how that went."""
        try:
            done: Place | None = await work
        except asyncssh.SFTPConnectionLost:
            raise
        except asyncssh.SFTPError as error:
            self.status = FAILED
            self._tell(rcp.Failure(rcp.sentence(f"scp: {names.shown(name)}: {error.reason}")))
            return None
        finally:
            self._times = None
        self._fine()
        return done

    async def _receive(self, path: bytes, copy: rcp.Copy) -> None:
        """A file. Its content is taken to its end whatever comes of it, since the next line stands behind it."""
        if copy.size > self._limit:
            raise asyncssh.SFTPFailure(f"bastion: a file has at most {self._limit} bytes here")
        self._open = opened = await self._files.open(path, NEW, SFTPAttrs(permissions=copy.mode))
        try:
            self._fine()
            await self._content(opened, copy.size)
            if (why := await self._stream.status(rcp.LINE_LIMIT)) is not None:
                raise asyncssh.SFTPFailure(f"the client could not read it: {names.shown(why)}")
            if wanted := self._wanted(copy.mode):
                await self._files.fsetstat(opened, wanted)
        except BaseException:
            await self.stop()
            raise
        self._open = None
        await self._files.close(opened)

    async def _content(self, opened: Any, size: int) -> None:
        at, trouble = 0, None
        while at < size:
            data = await self._stream.some(size - at)
            if not data:
                raise Lost("the client ended in the middle of a file")
            if trouble is None:
                try:
                    await self._files.write(opened, at, data)
                except asyncssh.SFTPError as error:
                    trouble = error
            at += len(data)
        if trouble is not None:
            if (why := await self._stream.status(rcp.LINE_LIMIT)) is not None:
                raise asyncssh.SFTPFailure(f"the client could not read it: {names.shown(why)}")
            raise trouble

    async def _enter(self, path: bytes, enter: rcp.Enter) -> Place:
        """A directory, which is made where there is none."""
        if not self._call.recursive:
            raise Lost("the client sends a directory, and did not say -r")
        behind = self._wanted(enter.mode)
        there = await self._found(path)
        if there is There.NOTHING:
            await self._files.mkdir(path, SFTPAttrs(permissions=enter.mode))
        elif there is not There.DIRECTORY:
            raise asyncssh.SFTPFailure("something of that name exists, and is no directory")
        return Place(path, is_directory=True, behind=behind)

    async def _left(self, place: Place) -> None:
        if place.behind is not None:
            await self._files.setstat(place.path, place.behind)

    def _wanted(self, mode: int) -> SFTPAttrs | None:
        """With -p: the mode, and the times where they came."""
        if not self._call.preserves:
            return None
        wanted = SFTPAttrs(permissions=mode)
        if self._times is not None:
            wanted.atime, wanted.mtime = self._times.accessed, self._times.modified
        return wanted

    # --- to the client --------------------------------------------------------------------------------------------

    def _fine(self) -> None:
        self._writer.write(rcp.FINE)

    def _tell(self, failure: rcp.Failure) -> None:
        self._writer.write(rcp.encode(failure))
