"""What an agent asks of files: reads judged, changes staged and held. The operations of SFTP, one method each.

Theory of operation. Nothing that an agent asks for changes the target from here: a change becomes an Item with what is
there now, is asked about, and is handed to `applying.py` when there is leave. Reading a file is asked about when it is
opened. What only looks at names, sizes and links is covered by the one request with which the channel begins, and
refused where policy forbids the path.

A path is resolved by the target before anything is judged; the form that the client used counts as well.

When a change is held depends on the client (`clients.py`): at once, or with all others at the end (`finish`).
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import asyncssh
from asyncssh.constants import FXP_REALPATH
from asyncssh.sftp import SFTPAttrs, SFTPName, SFTPVFSAttrs

from bastion.errors import BastionError, Conflict
from bastion.gate import notices
from bastion.gate.effects import Authorization
from bastion.model import Request, Verdict
from bastion.sftp import names
from bastion.sftp.applying import Applier
from bastion.sftp.asking import Asking, Refusal
from bastion.sftp.batch import Batch
from bastion.sftp.changes import (
    ITEMS_LIMIT,
    NOTHING,
    Attributes,
    Found,
    Item,
    Kind,
    There,
    bundle_hash,
    describe,
)
from bastion.sftp.clients import LIMITS, NO_CHANGES, REALPATH, Client, recognise
from bastion.sftp.difference import SIDE_LIMIT, Difference, compare
from bastion.sftp.far import Far, Moved, found_of, kind_of
from bastion.sftp.handles import Reading, Writing
from bastion.sftp.staging import Area, Staged
from bastion.sftp.together import Leave, Together

SMALL = 1 << 20
"""Bytes that are hashed at once, which takes a millisecond."""

UMASK = 0o022
"""Taken off the mode of what is new, unless the client sets it afterwards: what login.defs(5) has. The target's own is
not known."""

KERNEL = (b"/proc", b"/sys", b"/dev")
"""Not files but the kernel's own doors: nothing is written there, and devices are not read."""

Opened = Reading | Writing


class Files(asyncssh.SFTPServer):
    """One channel's files."""

    def __init__(
        self,
        far: Far,
        asking: Asking,
        area: Area,
        *,
        version: str,
        stored: Callable[[str, str], bytes],
        pace: Callable[[], Awaitable[None]],
        note: Callable[[str], None],
    ) -> None:
        self._far, self._asking, self._area = far, asking, area
        self._version, self._stored, self.pace, self._note = version, stored, pace, note
        self._asked: list[str] = []
        self.batch = Batch()
        self._together = Together()
        self._unwritten: dict[bytes, str] = {}
        """The file whose writing was refused last, and why: paramiko does not look at the answer to `close`, but at the
        file behind it, and is told there."""
        self.refusals: list[Refusal] = []
        """What was refused or failed after it was acknowledged, or is reported only so."""

    # --- the client -------------------------------------------------------------------------------------------------

    def asked(self, kind: int | bytes) -> None:
        """What the client asks for; the first two tell which it is."""
        if len(self._asked) < 2:
            name = kind.decode("ascii", "replace") if isinstance(kind, bytes) else ""
            self._asked.append(REALPATH if kind == FXP_REALPATH else name if name == LIMITS else "other")

    @property
    def client(self) -> Client:
        """As far as it is known by now."""
        return recognise(self._version, tuple(self._asked))

    # --- paths ------------------------------------------------------------------------------------------------------

    def _absolute(self, path: bytes) -> bytes:
        path = path or b"."
        if reason := names.wrong(path):
            raise asyncssh.SFTPFailure(reason)
        whole = names.absolute(path, self._far.home)
        if reason := names.wrong(whole):
            raise asyncssh.SFTPFailure(reason)
        return whole

    async def _target(self, path: bytes) -> tuple[bytes, bytes]:
        """Where the path leads with every link followed, and how it was asked for."""
        whole = self._absolute(path)
        return self.batch.resolve(whole) or await self._far.real(whole), names.lexical(whole)

    async def _name(self, path: bytes) -> tuple[bytes, bytes]:
        """The name itself in its resolved directory, for what acts on names."""
        whole = self._absolute(path)
        directory, name = names.split(whole)
        if name in (b"", b".."):
            return await self._far.real(whole), names.lexical(whole)
        directory = self.batch.resolve(directory) or await self._far.real(directory)
        return names.join(directory, name), names.lexical(whole)

    def _look(self, path: bytes, asked: bytes) -> None:
        """Names and what they are: covered, unless policy forbids the path."""
        if reason := self._asking.forbidden([Item(Kind.LOOK, path, asked)]):
            raise asyncssh.SFTPPermissionDenied(f"bastion: {reason}")

    # --- looking ----------------------------------------------------------------------------------------------------

    async def realpath(self, path: bytes) -> bytes:
        """SSH_FXP_REALPATH"""
        found, asked = await self._target(path)
        if found != self._far.home:
            self._look(found, asked)
        return found

    async def stat(self, path: bytes) -> SFTPAttrs:
        """SSH_FXP_STAT"""
        found, asked = await self._target(path)
        return await self._attributes(found, asked, follow=True)

    async def lstat(self, path: bytes) -> SFTPAttrs:
        """SSH_FXP_LSTAT"""
        found, asked = await self._name(path)
        return await self._attributes(found, asked, follow=False)

    async def _attributes(self, path: bytes, asked: bytes, *, follow: bool) -> SFTPAttrs:
        self._look(path, asked)
        if reason := self._unwritten.pop(path, ""):
            raise asyncssh.SFTPPermissionDenied(reason)
        item = self.batch.at(path)
        attrs = None
        if item is None or item.kind is Kind.SETSTAT:
            attrs = await self._far.attributes(path, follow=follow)
        if item is not None:
            attrs = _with(item, attrs)
        if attrs is None:
            raise asyncssh.SFTPNoSuchFile("no such file")
        return attrs

    async def fstat(self, file_obj: object) -> SFTPAttrs:
        """SSH_FXP_FSTAT"""
        match file_obj:
            case Reading(handle=handle):
                answer: SFTPAttrs = await self._far.raw.fstat(handle, 0)
                return answer
            case Writing():
                found = file_obj.found
                mode = file_obj.set.mode if file_obj.set.mode is not None else found.mode or 0o644
                return SFTPAttrs(size=file_obj.staged.size, permissions=0o100000 | mode)
        raise asyncssh.SFTPInvalidHandle("no such handle")

    async def scandir(self, path: bytes) -> AsyncIterator[SFTPName]:
        """SSH_FXP_OPENDIR and SSH_FXP_READDIR"""
        found, asked = await self._target(path)
        self._look(found, asked)
        self._note(f"list {names.shown(found)}")
        if self.batch.at(found) is not None:
            return
        files: list[Item] = []
        async for entry in self._far.listing(found):
            if kind_of(entry.attrs) is There.FILE and len(files) <= ITEMS_LIMIT:
                path = names.join(found, bytes(entry.filename))  # type: ignore[arg-type]
                files.append(Item(Kind.READ, path, path, found_of(entry.attrs)))
            yield entry
        self._together.listed(found, files)

    async def readlink(self, path: bytes) -> bytes:
        """SSH_FXP_READLINK"""
        found, asked = await self._name(path)
        self._look(found, asked)
        return bytes(await self._far.client.readlink(found))

    async def statvfs(self, path: bytes) -> SFTPVFSAttrs:
        """statvfs@openssh.com"""
        found, asked = await self._target(path)
        self._look(found, asked)
        return await self._far.client.statvfs(found)

    # --- reading ----------------------------------------------------------------------------------------------------

    async def open(self, path: bytes, pflags: int, attrs: SFTPAttrs) -> Opened:
        """SSH_FXP_OPEN"""
        if pflags & (asyncssh.FXF_WRITE | asyncssh.FXF_APPEND | asyncssh.FXF_CREAT | asyncssh.FXF_TRUNC):
            return await self._open_to_write(path, pflags, attrs)
        found, asked = await self._target(path)
        if self.batch.at(found) is not None:
            await self._flush()
        there = await self._far.found(found)
        request, together = await self._may_read(Item(Kind.READ, found, asked, there))
        handle = await self._far.raw.open(found, asyncssh.FXF_READ, SFTPAttrs())
        try:
            await self._still_there(found)
        except BaseException:
            await self._far.raw.close(handle)
            if together is None:
                await self._asking.finished(request, status=1, note="it was not read: the path has changed")
            raise
        return Reading(Item(Kind.READ, found, asked, there), request, handle, together)

    async def _may_read(self, item: Item) -> tuple[Request, Leave | None]:
        """The request that lets it be read, and with which others. Raises SFTPError."""
        match item.found.there:
            case There.NOTHING:
                self._look(item.path, item.asked)
                raise asyncssh.SFTPNoSuchFile("no such file")
            case There.FILE:
                together = self._together.leave_for(item.path) or await self._ask_together(item)
                if together is None:
                    return (await self._leave([item])).request, None
                if together.request is None:
                    raise asyncssh.SFTPPermissionDenied(f"bastion: {together.reason}")
                return together.request, together
            case There.DIRECTORY:
                raise asyncssh.SFTPFailure("that is a directory")
            case _:
                raise asyncssh.SFTPPermissionDenied("bastion: neither a file nor a directory, so it is not opened")

    async def _ask_together(self, item: Item) -> Leave | None:
        """About all that its directory's listing has, where policy says the same of all as of this one.

        None: about this one only."""
        if self.client is not Client.COLLECTED or item.asked != item.path:
            return None
        files = self._together.list_for(item.path)
        verdict = self._asking.judged([item])[0] if len(files) > 1 else Verdict.DENY
        if verdict is Verdict.DENY or self._asking.judged(files)[0] is not verdict:
            return None
        answer = await self._asking.ask(files)
        paths = {each.path for each in files} - {item.path}
        if isinstance(answer, Refusal):
            self.refusals.append(answer)
            leave = Leave(None, answer.reason, paths)
        else:
            leave = Leave(answer.request, "", paths)
        self._together.add(leave)
        return leave

    async def _still_there(self, path: bytes) -> None:
        """The file that was opened is the one that was asked about, as far as a path can tell."""
        attrs = await self._far.attributes(path)
        if await self._far.real(path) != path or attrs is None or kind_of(attrs) is not There.FILE:
            raise asyncssh.SFTPFailure("the path has changed meanwhile")

    async def read(self, file_obj: object, offset: int, size: int) -> bytes:
        """SSH_FXP_READ"""
        if isinstance(file_obj, Writing):
            if not file_obj.readable:
                raise asyncssh.SFTPPermissionDenied("it was not opened for reading")
            return file_obj.staged.read(offset, size)
        if not isinstance(file_obj, Reading):
            raise asyncssh.SFTPInvalidHandle("no such handle")
        data = await self._far.read(file_obj.handle, offset, size)
        file_obj.add(offset, data)
        return data

    # --- writing ----------------------------------------------------------------------------------------------------

    async def _open_to_write(self, path: bytes, pflags: int, attrs: SFTPAttrs) -> Writing:
        self._takes_changes()
        found, asked = await self._target(path)
        if self.batch.at(found) is not None:
            await self._flush()
        there = await self._room(found, asked)
        if there.there is There.NOTHING and not pflags & asyncssh.FXF_CREAT:
            raise asyncssh.SFTPNoSuchFile("no such file")
        if there.there is There.FILE and pflags & asyncssh.FXF_EXCL:
            raise asyncssh.SFTPFailure("the file exists")
        wanted = Item(Kind.WRITE, found, asked, there)
        if reason := self._asking.forbidden([wanted]):
            raise asyncssh.SFTPPermissionDenied(f"bastion: {reason}")
        keeps = there.there is There.FILE and not pflags & asyncssh.FXF_TRUNC
        readable = bool(pflags & asyncssh.FXF_READ)
        if keeps and readable:
            reads = await self._leave([replace(wanted, kind=Kind.READ)])
            await self._asking.finished(reads.request, status=0)
        staged = self._stage()
        try:
            if keeps:
                await self._far.fetch(found, staged, self._area.staging.file_limit)
        except (BastionError, Moved) as error:
            staged.drop()
            raise asyncssh.SFTPFailure(f"bastion: {error}") from None
        except BaseException:
            staged.drop()
            raise
        mode = (
            None
            if there.there is There.FILE
            else (0o666 if attrs.permissions is None else attrs.permissions) & 0o777 & ~UMASK
        )
        return Writing(found, asked, there, staged, bool(pflags & asyncssh.FXF_APPEND), readable, Attributes(mode))

    def _stage(self) -> Staged:
        try:
            return self._area.new()
        except BastionError as error:
            raise asyncssh.SFTPFailure(f"bastion: {error}") from None

    async def _room(self, path: bytes, asked: bytes) -> Found:
        """What is where a file is to be written, if one can be. Raises SFTPError."""
        if any(names.below(path, place) for place in KERNEL):
            raise asyncssh.SFTPPermissionDenied("bastion: nothing is written below /proc, /sys and /dev")
        self._look(path, asked)
        directory, name = names.split(path)
        if not name or len(name) > names.NAME_LIMIT:
            raise asyncssh.SFTPFailure("that is a directory")
        if self.batch.at(directory) is not None:
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

    def _takes_changes(self) -> None:
        if self.client is Client.READING:
            raise asyncssh.SFTPPermissionDenied(f"bastion: {NO_CHANGES}")

    async def write(self, file_obj: object, offset: int, data: bytes) -> int:
        """SSH_FXP_WRITE: to staging."""
        if not isinstance(file_obj, Writing):
            raise asyncssh.SFTPPermissionDenied("it was not opened for writing")
        try:
            file_obj.staged.write(file_obj.staged.size if file_obj.append else offset, data)
        except (BastionError, OSError) as error:
            file_obj.broken = str(error)
            self._failed(f"not written: {error}")
            raise asyncssh.SFTPFailure(f"bastion: {error}") from None
        return len(data)

    async def fsync(self, file_obj: object) -> None:
        """fsync@openssh.com: it is done when it is applied."""

    async def fsetstat(self, file_obj: object, attrs: SFTPAttrs) -> None:
        """SSH_FXP_FSETSTAT"""
        match file_obj:
            case Writing():
                if attrs.size is not None:
                    try:
                        file_obj.staged.truncate(attrs.size)
                    except (BastionError, OSError) as error:
                        file_obj.broken = str(error)
                        raise asyncssh.SFTPFailure(f"bastion: {error}") from None
                file_obj.set = file_obj.set.then(decoded(attrs))
            case Reading(item=item):
                await self.setstat(item.path, attrs)
            case _:
                raise asyncssh.SFTPInvalidHandle("no such handle")

    async def close(self, file_obj: object) -> None:
        """SSH_FXP_CLOSE"""
        match file_obj:
            case Reading():
                await self._close_read(file_obj)
            case Writing():
                try:
                    await self._close_written(file_obj)
                except asyncssh.SFTPError as error:
                    self._unwritten = {file_obj.path: error.reason}
                    raise
                except (BastionError, OSError, Moved) as error:
                    raise asyncssh.SFTPFailure(f"bastion: {error}") from None
                finally:
                    if not self.batch.holds(file_obj.staged):
                        file_obj.staged.drop()

    async def _close_read(self, reading: Reading) -> None:
        with contextlib.suppress(asyncssh.Error):
            await self._far.raw.close(reading.handle)
        words = f"sha256 {reading.sha256}" if reading.whole else "not read in order"
        self._note(f"get {names.shown(reading.item.path)} {reading.given} bytes {words}")
        if reading.together is not None:
            reading.together.add(reading.item.path, reading.given, reading.sha256)
            return
        note = "" if reading.whole else "not read in order"
        given = reading.given, reading.sha256
        await self._asking.finished(reading.request, status=0, note=note, given=given)

    async def _close_written(self, writing: Writing) -> None:
        if writing.broken:
            raise Conflict(writing.broken)
        staged = writing.staged
        sha256 = staged.seal() if staged.size <= SMALL else await asyncio.to_thread(staged.seal)
        found, before = await self._before(writing.path) if writing.found.there is There.FILE else (writing.found, None)
        if found.sha256 == sha256 and not writing.set:
            self._note(f"put {names.shown(writing.path)}, which had this content already")
            return
        after = staged.read(0, SIDE_LIMIT + 1)
        difference = await _compared(before, after)
        item = Item(
            Kind.WRITE,
            writing.path,
            writing.asked,
            found,
            size=staged.size,
            sha256=sha256,
            set=writing.set,
            difference=difference,
        )
        await self._change(item, staged)

    async def _before(self, path: bytes) -> tuple[Found, bytes]:
        """What is there with its hash, and its beginning for people."""
        found = await self._far.found(path)
        if found.there is not There.FILE:
            raise Moved("the file is no file any more")
        scratch = self._stage()
        try:
            await self._far.fetch(path, scratch, self._area.staging.file_limit)
            begin = scratch.read(0, SIDE_LIMIT + 1)
            size = scratch.size
            sha256 = await asyncio.to_thread(scratch.hash)
        finally:
            scratch.drop()
        return replace(found, size=size, sha256=sha256), begin

    # --- other changes ----------------------------------------------------------------------------------------------

    async def setstat(self, path: bytes, attrs: SFTPAttrs) -> None:
        """SSH_FXP_SETSTAT; a size is a change of content."""
        self._takes_changes()
        if attrs.size is not None:
            writing = await self._open_to_write(path, asyncssh.FXF_WRITE, SFTPAttrs())
            try:
                await self.fsetstat(writing, attrs)
            except BaseException:
                writing.staged.drop()
                raise
            await self.close(writing)
            return
        found, asked = await self._target(path)
        wanted = decoded(attrs)
        if self.batch.set(found, wanted):
            return
        if any(names.below(found, place) for place in KERNEL):
            raise asyncssh.SFTPPermissionDenied("bastion: nothing is written below /proc, /sys and /dev")
        there = await self._there(found, asked)
        if wanted.mode == there.mode:
            wanted = replace(wanted, mode=None)
        if wanted.owner == there.owner:
            wanted = replace(wanted, owner=None)
        if wanted:
            await self._change(Item(Kind.SETSTAT, found, asked, there, set=wanted))

    async def mkdir(self, path: bytes, attrs: SFTPAttrs) -> None:
        """SSH_FXP_MKDIR"""
        self._takes_changes()
        found, asked = await self._name(path)
        self._look(found, asked)
        if self.batch.at(found) is not None or (await self._far.found(found)).there is not There.NOTHING:
            raise asyncssh.SFTPFailure("something of that name exists")
        directory = names.split(found)[0]
        if self.batch.at(directory) is None and (await self._far.found(directory)).there is not There.DIRECTORY:
            raise asyncssh.SFTPNoSuchFile("no such directory")
        mode = (0o777 if attrs.permissions is None else attrs.permissions) & 0o1777 & ~UMASK
        await self._change(Item(Kind.MKDIR, found, asked, set=Attributes(mode)))

    async def rmdir(self, path: bytes) -> None:
        """SSH_FXP_RMDIR"""
        await self._flush()
        found, asked = await self._name(path)
        there = await self._there(found, asked)
        if there.there is not There.DIRECTORY:
            raise asyncssh.SFTPFailure("that is no directory")
        await self._change(Item(Kind.RMDIR, found, asked, there))

    async def remove(self, path: bytes) -> None:
        """SSH_FXP_REMOVE"""
        await self._flush()
        found, asked = await self._name(path)
        there = await self._there(found, asked)
        if there.there is There.DIRECTORY:
            raise asyncssh.SFTPFailure("that is a directory")
        item = Item(Kind.REMOVE, found, asked, there)
        if there.there is There.FILE and there.size <= SIDE_LIMIT:
            self._takes_changes()
            there, before = await self._before(found)
            item = replace(item, found=there, difference=await _compared(before, None))
        await self._change(item)

    async def rename(self, oldpath: bytes, newpath: bytes) -> None:
        """SSH_FXP_RENAME: nothing may be there."""
        await self._rename(Kind.RENAME, oldpath, newpath)

    async def posix_rename(self, oldpath: bytes, newpath: bytes) -> None:
        """posix-rename@openssh.com: what is there is deleted."""
        await self._rename(Kind.REPLACE, oldpath, newpath)

    async def _rename(self, kind: Kind, oldpath: bytes, newpath: bytes) -> None:
        await self._flush()
        found, asked = await self._name(oldpath)
        there = await self._there(found, asked)
        to, to_asked = await self._name(newpath)
        self._look(to, to_asked)
        to_there = await self._far.found(to)
        if to_there.there is not There.NOTHING and kind is Kind.RENAME:
            raise asyncssh.SFTPFailure("something of that name exists")
        await self._change(Item(kind, found, asked, there, to=to, to_asked=to_asked, to_found=to_there))

    async def symlink(self, oldpath: bytes, newpath: bytes) -> None:
        """SSH_FXP_SYMLINK: `oldpath` is its text."""
        await self._flush()
        if reason := names.wrong(oldpath):
            raise asyncssh.SFTPFailure(reason)
        found, asked = await self._name(newpath)
        self._look(found, asked)
        if (await self._far.found(found)).there is not There.NOTHING:
            raise asyncssh.SFTPFailure("something of that name exists")
        await self._change(Item(Kind.SYMLINK, found, asked, to=oldpath))

    async def link(self, oldpath: bytes, newpath: bytes) -> None:
        """hardlink@openssh.com"""
        await self._flush()
        old, old_asked = await self._name(oldpath)
        there = await self._there(old, old_asked)
        found, asked = await self._name(newpath)
        self._look(found, asked)
        if (await self._far.found(found)).there is not There.NOTHING:
            raise asyncssh.SFTPFailure("something of that name exists")
        await self._change(Item(Kind.LINK, found, asked, to=old, to_asked=old_asked, to_found=there))

    async def _there(self, path: bytes, asked: bytes) -> Found:
        self._look(path, asked)
        there = await self._far.found(path)
        if there.there is There.NOTHING:
            raise asyncssh.SFTPNoSuchFile("no such file")
        return there

    # --- asking, applying -------------------------------------------------------------------------------------------

    async def _change(self, item: Item, staged: Staged | None = None) -> None:
        """Hold it with the others, or now. Raises SFTPError with the reason when it is not done."""
        self._takes_changes()
        if reason := self._asking.forbidden([item]):
            raise asyncssh.SFTPPermissionDenied(f"bastion: {reason}")
        if self.client is Client.COLLECTED:
            self.batch.add(item, staged)
            if self.batch.full:
                await self._flush()
            return
        await self._settle([item], {item.sha256: staged} if staged is not None else {})

    async def _flush(self) -> None:
        """Hold what was collected, now."""
        if not self.batch:
            return
        batch, self.batch = self.batch, Batch()
        try:
            await self._settle(batch.items, batch.contents)
        finally:
            batch.drop()

    async def finish(self) -> None:
        """The client is done: hold what was collected. Raises SFTPError."""
        await self._flush()

    async def over(self) -> None:
        """The channel ends: nothing more is read together. Raises StoreError."""
        for leave in self._together.granted:
            if leave.request is not None:
                await self._asking.finished(leave.request, status=0, given=(leave.given, leave.sha256))

    async def _leave(self, items: Sequence[Item]) -> Authorization:
        answer = await self._asking.ask(items)
        if isinstance(answer, Refusal):
            self.refusals.append(answer)
            raise asyncssh.SFTPPermissionDenied(f"bastion: {answer.reason}")
        return answer

    async def _settle(self, items: Sequence[Item], contents: Mapping[str, Staged]) -> None:
        """Ask, and apply exactly what was approved."""
        request = (await self._leave(items)).request
        if describe(items) != self._stored(request.id, request.digest):
            await self._asking.finished(request, status=1, note="not applied: the ledger holds another description")
            raise asyncssh.SFTPFailure("bastion: the ledger holds another description")
        for item in items:
            self._note(f"{item.kind.value} {names.shown(item.path)} {item.sha256}".rstrip())
        applier = Applier(self._far, request.id, contents, self._area.staging.file_limit)
        applied = await applier.apply(items)
        written = [item for item in applied.made if item.sha256]
        taken = sum(item.size for item in written), bundle_hash(written) if written else ""
        await self._asking.finished(request, status=1 if applied.trouble else 0, note=applied.note, taken=taken)
        if applied.trouble:
            self._failed(applied.note)
            raise asyncssh.SFTPFailure(f"bastion: {applied.note}")

    def _failed(self, reason: str) -> None:
        self.refusals.append(Refusal(reason, notices.EXIT_BASTION))

    async def drop(self, opened: Any) -> None:
        """The channel ends while it is open: nothing of it is applied."""
        match opened:
            case Reading():
                with contextlib.suppress(BastionError):
                    await self._close_read(opened)
            case Writing():
                opened.staged.drop()


async def _compared(before: bytes | None, after: bytes | None) -> Difference:
    """In a thread where it could take long."""
    if before is None or after is None or len(before) + len(after) < 1024:
        return compare(before, after)
    return await asyncio.to_thread(compare, before, after)


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
