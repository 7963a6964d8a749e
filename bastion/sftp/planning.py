"""From a tree that rsync left to the changes that make the target look like it, in an order in which they can be made.

Theory of operation. What was planted and is gone is removed, what is there and was not planted is made; what is in the
way of something of another kind is removed before it, everything else behind it, so that a transfer that stops half way
has deleted nothing that it did not have to. Directories get their times at the very end: each thing that comes into one
changes them.

Where a directory was not looked into (`seeding.py`), the target is asked about each thing that comes into it; and that
directory itself is never removed, since nobody could be shown what is in it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from bastion.errors import Conflict
from bastion.policy.syncing import Sync
from bastion.sftp import names
from bastion.sftp.changes import NOTHING, Attributes, Found, Item, Kind, There
from bastion.sftp.difference import SIDE_LIMIT
from bastion.sftp.far import Far
from bastion.sftp.harvest import Grown
from bastion.sftp.paths import writable
from bastion.sftp.rating import SPECIAL
from bastion.sftp.rcp import TIME_LIMIT
from bastion.sftp.seeding import Seed, Seeds
from bastion.sftp.staging import Staged
from bastion.sftp.writes import Writes, difference

T = TypeVar("T")

AT_ONCE = 8
"""Files of the target that are hashed side by side."""


@dataclass(frozen=True, slots=True)
class Plan:
    """Changes in their order, and the staged files that they write, by SHA-256."""

    items: tuple[Item, ...]
    contents: Mapping[str, Staged]


class Planner:
    """Of one upload."""

    def __init__(self, far: Far, writes: Writes, call: Sync, seeds: Seeds, grown: Mapping[bytes, Grown]) -> None:
        self._far, self._writes, self._call, self._seeds, self._grown = far, writes, call, seeds, grown

    async def plan(self) -> Plan:
        """What is to be changed. Raises Conflict, Moved, asyncssh.SFTPError."""
        first, last = self._removals()
        made = [item for item in await self._several(list(self._grown), self._made) if item is not None]
        made.sort(key=lambda item: item.kind is Kind.SETSTAT)
        behind = [item for item in made if item.kind is Kind.SETSTAT]
        made = made[: len(made) - len(behind)]
        gone = [await self._several(each, self._removed) for each in (first, last)]
        changed = {names.split(item.path)[0] for item in (*gone[0], *made, *gone[1])}
        again = {item.path: item for item in map(self._touched, self._grown) if item and item.path in changed}
        for item in behind:
            touched = again.get(item.path, item)
            again[item.path] = replace(item, set=touched.set.then(item.set))
        behind = sorted(again.values(), key=lambda item: item.path)
        items = (*gone[0], *made, *gone[1], *reversed(behind))
        for item in items:
            if why := names.wrong(item.path):
                raise Conflict(why)
            writable(item.path)
        contents = {grown.staged.sealed: grown.staged for grown in self._grown.values() if grown.staged is not None}
        return Plan(items, contents)

    async def _several(self, paths: Sequence[bytes], work: Callable[[bytes], Awaitable[T]]) -> list[T]:
        """In their order, some at a time."""
        found: list[T] = []
        for at in range(0, len(paths), AT_ONCE):
            found += await asyncio.gather(*(work(path) for path in paths[at : at + AT_ONCE]))
        return found

    # --- what goes --------------------------------------------------------------------------------------------------

    def _removals(self) -> tuple[list[bytes], list[bytes]]:
        """What is in the way of something else, and what else goes; what is in a directory before it."""
        gone = sorted((path for path in self._seeds.found if not self._stays(path)), reverse=True)
        for path in gone:
            seed = self._seeds.found[path]
            if seed.found.there is There.DIRECTORY and not seed.listed:
                raise Conflict(f"{names.shown(self._seeds.at(path))} would be removed, and was not looked into")
        ways = {path for path in self._grown if path in self._seeds.found and not self._stays(path)}
        first = {path for path in gone if any(each in ways for each in _up(path))}
        return [path for path in gone if path in first], [path for path in gone if path not in first]

    def _stays(self, path: bytes) -> bool:
        """Whether something of the same kind is still there, and for a link the same link."""
        seed, grown = self._seeds.found[path], self._grown.get(path)
        if grown is None or grown.there is not seed.found.there:
            return False
        return grown.there is not There.SYMLINK or grown.points == seed.found.points

    async def _removed(self, path: bytes) -> Item:
        seed, whole = self._seeds.found[path], self._seeds.at(path)
        kind = Kind.RMDIR if seed.found.there is There.DIRECTORY else Kind.REMOVE
        item = Item(kind, whole, self._seeds.asked_at(path), seed.found)
        if seed.found.there is There.FILE and seed.found.size <= SIDE_LIMIT:
            found, before = await self._writes.before(whole)
            item = replace(item, found=found, difference=await difference(before, None))
        return item

    # --- what comes -------------------------------------------------------------------------------------------------

    async def _made(self, path: bytes) -> Item | None:
        grown, whole, asked = self._grown[path], self._seeds.at(path), self._seeds.asked_at(path)
        seed = self._seeds.found.get(path)
        there = seed.found if seed is not None and self._stays(path) else await self._unknown(path)
        match grown.there:
            case There.DIRECTORY:
                return await self._directory(grown, seed, there, whole, asked)
            case There.SYMLINK:
                if there.there is There.NOTHING:
                    return Item(Kind.SYMLINK, whole, asked, to=grown.points)
                if there.there is There.SYMLINK and there.points == grown.points:
                    return None
                raise Conflict(f"{names.shown(whole)} is {there.words}, in a directory that was not looked into")
            case There.FILE:
                return await self._file(grown, seed, there, whole, asked)
            case _:  # still what it was: no file, and untouched
                return None

    async def _unknown(self, path: bytes) -> Found:
        """What is there now that was not planted: nothing, but for a directory that was not looked into."""
        if any((seed := self._seeds.found.get(each)) is not None and not seed.listed for each in _up(path)):
            return await self._far.found(self._seeds.at(path))
        return NOTHING

    async def _directory(
        self, grown: Grown, seed: Seed | None, there: Found, whole: bytes, asked: bytes
    ) -> Item | None:
        if there.there is There.NOTHING:
            times = _times(grown) if self._call.directory_times else None
            return Item(Kind.MKDIR, whole, asked, set=Attributes(grown.mode & 0o7777, None, times))
        if there.there is not There.DIRECTORY:
            raise Conflict(f"{names.shown(whole)} is {there.words}, in a directory that was not looked into")
        return self._attributes(grown, seed, there, whole, asked, times=self._call.directory_times)

    async def _file(self, grown: Grown, seed: Seed | None, there: Found, whole: bytes, asked: bytes) -> Item | None:
        staged = grown.staged
        if staged is None:
            return self._attributes(grown, seed, there, whole, asked, times=self._call.times)
        before: bytes | None = None
        if there.there is There.FILE:
            there, before = await self._writes.before(whole)
        elif there.there is not There.NOTHING:
            raise Conflict(f"{names.shown(whole)} is {there.words}, in a directory that was not looked into")
        wanted = self._wanted(grown, seed, there, times=self._call.times)
        if there.sha256 == staged.sealed and self._writes.reads_unasked(whole, asked, there):
            return Item(Kind.SETSTAT, whole, asked, there, set=wanted) if wanted else None
        if self._call.times:
            wanted = replace(wanted, times=_times(grown))
        if there.mode & SPECIAL and wanted.mode is None:  # as the kernel does when such a file is written
            wanted = replace(wanted, mode=there.mode & ~SPECIAL)
        shown = await difference(before, staged.read(0, SIDE_LIMIT + 1))
        return Item(
            Kind.WRITE, whole, asked, there, size=staged.size, sha256=staged.sealed, set=wanted, difference=shown
        )

    def _attributes(
        self, grown: Grown, seed: Seed | None, there: Found, whole: bytes, asked: bytes, *, times: bool
    ) -> Item | None:
        """What is set of something that stays."""
        wanted = self._wanted(grown, seed, there, times=times)
        return Item(Kind.SETSTAT, whole, asked, there, set=wanted) if wanted else None

    def _wanted(self, grown: Grown, seed: Seed | None, there: Found, *, times: bool) -> Attributes:
        """A mode where it is new, or rsync set another than was planted; times where they are kept, and are others."""
        mode = grown.mode & 0o7777
        planted = seed.mode if seed is not None and seed.found.there is there.there else None
        keeps = there.there is not There.NOTHING and (mode in (planted, there.mode) or not self._call.modes)
        changes = times and grown.touched and grown.modified != there.modified
        return Attributes(None if keeps else mode, None, _times(grown) if changes else None)

    def _touched(self, path: bytes) -> Item | None:
        """The time of a directory that stays, once more: what comes into it changes that."""
        grown, seed = self._grown[path], self._seeds.found.get(path)
        if not self._call.directory_times or grown.there is not There.DIRECTORY or seed is None:
            return None
        if not grown.touched or not self._stays(path):
            return None
        again = Attributes(None, None, _times(grown))
        return Item(Kind.SETSTAT, self._seeds.at(path), self._seeds.asked_at(path), seed.found, set=again)


def _times(grown: Grown) -> tuple[int, int]:
    """Of access and change. Raises Conflict."""
    if not 0 <= grown.modified <= TIME_LIMIT:
        raise Conflict("a date before 1970 or behind the year 2106, which SFTP cannot set: send it without times")
    return grown.modified, grown.modified


def _up(path: bytes) -> Iterator[bytes]:
    """The path, and the directories above it to the place of the upload."""
    while path:
        yield path
        path = path.rpartition(b"/")[0]
    yield b""
