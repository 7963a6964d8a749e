"""Files that an agent writes: seeded with what is there where it is kept, staged, and at `close` made a change.

Raises asyncssh.SFTPError with the reason wherever something is not written.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace

import asyncssh
from asyncssh.sftp import SFTPAttrs

from bastion.errors import BastionError, Conflict
from bastion.model import Verdict
from bastion.sftp import names
from bastion.sftp.asking import Asking
from bastion.sftp.changes import NOTHING, Attributes, Found, Item, Kind, There
from bastion.sftp.difference import SIDE_LIMIT, Difference, compare
from bastion.sftp.far import Far, Moved, kind_of
from bastion.sftp.handles import Writing
from bastion.sftp.paths import writable
from bastion.sftp.rating import SPECIAL
from bastion.sftp.settling import Settling
from bastion.sftp.staging import Area, Staged

SMALL = 1 << 20
"""Bytes that are hashed at once, which takes a millisecond."""

UMASK = 0o022
"""Taken off the mode of what is new, unless the client sets it afterwards: what login.defs(5) has. The target's own is
not known."""


class Writes:
    """Of one channel."""

    def __init__(self, far: Far, asking: Asking, settling: Settling, area: Area) -> None:
        self._far, self._asking, self._settling, self._area = far, asking, settling, area

    # --- opening ----------------------------------------------------------------------------------------------------

    async def open(self, path: bytes, asked: bytes, pflags: int, attrs: SFTPAttrs) -> Writing:
        """Open a resolved path; nothing of it is on the target before it is closed and decided."""
        there = await self._room(path, asked)
        if there.there is There.NOTHING and not pflags & asyncssh.FXF_CREAT:
            raise asyncssh.SFTPNoSuchFile("no such file")
        if there.there is There.FILE and pflags & asyncssh.FXF_EXCL:
            raise asyncssh.SFTPFailure("the file exists")
        wanted = Item(Kind.WRITE, path, asked, there)
        self._settling.permit([wanted])
        keeps = there.there is There.FILE and not pflags & asyncssh.FXF_TRUNC
        readable = bool(pflags & asyncssh.FXF_READ)
        if keeps and readable:
            reads = await self._settling.leave([replace(wanted, kind=Kind.READ)])
            await self._asking.finished(reads, status=0)
        staged = self._stage()
        try:
            if keeps:
                await self._far.fetch(path, staged, self._area.staging.file_limit)
        except (BastionError, Moved) as error:
            staged.drop()
            raise asyncssh.SFTPFailure(f"bastion: {error}") from None
        except BaseException:
            staged.drop()
            raise
        mode = None
        if there.there is There.NOTHING:
            mode = (0o666 if attrs.permissions is None else attrs.permissions) & 0o777 & ~UMASK
        return Writing(path, asked, there, staged, bool(pflags & asyncssh.FXF_APPEND), readable, Attributes(mode))

    async def _room(self, path: bytes, asked: bytes) -> Found:
        """What is where a file is to be written, if one can be."""
        writable(path)
        self._settling.look(path, asked)
        directory, name = names.split(path)
        if not name or len(name) > names.NAME_LIMIT:
            raise asyncssh.SFTPFailure("that is a directory")
        if self._settling.batch.makes(directory):
            return NOTHING
        parent = await self._far.attributes(directory)
        if parent is None or kind_of(parent) is not There.DIRECTORY:
            raise asyncssh.SFTPNoSuchFile("no such directory")
        there = await self._far.found(path)
        match there.there:
            case There.DIRECTORY:
                raise asyncssh.SFTPFailure("that is a directory")
            case There.SYMLINK | There.OTHER:
                raise asyncssh.SFTPPermissionDenied("bastion: neither a file nor a place for one, so it is not written")
        return there

    def _stage(self) -> Staged:
        try:
            return self._area.new()
        except (BastionError, OSError) as error:
            raise asyncssh.SFTPFailure(f"bastion: {error}") from None

    # --- while it is open -------------------------------------------------------------------------------------------

    def write(self, writing: Writing, offset: int, data: bytes) -> None:
        """To staging."""
        try:
            writing.staged.write(writing.staged.size if writing.append else offset, data)
        except (BastionError, OSError) as error:
            self._broken(writing, error)

    def set(self, writing: Writing, wanted: Attributes, size: int | None) -> None:
        """Size at once, in staging; the rest when it is applied."""
        if size is not None:
            try:
                writing.staged.truncate(size)
            except (BastionError, OSError) as error:
                self._broken(writing, error)
        writing.set = writing.set.then(wanted)

    def _broken(self, writing: Writing, error: Exception) -> None:
        if not writing.broken:
            writing.broken = str(error)
            self._settling.failed(f"not written: {error}")
        raise asyncssh.SFTPFailure(f"bastion: {error}") from None

    # --- the end ----------------------------------------------------------------------------------------------------

    async def close(self, writing: Writing) -> None:
        """Make it a change, unless nothing changes."""
        try:
            await self._close(writing)
        except (BastionError, OSError, Moved) as error:
            raise asyncssh.SFTPFailure(f"bastion: {error}") from None
        finally:
            if not self._settling.batch.holds(writing.staged):
                writing.staged.drop()

    async def _close(self, writing: Writing) -> None:
        if writing.broken:
            raise Conflict(writing.broken)
        if self._settling.batch.at(writing.path) is not None:  # opened twice: one after the other, never side by side
            await self._settling.flush()
        staged, found, before = writing.staged, writing.found, None
        sha256 = staged.seal() if staged.size <= SMALL else await asyncio.to_thread(staged.seal)
        if found.there is There.FILE:
            found, before = await self.before(writing.path)
        if found.sha256 == sha256 and not writing.set and self.reads_unasked(writing.path, writing.asked, found):
            self._settling.note(f"put {names.shown(writing.path)}, which had this content already")
            return
        if found.mode & SPECIAL and writing.set.mode is None:  # as the kernel does when such a file is written
            writing.set = replace(writing.set, mode=found.mode & ~SPECIAL)
        item = Item(
            Kind.WRITE,
            writing.path,
            writing.asked,
            found,
            size=staged.size,
            sha256=sha256,
            set=writing.set,
            difference=await difference(before, staged.read(0, SIDE_LIMIT + 1)),
        )
        await self._settling.change(item, staged)

    def reads_unasked(self, path: bytes, asked: bytes, found: Found) -> bool:
        """Whether the agent may know that it wrote what is there. Else each guess would be answered, byte by byte
        where the rest is kept, and a file that is not to be read could be."""
        read = Item(Kind.READ, path, asked, found)
        return self._asking.judged([read])[0] is Verdict.ALLOW

    async def before(self, path: bytes) -> tuple[Found, bytes]:
        """What is there with its hash, and its beginning for people. Raises Moved, Conflict."""
        found = await self._far.found(path)
        if found.there is not There.FILE:
            raise Moved("the file is no file any more")
        digest, begin, size = await self._far.digest(path, self._area.staging.file_limit, SIDE_LIMIT + 1)
        return replace(found, size=size, sha256=digest), begin


async def difference(before: bytes | None, after: bytes | None) -> Difference:
    """In a thread where it could take long."""
    if before is None or after is None or len(before) + len(after) < 1024:
        return compare(before, after)
    return await asyncio.to_thread(compare, before, after)
