"""Where the bytes of a transfer wait for a decision: files of the daemon's own, counted against a limit.

Theory of operation. Each channel has a directory below `staging` in the daemon's state directory, 0700, and in it one
file for each that an agent writes, 0600, made with O_EXCL under a name of the daemon's own: nothing of an agent's path
is a path here. A file goes when it was applied, refused, or its agent has gone; the directory with its channel; and
what a killed daemon left is removed at the next start, before anything listens. Nothing is ever taken up again: who was
held sends the bytes again.

Content is found by its SHA-256 and by nothing else when it is applied: `Staged.seal` hashes what is on disk, and the
applier hashes again what it sends.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
import threading
from collections import Counter
from pathlib import Path

from bastion.errors import Conflict

FREE_LEAST = 512 << 20
"""Bytes that stay free on the disk: the ledger needs it more."""

BLOCK = 1 << 20
"""Bytes that are read at once."""

FILES_LIMIT = 4_000
"""Files of one channel: twice what a request can hold."""


class Staging:
    """All that waits. `file_limit` bytes in one file, `limit` in all of them together."""

    def __init__(self, directory: Path, *, file_limit: int, limit: int) -> None:
        self.directory, self.file_limit, self.limit = directory, file_limit, limit
        self.used = 0
        self._of: Counter[str] = Counter()
        """Bytes of each identity."""
        self._counting = threading.Lock()

    @property
    def share(self) -> int:
        """Bytes that one identity may have: half, so that none can keep all others from transferring; or one file where
        that is more."""
        return max(self.limit // 2, min(self.file_limit, self.limit))

    def prepare(self) -> None:
        """Make the directory, and remove what an earlier run left. Raises OSError."""
        remove(self.directory)
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)

    def area(self, session: str, identity: str) -> Area:
        """A channel's own part of it."""
        return Area(self, self.directory / session, identity)

    def take(self, identity: str, more: int, size: int) -> None:
        """Count `more` bytes of a file that then has `size`. Raises Conflict with a sentence for the agent."""
        with self._counting:
            self._take(identity, more, size)

    def _take(self, identity: str, more: int, size: int) -> None:
        if size > self.file_limit:
            raise Conflict(f"a file has at most {self.file_limit} bytes here")
        if self.used + more > self.limit:
            raise Conflict(f"transfers that wait have {self.limit} bytes already", "try again when some are decided")
        if more > 0 and self._of[identity] + more > self.share:
            raise Conflict(f"transfers of {identity} that wait have {self.share} bytes already", "let some be decided")
        if more > 0 and not self._free(more):
            raise Conflict("the bastion's disk is nearly full")
        self.used += more
        self._of[identity] += more
        if not self._of[identity]:
            del self._of[identity]

    def _free(self, more: int) -> bool:
        if more < BLOCK and self.used // BLOCK == (self.used + more) // BLOCK:
            return True  # asked once a block
        free = os.statvfs(self.directory)
        return free.f_bavail * free.f_frsize - more >= FREE_LEAST


class Area:
    """The staged files of one channel."""

    def __init__(self, staging: Staging, directory: Path, identity: str) -> None:
        self.staging, self._directory, self._identity = staging, directory, identity
        self._files: set[Staged] = set()
        self._made = 0

    def new(self) -> Staged:
        """An empty file. Raises Conflict, OSError."""
        if len(self._files) >= FILES_LIMIT:
            raise Conflict(f"at most {FILES_LIMIT} files of one connection wait")
        if not self._made:
            self._directory.mkdir(mode=0o700)
        self._made += 1
        staged = Staged(self, self._directory / str(self._made))
        self._files.add(staged)
        return staged

    def directory(self) -> Path:
        """Of this channel alone, for what is received by another program; gone with the channel. Raises OSError."""
        if not self._made:
            self._directory.mkdir(mode=0o700)
        self._made += 1
        return self._directory

    def adopt(self, name: bytes, directory: int, handle: int) -> Staged:
        """A file that another program left under this name in an open directory; `handle` is open for its path only
        (O_PATH). It is moved here and sealed: slow. Raises Conflict, OSError."""
        if os.fstat(handle).st_nlink != 1:
            raise Conflict("a file with two names")
        self._made += 1
        path = self._directory / str(self._made)
        os.rename(name, path, src_dir_fd=directory)
        os.chmod(f"/proc/self/fd/{handle}", 0o600)
        staged = Staged(self, path, adopted=True)
        self._files.add(staged)
        staged.seal()
        return staged

    def take(self, more: int, size: int) -> None:
        """For Staged: as Staging.take."""
        self.staging.take(self._identity, more, size)

    def gone(self, staged: Staged) -> None:
        """For Staged.drop."""
        self.take(-staged.size, 0)
        self._files.discard(staged)

    def close(self) -> None:
        """Remove everything; the channel is over."""
        for staged in list(self._files):
            staged.drop()
        remove(self._directory)


def remove(directory: Path) -> None:
    """A directory with all that is in it, whatever modes that has and however deep it is; nothing happens where there
    is none. Nobody else may write in it."""
    try:
        top = os.open(directory, _OPENED)
    except OSError:
        return
    try:
        _empty(top)
    finally:
        os.close(top)
    with contextlib.suppress(OSError):
        directory.rmdir()


_OPENED = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def _empty(top: int) -> None:
    """What is in a directory in it is moved up before that directory goes: no path gets long, nothing recurses."""
    mark, count = secrets.token_hex(8), 0
    waiting: list[str | None] = [None]
    while waiting:
        name = waiting.pop()
        with contextlib.suppress(OSError):
            where = top if name is None else os.open(name, _OPENED, dir_fd=top)
            try:
                with os.scandir(where) as entries:
                    found = [(entry.name, entry.is_dir(follow_symlinks=False)) for entry in entries]
                for each, is_directory in found:
                    with contextlib.suppress(OSError):
                        if not is_directory:
                            os.unlink(each, dir_fd=where)
                            continue
                        os.chmod(each, 0o700, dir_fd=where)
                        count += 1
                        os.rename(each, f"{mark}{count}", src_dir_fd=where, dst_dir_fd=top)
                        waiting.append(f"{mark}{count}")
            finally:
                if name is not None:
                    os.close(where)
            if name is not None:
                os.rmdir(name, dir_fd=top)


class Staged:
    """One file's bytes. Every method raises OSError when the disk fails."""

    def __init__(self, area: Area, path: Path, *, adopted: bool = False) -> None:
        """A new file; or with `adopted` one that is there, which is counted now."""
        self._area, self._path = area, path
        new = 0 if adopted else os.O_CREAT | os.O_EXCL
        self._fd = os.open(path, os.O_RDWR | new | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        self.size = 0
        self.sealed = ""
        """SHA-256 (hex) of the whole, once it is sealed."""
        if adopted:
            try:
                size = os.fstat(self._fd).st_size
                area.take(size, size)
            except BaseException:
                os.close(self._fd)
                path.unlink()
                raise
            self.size = size

    def write(self, offset: int, data: bytes) -> None:
        """Bytes at their place; a gap before them is zeros. Raises Conflict past a limit."""
        end = offset + len(data)
        if end > self.size:
            self._area.take(end - self.size, end)
            self.size = end
        view = memoryview(data)
        while view:
            written = os.pwrite(self._fd, view, offset)
            view, offset = view[written:], offset + written

    def read(self, offset: int, size: int) -> bytes:
        """At most `size` bytes from there; fewer at the end."""
        if self._fd < 0:
            with self._path.open("rb") as file:
                return os.pread(file.fileno(), size, offset)
        return os.pread(self._fd, size, offset)

    def truncate(self, size: int) -> None:
        """Cut it, or fill it up with zeros. Raises Conflict past a limit."""
        self._area.take(size - self.size, size)
        self.size = size
        os.ftruncate(self._fd, size)

    def seal(self) -> str:
        """Hash all of it and close it: from here on it is only read. Slow; may be called in a thread."""
        self.sealed = self.hash()
        os.close(self._fd)
        self._fd = -1
        return self.sealed

    def hash(self) -> str:
        """SHA-256 (hex) of what is on disk. Slow."""
        digest = hashlib.sha256()
        at = 0
        while block := self.read(at, BLOCK):
            digest.update(block)
            at += len(block)
        return digest.hexdigest()

    def drop(self) -> None:
        """Remove it; nothing happens when it is gone."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
        if self._path.exists():
            self._path.unlink()
            self._area.gone(self)
