"""What a transfer reads and changes, and the description of it that a person decides on. Pure.

Theory of operation. A description is text, made by `describe` from the items and nothing else. It names every path as
the target resolved it, what is there now, and what comes: sizes, modes, SHA-256. It is the `command` of a request, so
the digest that people sign covers each of its bytes, and through the hashes each byte of the content. Before something
is applied, the description is made anew from what is about to be applied, and compared with the one in the ledger.

    sftp: 2 changes: 1 write, 1 remove
    1 write /srv/app/app.conf
        replaces a file of 120 bytes, mode 0644, owner 0:0, sha256 3a7b…
        with 180 bytes, sha256 90cd…
        | @@ -1,2 +1,2 @@
        | -listen 80
        | +listen 8080
    2 remove /srv/app/old
        a file of 5 bytes, mode 0644, owner 0:0, sha256 77aa…

Lines that begin with a digit or a letter are the description's own; content stands behind `    | ` only, and paths are
escaped to printable ASCII, so neither can pass for the other.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum

from bastion.sftp import names
from bastion.sftp.difference import MARK, Difference

ITEMS_LIMIT = 2_000
"""Changes in one request. A person cannot look through more; a tree that has more is held in several."""

DESCRIPTION_LIMIT = 768 << 10
"""Bytes of a description: 2,000 changes have 500 KiB without any content. Code on stdin may have 1 MiB."""

TEXT_LIMIT = 256 << 10
"""Bytes of it that may be content; what comes after them is not shown, and says so."""


class Kind(StrEnum):
    """What is done."""

    LOOK = "look"
    """Names, sizes, dates and links of everything: what a client needs before it can ask for anything."""
    READ = "read"
    WRITE = "write"
    REMOVE = "remove"
    RENAME = "rename"
    REPLACE = "replace"
    """A rename over something that is there (posix-rename@openssh.com)."""
    MKDIR = "mkdir"
    RMDIR = "rmdir"
    SYMLINK = "symlink"
    LINK = "link"
    SETSTAT = "setstat"


READS = frozenset({Kind.LOOK, Kind.READ})


class There(StrEnum):
    """What is at a path."""

    NOTHING = "nothing"
    FILE = "file"
    DIRECTORY = "directory"
    SYMLINK = "symlink"
    OTHER = "other"
    """A device, a FIFO, a socket."""


@dataclass(frozen=True, slots=True)
class Found:
    """What is at a path now; another finding at the moment of applying refuses it."""

    there: There
    size: int = 0
    mode: int = 0
    """Permission bits, with setuid, setgid and sticky."""
    owner: tuple[int, int] | None = None
    """User and group by number, where the target tells them."""
    modified: int = 0
    """Seconds since the epoch."""
    sha256: str = ""
    """Of a file that was read for this."""
    points: bytes = b""
    """Of a symlink: its text."""

    @property
    def words(self) -> str:
        """For the description."""
        match self.there:
            case There.NOTHING:
                return "nothing there"
            case There.FILE:
                read = f", sha256 {self.sha256}" if self.sha256 else f", modified {self.modified}, content not read"
                return f"a file of {self.size} bytes, {self._rights}{read}"
            case There.SYMLINK:
                return f"a symlink to {names.shown(self.points)}"
            case There.DIRECTORY:
                return f"a directory, {self._rights}"
            case There.OTHER:
                return f"neither file nor directory, {self._rights}"

    def beside(self, shown: Found) -> str:
        """How it differs from what was shown, for an agent that may not read it: so without a hash."""
        now, then = (each._looks for each in (self, shown))
        return f"now {now}; shown was {then}" if now != then else f"{now} as before, but its content is another"

    @property
    def _looks(self) -> str:
        if self.there is There.FILE:
            return f"a file of {self.size} bytes, {self._rights}"
        return self.words

    @property
    def _rights(self) -> str:
        return f"mode {self.mode:04o}" + (f", owner {self.owner[0]}:{self.owner[1]}" if self.owner else "")


NOTHING = Found(There.NOTHING)


@dataclass(frozen=True, slots=True)
class Attributes:
    """What a client wants set; None: as it is, or as new things are."""

    mode: int | None = None
    owner: tuple[int, int] | None = None
    times: tuple[int, int] | None = None
    """Of access and of change, seconds since the epoch."""

    def __bool__(self) -> bool:
        return (self.mode, self.owner, self.times) != (None, None, None)

    def then(self, later: Attributes) -> Attributes:
        """These, and then those."""
        return Attributes(
            self.mode if later.mode is None else later.mode,
            self.owner if later.owner is None else later.owner,
            self.times if later.times is None else later.times,
        )

    @property
    def words(self) -> str:
        """For the description; empty where nothing is set."""
        parts = []
        if self.mode is not None:
            parts.append(f"mode {self.mode:04o}")
        if self.owner is not None:
            parts.append(f"owner {self.owner[0]}:{self.owner[1]}")
        if self.times is not None:
            parts.append(f"accessed {_moment(self.times[0])}, modified {_moment(self.times[1])}")
        return ", ".join(parts)


def _moment(seconds: int) -> str:
    """RFC 3339; seconds since the epoch that SFTP can set have one spelling each."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


AS_IT_IS = Attributes()


@dataclass(frozen=True, slots=True)
class Item:
    """One thing that is read or changed."""

    kind: Kind
    path: bytes
    """As the target resolved it; of what is removed, renamed or linked, the directory only."""
    asked: bytes
    """As the client asked for it, absolute, without looking at links."""
    found: Found = NOTHING
    size: int = 0
    sha256: str = ""
    """Of the content to be written."""
    set: Attributes = AS_IT_IS
    to: bytes = b""
    """Of a rename, the new path; of a link, the path of the file; of a symlink, its text."""
    to_asked: bytes = b""
    to_found: Found = NOTHING
    difference: Difference = field(default_factory=lambda: Difference(()))
    """Between what is there and what comes."""

    @property
    def paths(self) -> tuple[bytes, ...]:
        """Every path that it touches, resolved and as asked for."""
        found = [self.path, self.asked]
        if self.kind is Kind.SYMLINK:
            directory = names.split(self.path)[0]
            found.append(names.lexical(self.to if self.to.startswith(b"/") else names.join(directory, self.to)))
        elif self.to:
            found += [self.to, self.to_asked]
        return tuple(dict.fromkeys(path for path in found if path))


LOOK = Item(Kind.LOOK, b"", b"")


class TooLong(ValueError):
    """There is more to describe than a request can hold."""


def describe(items: Sequence[Item]) -> bytes:
    """The items as a person decides on them. Raises TooLong."""
    if not 0 < len(items) <= ITEMS_LIMIT:
        raise TooLong(f"a request holds 1 to {ITEMS_LIMIT} of them")
    out = [_head(items).encode()]
    room = TEXT_LIMIT
    for number, item in enumerate(items, 1):
        lines, content = _item(item, room)
        room -= sum(len(line) + 1 for line in content)
        out.append(f"{number} {lines[0]}".encode())
        out += [f"    {line}".encode() for line in lines[1:]]
        out += content
    whole = b"\n".join(out) + b"\n"
    if len(whole) > DESCRIPTION_LIMIT:
        raise TooLong(f"more than {DESCRIPTION_LIMIT >> 10} KiB of description")
    return whole


def _head(items: Sequence[Item]) -> str:
    """What a list of requests shows of it; policy reads the number (question.py)."""
    if items[0].kind is Kind.LOOK:
        return "sftp: look at names, sizes, dates and links"
    counts = Counter(item.kind.value for item in items)
    reads = all(item.kind in READS for item in items)
    number = f"{'read ' if reads else ''}{len(items)} {'file' if reads else 'change'}{'s' if len(items) != 1 else ''}"
    if len(items) > 1:
        rest = "" if reads else ": " + ", ".join(f"{count} {kind}" for kind, count in counts.items())
        return f"sftp: {number}{rest}"
    return f"sftp: {number}: {'' if reads else items[0].kind.value + ' '}{names.shown(items[0].path)}"


def _item(item: Item, room: int) -> tuple[list[str], list[bytes]]:
    """Its own lines, the first one with its kind, and its content if there is room for it."""
    if item.kind is Kind.LOOK:
        return ["look at everything that the login may see; no contents"], []
    content: list[bytes] = []
    hidden = item.difference.hidden
    if item.difference.size > room:
        hidden = "too much to be shown with the rest"
    else:
        content = [MARK + line for line in item.difference.lines]
    lines = _what(item)
    if item.set:
        lines.append(f"sets {item.set.words}")
    if item.asked != item.path:
        lines.append(f"asked for as {names.shown(item.asked)}")
    if item.to_asked and item.to_asked != item.to:
        lines.append(f"and as {names.shown(item.to_asked)}")
    if hidden:
        lines.append(f"content not shown: {hidden}")
    return lines, content


def _what(item: Item) -> list[str]:
    """What is done to what."""
    first = f"{item.kind.value} {names.shown(item.path)}"
    match item.kind:
        case Kind.WRITE:
            there = "a new file" if item.found.there is There.NOTHING else f"replaces {item.found.words}"
            return [first, there, f"with {item.size} bytes, sha256 {item.sha256}"]
        case Kind.RENAME | Kind.REPLACE:
            lines = [f"{first} to {names.shown(item.to)}", item.found.words]
            return lines if item.to_found.there is There.NOTHING else [*lines, f"deletes {item.to_found.words}"]
        case Kind.LINK:
            return [f"{first} as one more name of {names.shown(item.to)}", f"which is {item.to_found.words}"]
        case Kind.SYMLINK:
            return [first, f"points to {names.shown(item.to)}"]
        case Kind.MKDIR:
            return [first, "a new directory"]
        case _:
            return [first, item.found.words]


def shows(items: Sequence[Item]) -> list[bool]:
    """Of each item, whether its description leaves nothing of its content out."""
    room, out = TEXT_LIMIT, []
    for item in items:
        fits = item.difference.size <= room
        room -= item.difference.size if fits else 0
        out.append(fits and not item.difference.hidden)
    return out


def bundle_hash(items: Sequence[Item]) -> str:
    """SHA-256 (hex) over the hashes of what is written, in order: what the ledger's end of a transfer names."""
    return hashlib.sha256("".join(f"{item.sha256}\n" for item in items if item.sha256).encode()).hexdigest()
