"""What an agent asks of files. The operations of SFTP, one method each.

Theory of operation. Nothing that an agent asks for changes the target from here: a change becomes an Item with what is
there now, is asked about, and is handed to `applying.py` when there is leave (`settling.py`). A path is resolved by the
target before anything is judged; the form that the client used counts as well (`paths.py`). Reading a file is asked
about when it is opened (`reads.py`), writing one when it is closed (`writes.py`). What only looks at names, sizes and
links is covered by the one request with which the channel begins, and refused where policy forbids the path.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from typing import Any

import asyncssh
from asyncssh.sftp import SFTPAttrs, SFTPName, SFTPVFSAttrs

from bastion.sftp import names
from bastion.sftp.asking import Asking
from bastion.sftp.changes import ITEMS_LIMIT, Attributes, Found, Item, Kind, There
from bastion.sftp.difference import SIDE_LIMIT
from bastion.sftp.far import Far, Moved, filename, found_of, kind_of
from bastion.sftp.handles import Reading, Writing
from bastion.sftp.paths import Paths, writable
from bastion.sftp.reads import Reads
from bastion.sftp.settling import Settling
from bastion.sftp.staging import Area
from bastion.sftp.writes import UMASK, Writes, difference

CHANGES = asyncssh.FXF_WRITE | asyncssh.FXF_APPEND | asyncssh.FXF_CREAT | asyncssh.FXF_TRUNC


class Files(asyncssh.SFTPServer):
    """One channel's files. `pace` waits until the agent has taken what it was sent."""

    def __init__(
        self, far: Far, asking: Asking, settling: Settling, area: Area, pace: Callable[[], Awaitable[None]]
    ) -> None:
        self.far, self.settling, self.area, self.pace = far, settling, area, pace
        self.paths = Paths(far, settling)
        self._reads = Reads(far, asking, settling)
        self.writes = Writes(far, asking, settling, area)
        self._unwritten: dict[bytes, str] = {}
        """The file whose writing was refused last, and why: paramiko does not look at the answer to `close`, but at the
        file behind it, and is told there."""

    def asked(self, kind: int | bytes) -> None:
        """What the client asks for, before it is looked at."""
        self.settling.asked(kind)

    # --- looking ----------------------------------------------------------------------------------------------------

    async def realpath(self, path: bytes) -> bytes:
        """SSH_FXP_REALPATH"""
        found, asked = await self.paths.target(path)
        if found != self.far.home:
            self.settling.look(found, asked)
        return found

    async def stat(self, path: bytes) -> SFTPAttrs:
        """SSH_FXP_STAT"""
        found, asked = await self.paths.target(path)
        return await self._attributes(found, asked, follow=True)

    async def lstat(self, path: bytes) -> SFTPAttrs:
        """SSH_FXP_LSTAT"""
        found, asked = await self.paths.name(path)
        return await self._attributes(found, asked, follow=False)

    async def _attributes(self, path: bytes, asked: bytes, *, follow: bool) -> SFTPAttrs:
        self.settling.look(path, asked)
        if reason := self._unwritten.pop(path, ""):
            raise asyncssh.SFTPPermissionDenied(reason)
        item = self.settling.batch.at(path)
        attrs = None
        if item is None or item.kind is Kind.SETSTAT:
            attrs = await self.far.attributes(path, follow=follow)
        if item is not None:
            attrs = _with(item, attrs)
        if attrs is None:
            raise asyncssh.SFTPNoSuchFile("no such file")
        return attrs

    async def fstat(self, file_obj: object) -> SFTPAttrs:
        """SSH_FXP_FSTAT"""
        match file_obj:
            case Reading(handle=handle):
                answer: SFTPAttrs = await self.far.raw.fstat(handle, 0)
                return answer
            case Writing():
                found = file_obj.found
                mode = file_obj.set.mode if file_obj.set.mode is not None else found.mode or 0o644
                return SFTPAttrs(size=file_obj.staged.size, permissions=0o100000 | mode)
        raise asyncssh.SFTPInvalidHandle("no such handle")

    async def scandir(self, path: bytes) -> AsyncIterator[SFTPName]:
        """SSH_FXP_OPENDIR and SSH_FXP_READDIR"""
        found, asked = await self.paths.target(path)
        self.settling.look(found, asked)
        self.settling.note(f"list {names.shown(found)}")
        if self.settling.batch.makes(found):
            return
        files: list[Item] = []
        async for entry in self.far.listing(found):
            if kind_of(entry.attrs) is There.FILE and len(files) <= ITEMS_LIMIT:
                path = names.join(found, filename(entry))
                files.append(Item(Kind.READ, path, path, found_of(entry.attrs)))
            yield entry
        self._reads.together.listed(found, files)

    async def readlink(self, path: bytes) -> bytes:
        """SSH_FXP_READLINK"""
        found, asked = await self.paths.name(path)
        self.settling.look(found, asked)
        return bytes(await self.far.client.readlink(found))

    async def statvfs(self, path: bytes) -> SFTPVFSAttrs:
        """statvfs@openssh.com"""
        found, asked = await self.paths.target(path)
        self.settling.look(found, asked)
        return await self.far.client.statvfs(found)

    # --- open files -------------------------------------------------------------------------------------------------

    async def open(self, path: bytes, pflags: int, attrs: SFTPAttrs) -> Reading | Writing:
        """SSH_FXP_OPEN"""
        if pflags & CHANGES:
            self.settling.takes_changes()
        found, asked = await self.paths.target(path)
        if self.settling.batch.at(found) is not None:
            await self.settling.flush()
        if pflags & CHANGES:
            return await self.writes.open(found, asked, pflags, attrs)
        return await self._reads.open(found, asked)

    async def read(self, file_obj: object, offset: int, size: int) -> bytes:
        """SSH_FXP_READ"""
        match file_obj:
            case Reading():
                return await self._reads.read(file_obj, offset, size)
            case Writing(readable=True, staged=staged):
                return staged.read(offset, size) if offset < staged.size else b""  # pread takes 63 bits
        raise asyncssh.SFTPPermissionDenied("it was not opened for reading")

    async def write(self, file_obj: object, offset: int, data: bytes) -> int:
        """SSH_FXP_WRITE: to staging."""
        if not isinstance(file_obj, Writing):
            raise asyncssh.SFTPPermissionDenied("it was not opened for writing")
        self.writes.write(file_obj, offset, data)
        return len(data)

    async def fsync(self, file_obj: object) -> None:
        """fsync@openssh.com: it is done when it is applied."""

    async def fsetstat(self, file_obj: object, attrs: SFTPAttrs) -> None:
        """SSH_FXP_FSETSTAT"""
        match file_obj:
            case Writing():
                self.writes.set(file_obj, decoded(attrs), attrs.size)
            case Reading(item=item):
                await self.setstat(item.path, attrs)
            case _:
                raise asyncssh.SFTPInvalidHandle("no such handle")

    async def close(self, file_obj: object) -> None:
        """SSH_FXP_CLOSE"""
        match file_obj:
            case Reading():
                await self._reads.close(file_obj)
            case Writing():
                try:
                    await self.writes.close(file_obj)
                except asyncssh.SFTPError as error:
                    self._unwritten = {file_obj.path: error.reason}
                    raise

    async def drop(self, opened: Any) -> None:
        """The channel ends while it is open: nothing of it is applied. Raises StoreError."""
        match opened:
            case Reading():
                await self._reads.close(opened)
            case Writing():
                opened.staged.drop()

    async def over(self) -> None:
        """The channel ends. Raises StoreError."""
        await self._reads.over()

    # --- other changes ----------------------------------------------------------------------------------------------

    async def setstat(self, path: bytes, attrs: SFTPAttrs) -> None:
        """SSH_FXP_SETSTAT; a size is a change of content."""
        self.settling.takes_changes()
        if attrs.size is not None:
            writing = await self.open(path, asyncssh.FXF_WRITE, SFTPAttrs())
            try:
                await self.fsetstat(writing, attrs)
            except BaseException:
                await self.drop(writing)
                raise
            await self.close(writing)
            return
        found, asked = await self.paths.target(path)
        wanted = decoded(attrs)
        if self.settling.batch.set(found, wanted):
            return
        writable(found)
        there = await self._there(found, asked)
        if wanted.mode == there.mode:
            wanted = replace(wanted, mode=None)
        if wanted.owner == there.owner:
            wanted = replace(wanted, owner=None)
        if wanted:
            await self.settling.change(Item(Kind.SETSTAT, found, asked, there, set=wanted))

    async def mkdir(self, path: bytes, attrs: SFTPAttrs) -> None:
        """SSH_FXP_MKDIR"""
        self.settling.takes_changes()
        found, asked = await self.paths.name(path)
        self.settling.look(found, asked)
        if self.settling.batch.at(found) is not None or (await self.far.found(found)).there is not There.NOTHING:
            raise asyncssh.SFTPFailure("something of that name exists")
        directory = names.split(found)[0]
        if not self.settling.batch.makes(directory) and (await self.far.found(directory)).there is not There.DIRECTORY:
            raise asyncssh.SFTPNoSuchFile("no such directory")
        mode = (0o777 if attrs.permissions is None else attrs.permissions) & 0o1777 & ~UMASK
        item = Item(Kind.MKDIR, found, asked, set=Attributes(mode))
        await self.settling.change(item, spelled=self.paths.absolute(path))

    async def rmdir(self, path: bytes) -> None:
        """SSH_FXP_RMDIR"""
        await self.settling.flush()
        found, asked = await self.paths.name(path)
        there = await self._there(found, asked)
        if there.there is not There.DIRECTORY:
            raise asyncssh.SFTPFailure("that is no directory")
        await self.settling.change(Item(Kind.RMDIR, found, asked, there))

    async def remove(self, path: bytes) -> None:
        """SSH_FXP_REMOVE"""
        await self.settling.flush()
        found, asked = await self.paths.name(path)
        there = await self._there(found, asked)
        if there.there is There.DIRECTORY:
            raise asyncssh.SFTPFailure("that is a directory")
        item = Item(Kind.REMOVE, found, asked, there)
        if there.there is There.FILE and there.size <= SIDE_LIMIT:
            self.settling.takes_changes()
            try:
                there, before = await self.writes.before(found)
            except Moved as error:
                raise asyncssh.SFTPFailure(f"bastion: {error}") from None
            item = replace(item, found=there, difference=await difference(before, None))
        await self.settling.change(item)

    async def rename(self, oldpath: bytes, newpath: bytes) -> None:
        """SSH_FXP_RENAME: nothing may be there."""
        await self._rename(Kind.RENAME, oldpath, newpath)

    async def posix_rename(self, oldpath: bytes, newpath: bytes) -> None:
        """posix-rename@openssh.com: what is there is deleted."""
        await self._rename(Kind.REPLACE, oldpath, newpath)

    async def _rename(self, kind: Kind, oldpath: bytes, newpath: bytes) -> None:
        await self.settling.flush()
        found, asked = await self.paths.name(oldpath)
        there = await self._there(found, asked)
        to, to_asked = await self.paths.name(newpath)
        self.settling.look(to, to_asked)
        to_there = await self.far.found(to)
        if to_there.there is not There.NOTHING and kind is Kind.RENAME:
            raise asyncssh.SFTPFailure("something of that name exists")
        await self.settling.change(Item(kind, found, asked, there, to=to, to_asked=to_asked, to_found=to_there))

    async def symlink(self, oldpath: bytes, newpath: bytes) -> None:
        """SSH_FXP_SYMLINK: `oldpath` is its text."""
        await self.settling.flush()
        if reason := names.wrong(oldpath):
            raise asyncssh.SFTPFailure(reason)
        found, asked = await self.paths.name(newpath)
        self.settling.look(found, asked)
        if (await self.far.found(found)).there is not There.NOTHING:
            raise asyncssh.SFTPFailure("something of that name exists")
        await self.settling.change(Item(Kind.SYMLINK, found, asked, to=oldpath))

    async def link(self, oldpath: bytes, newpath: bytes) -> None:
        """hardlink@openssh.com"""
        await self.settling.flush()
        old, old_asked = await self.paths.name(oldpath)
        there = await self._there(old, old_asked)
        found, asked = await self.paths.name(newpath)
        self.settling.look(found, asked)
        if (await self.far.found(found)).there is not There.NOTHING:
            raise asyncssh.SFTPFailure("something of that name exists")
        await self.settling.change(Item(Kind.LINK, found, asked, to=old, to_asked=old_asked, to_found=there))

    async def _there(self, path: bytes, asked: bytes) -> Found:
        self.settling.look(path, asked)
        there = await self.far.found(path)
        if there.there is There.NOTHING:
            raise asyncssh.SFTPNoSuchFile("no such file")
        return there


def decoded(attrs: SFTPAttrs) -> Attributes:
    """What a client wants set, less the size."""
    return Attributes(
        None if attrs.permissions is None else attrs.permissions & 0o7777,
        (attrs.uid, attrs.gid) if attrs.uid is not None and attrs.gid is not None else None,
        (attrs.atime, attrs.mtime) if attrs.atime is not None and attrs.mtime is not None else None,
    )


def _with(item: Item, attrs: SFTPAttrs | None) -> SFTPAttrs:
    """How something looks when the batch is done."""
    if attrs is None:
        kind = 0o040000 if item.kind is Kind.MKDIR else 0o100000
        attrs = SFTPAttrs(size=item.size, permissions=kind | (item.found.mode or 0o644))
    if item.set.mode is not None:
        attrs.permissions = (attrs.permissions or 0) & ~0o7777 | item.set.mode
    if item.set.times is not None:
        attrs.atime, attrs.mtime = item.set.times
    return attrs
