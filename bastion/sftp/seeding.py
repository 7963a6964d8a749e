"""What is on the target where an upload by rsync goes, and a tree that looks like it and has nothing in it.

Theory of operation. rsync decides by names, sizes, times and modes what to send and to delete. So the tree has all of
these, and no content: a file is a hole of its size, which takes no room, tells the agent nothing of what is in the
target's, and is never taken for a basis (`--whole-file`). All of it is covered by the channel's first request to look;
a directory that policy does not let be looked into stands there empty, and is remembered as not looked into.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import stat
from dataclasses import dataclass, field, replace
from pathlib import Path

import asyncssh

from bastion.caging import NOBODY
from bastion.errors import Conflict
from bastion.sftp import names
from bastion.sftp.changes import Found, There
from bastion.sftp.far import Far, filename, found_of
from bastion.sftp.paths import KERNEL
from bastion.sftp.settling import Settling

NAMES_LIMIT = 20_000
"""Below the place of an upload: about 8 MB here, and a few seconds of the target's."""

DEPTH_LIMIT = 128
"""Directories in one another below the place: what walks them here has two descriptors open for each. node_modules and
Java's packages have about 40."""

TOO_DEEP = f"more than {DEPTH_LIMIT} directories are in one another there"

AT_ONCE = 8
"""Directories that are listed side by side."""

DESTINATION = b"dest"
"""What the place of an upload is called in the tree."""


@dataclass(frozen=True, slots=True)
class Seed:
    """One thing of the target's."""

    found: Found
    listed: bool = True
    """Of a directory: what is in it is known."""
    mode: int = 0
    """Of what stands for it in the tree."""
    inode: tuple[int, int, int] = (0, 0, 0)
    """See `identity`."""


@dataclass(slots=True)
class Seeds:
    """What is below `root`, by path from there; empty: the place itself."""

    root: bytes
    asked: bytes
    """As the client asked for it."""
    found: dict[bytes, Seed] = field(default_factory=dict)

    def at(self, path: bytes) -> bytes:
        """Where that is on the target."""
        return names.join(self.root, path) if path else self.root

    def asked_at(self, path: bytes) -> bytes:
        """The same, as asked for."""
        return names.join(self.asked, path) if path else self.asked


async def look(far: Far, settling: Settling, root: bytes, asked: bytes, *, deep: bool) -> Seeds:
    """All that is there; below the place's own directory only with `deep`. Raises asyncssh.SFTPError, Conflict."""
    seeds = Seeds(root, asked)
    there = await far.found(root)
    if there.there is There.NOTHING:
        return seeds
    seeds.found[b""] = Seed(there, listed=there.there is not There.DIRECTORY)
    waiting = [b""] if there.there is There.DIRECTORY else []
    while waiting:
        several, waiting = waiting[:AT_ONCE], waiting[AT_ONCE:]
        for path, entries in zip(
            several, await asyncio.gather(*(_entries(far, settling, seeds, each) for each in several)), strict=True
        ):
            if entries is None:
                continue
            seeds.found[path] = replace(seeds.found[path], listed=True)
            if path.count(b"/") >= DEPTH_LIMIT - 1 and entries:
                raise Conflict(TOO_DEEP, "name a directory further down")
            for name, found in entries.items():
                below = path + b"/" + name if path else name
                is_directory = found.there is There.DIRECTORY
                seeds.found[below] = Seed(found, listed=not is_directory)
                waiting += [below] if is_directory and deep else []
            if len(seeds.found) > NAMES_LIMIT:
                raise Conflict(
                    f"below {names.shown(root)} are more than {NAMES_LIMIT} names", "name a directory further down"
                )
    return seeds


async def _entries(far: Far, settling: Settling, seeds: Seeds, path: bytes) -> dict[bytes, Found] | None:
    """What is in a directory; None where it is not to be looked into, or cannot be."""
    whole = seeds.at(path)
    if any(names.below(whole, place) for place in KERNEL):
        return None
    try:
        settling.look(whole, seeds.asked_at(path))
        found: dict[bytes, Found] = {}
        async for entry in far.listing(whole):
            name = filename(entry)
            if name in (b".", b"..", b"") or len(name) > names.NAME_LIMIT:
                continue
            there = found_of(entry.attrs)
            if there.there is There.SYMLINK:
                there = await far.found(names.join(whole, name))
            found[name] = there
            if len(found) > NAMES_LIMIT:
                break
        return found
    except asyncssh.SFTPConnectionLost:
        raise
    except asyncssh.SFTPError:
        return None


def plant(tree: Path, seeds: Seeds) -> None:
    """Make the tree. Slow; may be called in a thread. Raises OSError."""
    tree.mkdir(mode=0o755)
    place = os.fsencode(tree) + b"/" + DESTINATION
    for path, seed in sorted(seeds.found.items()):
        _plant(place + (b"/" + path if path else b""), seed.found)
    for path, seed in sorted(seeds.found.items(), reverse=True):  # a directory's time changes with what comes into it
        whole = place + (b"/" + path if path else b"")
        os.utime(whole, (seed.found.modified, seed.found.modified), follow_symlinks=False)
        status = os.lstat(whole)
        seeds.found[path] = replace(seed, mode=stat.S_IMODE(status.st_mode), inode=identity(status))
    if os.geteuid() == 0:
        _give(tree)


def identity(status: os.stat_result) -> tuple[int, int, int]:
    """What a file keeps that nobody wrote to: its number can be given to another, but not as the same hole."""
    return status.st_ino, status.st_size, status.st_blocks


def _plant(whole: bytes, found: Found) -> None:
    match found.there:
        case There.DIRECTORY:
            os.mkdir(whole, 0o700)
            os.chmod(whole, found.mode & 0o777 | 0o700)
        case There.SYMLINK:
            os.symlink(found.points, whole)
        case _:  # what is no file is an empty one here: rsync can replace or delete it
            handle = os.open(whole, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
            try:
                with contextlib.suppress(OSError):  # longer than a file can be here: it stays short, and is another one
                    os.ftruncate(handle, found.size if found.there is There.FILE else 0)
                os.fchmod(handle, found.mode & 0o777 | 0o600)
            finally:
                os.close(handle)


def _give(tree: Path) -> None:
    """rsync is another account here."""
    for directory, inside, files in os.walk(os.fsencode(tree)):
        for name in (b"", *inside, *files):
            os.lchown(os.path.join(directory, name) if name else directory, NOBODY, NOBODY)
