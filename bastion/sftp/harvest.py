"""What rsync left in the tree, beside what was planted there: files taken out of it, and how the tree looks now.

Theory of operation. Nothing of the tree is believed but what the kernel says of it: it is walked by descriptors, no
link in it is followed, and a file that is not the one that was planted is moved away to staging, where it is hashed.
From then on it is a staged file like any other. What rsync should have made does not matter: a person is going to see
what it did.
"""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass

from bastion.errors import Conflict
from bastion.sftp.changes import There
from bastion.sftp.seeding import DEPTH_LIMIT, DESTINATION, NAMES_LIMIT, TOO_DEEP, Seeds, identity
from bastion.sftp.staging import Area, Staged

GROWN_LIMIT = 2 * NAMES_LIMIT
"""Names in a tree when rsync is done."""


@dataclass(frozen=True, slots=True)
class Grown:
    """One thing in the tree."""

    there: There
    mode: int
    modified: int
    """Seconds since the epoch."""
    touched: bool = True
    """rsync set that, as far as it shows: a directory's changes by itself with what comes into it."""
    points: bytes = b""
    staged: Staged | None = None
    """Of a file that is not the one that was planted."""


_TYPES = {stat.S_IFREG: There.FILE, stat.S_IFDIR: There.DIRECTORY, stat.S_IFLNK: There.SYMLINK}


def gather(tree: bytes, seeds: Seeds, area: Area, begun: float) -> dict[bytes, Grown]:
    """All of the tree, by path from the place of the upload (`Seeds`). `begun`: when rsync began, in seconds since the
    epoch. Slow; may be called in a thread, when rsync has ended. Raises Conflict, OSError."""
    grown: dict[bytes, Grown] = {}
    top = os.open(tree, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        names = {os.fsencode(name) for name in os.listdir(top)}
        if not names <= {DESTINATION}:
            raise Conflict("rsync wrote beside the place that it was given")
        if names:
            _one(top, DESTINATION, b"", seeds, area, begun, grown)
    finally:
        os.close(top)
    return grown


def hidden(mode: int) -> None:
    """Raises Conflict for a directory that rsync could fill while nobody counts what is in it."""
    if mode & 0o700 == 0o300:
        raise Conflict("a directory whose owner may write, and not read it")


def _one(
    directory: int, name: bytes, path: bytes, seeds: Seeds, area: Area, begun: float, grown: dict[bytes, Grown]
) -> None:
    """What has that name in that directory, and all below it."""
    if len(grown) >= GROWN_LIMIT:
        raise Conflict(f"more than {GROWN_LIMIT} names")
    if path.count(b"/") >= DEPTH_LIMIT:
        raise Conflict(TOO_DEEP)
    handle = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=directory)
    try:
        status = os.fstat(handle)
        there = _TYPES.get(stat.S_IFMT(status.st_mode), There.OTHER)
        mode, modified = stat.S_IMODE(status.st_mode), int(status.st_mtime)
        match there:
            case There.DIRECTORY:
                hidden(mode)
                grown[path] = Grown(there, mode, modified, touched=status.st_mtime < begun)
                os.chmod(f"/proc/self/fd/{handle}", 0o700)
                _inside(handle, path, seeds, area, begun, grown)
            case There.SYMLINK:
                grown[path] = Grown(there, mode, modified, points=os.readlink(b"", dir_fd=handle))
            case There.FILE:
                planted = seeds.found.get(path)
                if planted is not None and planted.inode == identity(status):
                    grown[path] = Grown(planted.found.there, mode, modified)
                else:
                    grown[path] = Grown(there, mode, modified, staged=area.adopt(name, directory, handle))
            case _:
                raise Conflict("rsync made something that is neither file, directory nor symlink")
    finally:
        os.close(handle)


def _inside(handle: int, path: bytes, seeds: Seeds, area: Area, begun: float, grown: dict[bytes, Grown]) -> None:
    inside = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=handle)
    try:
        for each in sorted(map(os.fsencode, os.listdir(inside))):
            _one(inside, each, path + b"/" + each if path else each, seeds, area, begun, grown)
    finally:
        os.close(inside)
