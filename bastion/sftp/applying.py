"""Approved changes, done on the target: compared once more, then each in one step.

Theory of operation. Nothing here believes what was true while a person looked. Before the first change, and again right
before each one, the directory is resolved anew and must be the one that was shown, and what is at the path must be what
was shown, to its SHA-256 where one was shown. A difference refuses, says what, and leaves the rest undone.

A file is written beside its place under a name of the bastion's own (`.bastion-ID-N`), O_EXCL and 0600, from staged
bytes that are found by the approved hash and hashed again on their way; then synced where the target can, given its
mode, owner and times, and renamed. A new file goes to its name by a rename that fails if something is there.

If we crash here: what was renamed is done, whole; a file of ours may be left beside, until the next contact
(`leftovers.py`); the ledger says that the transfer was started and that its end is not known.

Not protected: between the last look and the rename the target's own processes can still change the path, for as long as
one answer takes. A file is replaced, not written over: its other hard links keep the old content, and what its
directory's ACLs and the account's umask give a new file, it gets.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import asyncssh
from asyncssh.sftp import SFTPAttrs

from bastion.sftp import names
from bastion.sftp.changes import Attributes, Found, Item, Kind, There
from bastion.sftp.far import Far, Moved
from bastion.sftp.staging import Staged

WRITES_AHEAD = 16
"""Blocks of a file under way to the target: 4 MiB."""

UNANSWERED = (asyncssh.SFTPConnectionLost, asyncssh.SFTPNoConnection)
"""It may have been done, and nobody says."""

SMALL, FILES_AT_ONCE = 256 << 10, 8
"""Files of at most so many bytes are written side by side, so many at once: most of their time is the target's disk."""


@dataclass(frozen=True, slots=True)
class Applied:
    """How far it came."""

    made: tuple[Item, ...]
    """Changes that were made."""
    of: int
    trouble: str = ""
    """Why no more; empty when all were."""

    @property
    def note(self) -> str:
        """For the ledger and the agent; empty when all is well."""
        return f"{len(self.made)} of {self.of} changes were made, then: {self.trouble}" if self.trouble else ""


class Applier:
    """One approved request. `contents` are the staged files by SHA-256, `limit` bytes are read of a file at most;
    `stopped` says why no more shall be made, or ""."""

    def __init__(
        self, far: Far, request: str, contents: Mapping[str, Staged], limit: int, stopped: Callable[[], str]
    ) -> None:
        self._far, self._request, self._contents, self._limit = far, request, contents, limit
        self._stopped = stopped
        self._beside: dict[int, bytes] = {}
        """By an item's identity: the name that it is written under."""
        self.left: list[bytes] = []
        """Of those, what could not be taken away again."""

    async def apply(self, items: Sequence[Item]) -> Applied:
        """Do all of them, in order, or stop at the first that cannot be done."""
        made: list[Item] = []
        names_of = zip((item for item in items if item.kind is Kind.WRITE), beside(self._request, items), strict=True)
        self._beside = {id(item): name for item, name in names_of}
        try:
            await self._check_all(items)
            for several in _steps(items):
                done = await asyncio.gather(*(self._make(item) for item in several), return_exceptions=True)
                made += [item for item, error in zip(several, done, strict=True) if error is None]
                for error in done:
                    if error is not None:
                        raise error
            await self._finish_directories(items)
        except Moved as error:
            return Applied(tuple(made), len(items), str(error))
        except (asyncssh.Error, OSError) as error:
            return Applied(tuple(made), len(items), f"the target refuses it: {_reason(error)}")
        return Applied(tuple(made), len(items))

    async def _make(self, item: Item) -> None:
        """One change. Raises Moved with the path in it."""
        self._go_on()
        try:
            if item.kind is not Kind.WRITE:  # which is compared when its bytes are there, right before its rename
                await self._check(item)
            await self._do(item)
        except (asyncssh.Error, OSError) as error:
            raise Moved(f"the target refuses {names.shown(item.path)}: {_reason(error)}") from None

    def _go_on(self) -> None:
        if reason := self._stopped():
            raise Moved(f"the session was ended: {reason}")

    # --- comparing ------------------------------------------------------------------------------------------------

    async def _check_all(self, items: Sequence[Item]) -> None:
        """Before anything is touched. What lies in a directory that is yet to be made has nothing to be compared, nor
        what takes the place of something that is removed before it."""
        coming = {item.path for item in items if item.kind is Kind.MKDIR}
        seen: set[bytes] = set()
        going: set[bytes] = set()
        for item in items:
            directory = names.split(item.path)[0]
            if coming and _inside(directory, coming):
                continue
            if directory not in seen:
                await self._same_directory(item.path)
                seen.add(directory)
            if item.path not in going:
                await self._same(item.path, item.found)
            await self._check_other(item)
            if item.kind in (Kind.REMOVE, Kind.RMDIR):
                going.add(item.path)

    async def _check(self, item: Item) -> None:
        """What is there must be what was shown. Raises Moved."""
        await self._same_directory(item.path)
        await self._same(item.path, item.found)
        await self._check_other(item)

    async def _check_other(self, item: Item) -> None:
        if item.kind in (Kind.RENAME, Kind.REPLACE, Kind.LINK):
            await self._same_directory(item.to)
            await self._same(item.to, item.to_found)

    async def _same_directory(self, path: bytes) -> None:
        directory = names.split(path)[0]
        try:
            real = await self._far.real(directory)
        except asyncssh.SFTPError as error:
            raise Moved(f"{names.shown(directory)} cannot be resolved any more: {error.reason}") from None
        if real != directory:
            raise Moved(f"{names.shown(directory)} leads to {names.shown(real)} now")
        attrs = await self._far.found(directory)
        if attrs.there is not There.DIRECTORY:
            raise Moved(f"{names.shown(directory)} is no directory any more")

    async def _same(self, path: bytes, shown: Found) -> None:
        now = await self._far.found(path)
        if now.there is There.FILE and shown.sha256 and now.size == shown.size:
            now = replace(now, sha256=await self._far.hash(path, self._limit), modified=shown.modified)
        if now.there is There.DIRECTORY and shown.there is There.DIRECTORY:
            now = replace(now, size=shown.size, modified=shown.modified)
        if now.there is There.SYMLINK and shown.there is There.SYMLINK:
            now = replace(now, modified=shown.modified)
        if now != shown:
            raise Moved(f"{names.shown(path)} is not what was shown any more: {now.beside(shown)}")

    # --- doing ----------------------------------------------------------------------------------------------------

    async def _do(self, item: Item) -> None:
        client = self._far.client
        match item.kind:
            case Kind.WRITE:
                await self._write(item)
            case Kind.REMOVE:
                await client.remove(item.path)
            case Kind.RENAME:
                await client.rename(item.path, item.to)
            case Kind.REPLACE:
                await client.posix_rename(item.path, item.to)
            case Kind.MKDIR:
                mode = 0o755 if item.set.mode is None else item.set.mode
                await client.mkdir(item.path, SFTPAttrs(permissions=mode | 0o700))
            case Kind.RMDIR:
                await client.rmdir(item.path)
            case Kind.SYMLINK:
                await client.symlink(item.to, item.path)
            case Kind.LINK:
                await client.link(item.to, item.path)
            case Kind.SETSTAT:
                await client.setstat(item.path, encoded(item.set))
            case Kind.LOOK | Kind.READ:
                raise ValueError("reading changes nothing")

    async def _finish_directories(self, items: Sequence[Item]) -> None:
        """Of new directories: what would have been in the way, or undone, while they were filled. Raises Moved where
        something else took the place of one, such as a link: that would be followed."""
        for item in reversed(items):
            if item.kind is Kind.MKDIR and item.set:
                await self._same_directory(names.join(item.path, b"in it"))
                await self._far.client.setstat(item.path, encoded(item.set))

    async def _write(self, item: Item) -> None:
        far, directory = self._far, names.split(item.path)[0]
        staged = self._contents.get(item.sha256)
        if staged is None:
            raise Moved(f"the bytes of {names.shown(item.path)} are not here any more")
        ours = self._beside[id(item)]
        flags = asyncssh.FXF_WRITE | asyncssh.FXF_CREAT | asyncssh.FXF_EXCL
        self.left.append(ours)
        try:
            handle = await far.raw.open(ours, flags, SFTPAttrs(permissions=0o600))
        except asyncssh.SFTPError as error:
            if not isinstance(error, UNANSWERED):  # it was not made, so what has this name is not ours
                self.left.remove(ours)
            raise
        try:
            try:
                sent = await self._send(handle, staged)
                await self._settle(handle, item)
            finally:
                await far.raw.close(handle)
            if sent != item.sha256 or staged.size != item.size:
                raise Moved(f"the staged bytes of {names.shown(item.path)} are not the approved ones")
            await self._same(item.path, item.found)
            if await far.real(ours) != ours:
                raise Moved(f"{names.shown(directory)} leads elsewhere now")
            if item.found.there is There.NOTHING:
                await far.client.rename(ours, item.path)
            else:
                await far.client.posix_rename(ours, item.path)
            self.left.remove(ours)
        except BaseException:
            with contextlib.suppress(asyncssh.Error, OSError):
                await far.client.remove(ours)
                self.left.remove(ours)
            raise
        now = await far.found(item.path)
        if now.there is not There.FILE or now.size != item.size:
            raise Moved(f"{names.shown(item.path)} was written, and changed at once: now {now.words}")

    async def _send(self, handle: bytes, staged: Staged) -> str:
        """All of it, several blocks at once; SHA-256 of what was sent."""
        loop, block, digest = asyncio.get_running_loop(), self._far.block, hashlib.sha256()
        waiting: list[asyncio.Task[object]] = []
        at = 0
        try:
            while data := staged.read(at, block):
                self._go_on()
                digest.update(data)
                waiting.append(loop.create_task(self._far.raw.write(handle, at, data), name="sftp write"))
                at += len(data)
                if len(waiting) >= WRITES_AHEAD:
                    await waiting.pop(0)
            while waiting:
                await waiting.pop(0)
        finally:
            for task in waiting:
                task.cancel()
            await asyncio.gather(*waiting, return_exceptions=True)
        return digest.hexdigest()

    async def _settle(self, handle: bytes, item: Item) -> None:
        """On disk, and with the mode, owner and times that it is to have."""
        raw = self._far.raw
        with contextlib.suppress(asyncssh.SFTPOpUnsupported):
            await raw.fsync(handle)
        owner = item.set.owner or item.found.owner
        if owner is not None:
            now = await raw.fstat(handle, 0)
            if (now.uid, now.gid) != owner:
                try:
                    await raw.fsetstat(handle, SFTPAttrs(uid=owner[0], gid=owner[1]))
                except asyncssh.SFTPError:
                    raise Moved(
                        f"{names.shown(item.path)} belongs to {owner[0]}:{owner[1]}, and replacing it would change that"
                    ) from None
        mode = item.found.mode if item.set.mode is None else item.set.mode
        await raw.fsetstat(handle, encoded(Attributes(mode, None, item.set.times)))


def beside(request: str, items: Sequence[Item]) -> list[bytes]:
    """The names under which what is to be written is made, in order."""
    writes = [item.path for item in items if item.kind is Kind.WRITE]
    return [
        names.join(names.split(path)[0], f".bastion-{request}-{number}".encode())
        for number, path in enumerate(writes, start=1)
    ]


def _steps(items: Sequence[Item]) -> Iterator[list[Item]]:
    """In order, but for small files that are written one after another: several of those are made at once."""
    several: list[Item] = []
    for item in items:
        alone = item.kind is not Kind.WRITE or max(item.size, item.found.size) > SMALL
        if several and (alone or len(several) >= FILES_AT_ONCE):
            yield several
            several = []
        several.append(item)
        if alone:
            yield several
            several = []
    if several:
        yield several


def _reason(error: asyncssh.Error | OSError) -> str:
    reason = error.reason if isinstance(error, asyncssh.Error) else error.strerror
    return reason or type(error).__name__


def _inside(directory: bytes, coming: set[bytes]) -> bool:
    """Whether it is one of the directories to be made, or in one."""
    while directory != b"/":
        if directory in coming:
            return True
        directory = names.split(directory)[0]
    return False


def encoded(wanted: Attributes) -> SFTPAttrs:
    """As SFTP sends it (draft-ietf-secsh-filexfer-02 section 5)."""
    attrs = SFTPAttrs()
    if wanted.mode is not None:
        attrs.permissions = wanted.mode
    if wanted.owner is not None:
        attrs.uid, attrs.gid = wanted.owner
    if wanted.times is not None:
        attrs.atime, attrs.mtime = wanted.times
    return attrs
