"""Changes that were acknowledged and are held together at the end, and how things look with them made. Pure but for
the staged files that it carries.

Only what `scp` asks for is collected: new directories, files, and modes and times of both. Whatever else comes ends the
batch first.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from bastion.sftp import names
from bastion.sftp.changes import DESCRIPTION_LIMIT, ITEMS_LIMIT, TEXT_LIMIT, Attributes, Item, Kind
from bastion.sftp.staging import Staged

TOGETHER = frozenset({Kind.MKDIR, Kind.WRITE, Kind.SETSTAT})
"""What is collected. Of other kinds `set` and `at` would not mean what they say."""


class Batch:
    """One batch, in the order of asking."""

    def __init__(self) -> None:
        self.items: list[Item] = []
        self.contents: dict[str, Staged] = {}
        self._kept: set[Staged] = set()
        self._at: dict[bytes, int] = {}
        """Resolved paths to places in `items`."""
        self._spelled: dict[bytes, bytes] = {}
        """New directories as clients write them, to where they will be."""
        self._size = 0

    def __bool__(self) -> bool:
        return bool(self.items)

    @property
    def full(self) -> bool:
        """One more might not fit into a request."""
        return len(self.items) >= ITEMS_LIMIT or self._size > PATHS_LIMIT

    def add(self, item: Item, staged: Staged | None = None, *, spelled: bytes = b"") -> None:
        """One more change; what was asked for first comes first. `spelled` is a new directory's path as the client
        wrote it, from the root: so it will write what comes into it."""
        self._at[item.path] = len(self.items)
        if item.kind is Kind.MKDIR:
            self._spelled[item.path] = item.path
            self._spelled[spelled or item.asked] = item.path
        self.items.append(item)
        self._size += takes(item)
        if staged is not None:
            self._kept.add(staged)
            self.contents.setdefault(item.sha256, staged)

    def at(self, path: bytes) -> Item | None:
        """What is to be made or set at a resolved path."""
        place = self._at.get(path)
        return None if place is None else self.items[place]

    def makes(self, path: bytes) -> bool:
        """Whether it is a directory yet to be made, so that nothing is in it on the target."""
        item = self.at(path)
        return item is not None and item.kind is Kind.MKDIR

    def set(self, path: bytes, wanted: Attributes) -> bool:
        """Add to what is set at a path that is in the batch; False if it is not."""
        item = self.at(path)
        if item is None:
            return False
        self.items[self._at[path]] = replace(item, set=item.set.then(wanted))
        return True

    def resolve(self, path: bytes) -> bytes | None:
        """Where an absolute path leads that goes through a directory of the batch; None if it does not."""
        rest: list[bytes] = []
        directory = path
        while self._spelled and directory != b"/":
            made = self._spelled.get(directory)
            if made is not None:
                return None if b".." in rest else b"/".join([made, *reversed(rest)])
            directory, name = names.split(directory)
            rest.append(name)
        return None

    def holds(self, staged: Staged) -> bool:
        """Whether it is kept here."""
        return staged in self._kept

    def drop(self) -> None:
        """Remove the staged files."""
        for staged in self._kept:
            staged.drop()
        self._kept.clear()


def takes(item: Item) -> int:
    """Bytes of a description, without content, at most."""
    paths = {item.path, item.asked, item.to, item.found.points}
    return ITEM_BYTES + sum(len(names.shown(path)) for path in paths)


def requests(items: Sequence[Item]) -> Iterator[list[Item]]:
    """In their order, as many together as a request can hold."""
    part: list[Item] = []
    size = 0
    for item in items:
        if len(part) >= ITEMS_LIMIT or size > PATHS_LIMIT:
            yield part
            part, size = [], 0
        part.append(item)
        size += takes(item)
    if part:
        yield part


ITEM_BYTES = 320
"""Of a description, that an item takes beside its paths at most: two hashes, sizes, modes, owners, times, words."""

PATHS_LIMIT = DESCRIPTION_LIMIT - TEXT_LIMIT - (64 << 10)
"""Bytes of description that the items alone may take, less what one more can have."""
