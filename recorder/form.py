"""The form of a ledger: its entries in order, canonical, chained, in the tree and in the flat form. Pure.

What can be said of entries without knowing what they mean. It takes them a page at a time, so that a verifier can do it
in a process of its own (recorder.formprocess) beside the pass that looks at what they mean (recorder.walk): the first
is half of the work, and the two need nothing of each other but the leaf hashes.

A page is looked at as a whole, which accepts what is right and nothing else. Where it is not accepted, each entry is
looked at by itself, and what is wrong with one is looked at step by step, to say what it is.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field

from recorder import strict
from recorder.merkle import EMPTY_ROOT, Frontier
from recorder.schema import EntryRow
from recorder.segments import SPAN, Segment, Segments

BATCH = 1024
"""Leaves that are put into the tree at once."""


@dataclass(frozen=True, slots=True)
class Page:
    """Some entries, as they are found."""

    entries: Sequence[bytes]
    columns: Sequence[tuple[object, ...]] | None = None
    """What stands beside each in a store, in the order of EntryRow, which must agree; None in a bundle."""


@dataclass(slots=True)
class Taken:
    """What was made of a page: as many rows and leaves as there are good entries at its beginning."""

    rows: list[strict.Row] = field(default_factory=list)
    leaves: list[bytes] = field(default_factory=list)
    text: bytes = b""
    """All entries of the page, with a line feed behind each."""
    odd: dict[int, str] = field(default_factory=dict)
    """Entries with something wrong beside them, that can be read on from."""
    broken: str = ""
    """Why nothing behind them can be judged."""


@dataclass(frozen=True, slots=True)
class State:
    """How far a pass has come: what another one needs to go on from there. Hashes are hex."""

    size: int = 0
    prev: str = ""
    peaks: tuple[str, ...] = ()
    segment: int = 0
    """Number of the open segment …"""
    first: int = 0
    """… of its first entry …"""
    previous: str = ""
    """… and SHA-256 of the one before."""


@dataclass(slots=True)
class Form:
    """What is known of the entries that were taken."""

    tree: Frontier = field(default_factory=Frontier)
    roots: dict[int, bytes] = field(default_factory=lambda: {0: EMPTY_ROOT})
    """Root at each size that something wants to know."""
    segments: list[Segment] = field(default_factory=list)
    """Those that are full, and, if it has an entry, the open one."""
    full: int = 0
    """How many of them are full."""

    def followed_by(self, other: Form) -> Form:
        """What is known after a second pass that went on where the first had come to."""
        segments = self.segments[: self.full] + other.segments
        return Form(other.tree, self.roots | other.roots, segments, self.full + other.full)


class Forming:
    """The pass. Give it the pages in order, until one is broken; then `finish`."""

    def __init__(
        self,
        origin: str,
        ends: Iterable[int],
        wanted: Iterable[int],
        state: State | None = None,
        segment: Iterable[bytes] = (),
    ) -> None:
        """`ends` are the sizes with which segments end, `wanted` those at which the root is to be known. It goes on
        from `state`, with the entries from `state.first` on as `segment`."""
        state = state or State()
        self._origin, self._ends = origin, frozenset(ends)
        self._stops = sorted({*self._ends, *wanted}, reverse=True)
        self._wanted = frozenset(wanted)
        self._prev = state.prev
        self._form = Form(Frontier(state.size, map(bytes.fromhex, state.peaks)))
        self._flat = Segments(origin, state.segment, state.first, state.previous)
        self._waiting: list[bytes] = []
        self._segment: list[bytes] = list(segment)
        self._sealed: list[Future[Segment]] = []
        self._pool = ThreadPoolExecutor(1, "segments")  # hashing lets go of the interpreter; one thread keeps the order
        self.size = state.size
        """Entries taken."""

    def take(self, page: Page) -> Taken:
        """Check these entries, which follow those that were taken."""
        sha256 = hashlib.sha256
        leaves = [sha256(b"\x00" + data).digest() for data in page.entries]
        text = b"\n".join((*page.entries, b""))
        taken = self._whole(page, leaves, text) or self._each(page, leaves, text)
        self._keep(page.entries[: len(taken.leaves)], taken.leaves)
        return taken

    def _whole(self, page: Page, leaves: list[bytes], text: bytes) -> Taken | None:
        """All at once, where all is well: column by column, since Python's cost is that of its steps."""
        entries, first = page.entries, self.size
        rows = strict.forms(entries, text)
        if not rows:
            return None
        end = first + len(rows)
        hexes = [leaf.hex() for leaf in leaves]
        good = (
            [row.seq for row in rows] == list(range(first, end))
            and [row.prev for row in rows] == [self._prev, *hexes[:-1]]
            and [row.origin for row in rows] == self._origins(len(rows))
        )
        if good and page.columns is not None:
            seqs, types, sessions, requests, times, hashes, texts = zip(*page.columns, strict=True)
            good = (
                list(seqs) == list(range(first, end))
                and list(types) == [row.type for row in rows]
                and list(sessions) == [row.session or None for row in rows]
                and list(requests) == [row.request or None for row in rows]
                and list(times) == [row.t for row in rows]
                and list(hashes) == leaves
                and list(texts) == entries
            )
        if not good:
            return None
        self.size, self._prev = end, hexes[-1]
        return Taken(rows, leaves, text)

    def _origins(self, count: int) -> list[str]:
        """Of the next entries: entry 0 has the host's name alone."""
        origins = [self._origin] * count
        if self.size == 0:
            origins[0] = self._origin.partition("/")[0]
        return origins

    def _each(self, page: Page, leaves: list[bytes], text: bytes) -> Taken:
        """One by one, up to the first that is broken."""
        taken = Taken(text=text)
        form, prev, seq, origin = strict.form, self._prev, self.size, self._origin
        columns = page.columns
        if seq == 0 and page.entries:
            origin = origin.partition("/")[0]
        for at, (data, leaf) in enumerate(zip(page.entries, leaves, strict=True)):
            try:
                row = form(data)
                good = row.seq == seq and row.prev == prev and row.origin == origin
                if good and columns is not None:
                    beside = (seq, row.type, row.session or None, row.request or None, row.t, leaf, data)
                    good = columns[at] == beside
            except strict.NotCanonical:
                good = False
            if not good:
                self.size, self._prev = seq, prev
                found = self._examine(data, columns[at] if columns is not None else None, leaf)
                if isinstance(found, str):
                    taken.broken = found
                    break
                row, taken.odd[seq] = found
            taken.rows.append(row)
            taken.leaves.append(leaf)
            prev = leaf.hex()
            seq += 1
            origin = self._origin
        self.size, self._prev = seq, prev
        return taken

    def _examine(self, data: bytes, columns: tuple[object, ...] | None, leaf: bytes) -> str | tuple[strict.Row, str]:
        """Why it is not the next entry in the one form that it can have, or what is odd about it."""
        seq = self.size
        beside = EntryRow._make(columns) if columns is not None else None
        if beside is not None:
            if beside.seq != seq:
                return f"entry {seq} is missing"
            if beside.leaf != leaf:
                return f"entry {seq} was changed"
        try:
            row = strict.parse(data)
        except strict.NotCanonical as error:
            return f"entry {seq} was changed: {error}"
        if row.seq != seq:
            return f"entry {row.seq} stands in the place of entry {seq}"
        if row.origin != (self._origin if seq else self._origin.partition("/")[0]):
            return f"entry {seq} is of another ledger: {row.origin}"
        if row.prev != self._prev:
            return f"entry {seq} does not follow entry {seq - 1}: one of them was changed or replaced"
        return row, f"the columns beside entry {seq} say something else than the entry"

    def _keep(self, entries: Sequence[bytes], leaves: Sequence[bytes]) -> None:
        """Into the tree and the segments, cut where a root is wanted or a segment ends."""
        at, first = 0, self.size - len(leaves)
        while at < len(leaves):
            while self._stops and self._stops[-1] <= first + at:
                self._stops.pop()
            room = min(len(leaves) - at, SPAN - len(self._segment))
            if self._stops:
                room = min(room, self._stops[-1] - first - at)
            self._waiting += leaves[at : at + room]
            self._segment += entries[at : at + room]
            at += room
            size = first + at
            if size in self._wanted or len(self._waiting) >= BATCH:
                self._grow()
                if size in self._wanted:
                    self._form.roots[size] = self._form.tree.root()
            if len(self._segment) == SPAN or size in self._ends:
                self._sealed.append(self._pool.submit(self._flat.fill, self._segment))
                self._segment = []

    def _grow(self) -> None:
        self._form.tree.extend(self._waiting)
        self._waiting.clear()

    def finish(self) -> Form:
        """After the last page."""
        self._grow()
        self._pool.shutdown()
        self._form.segments = [each.result() for each in self._sealed]
        self._form.full = len(self._sealed)
        for data in self._segment:
            self._flat.append(data)
        if self._segment:
            self._form.segments.append(self._flat.current())
        return self._form

    def state(self) -> State:
        """After `finish`: from where another pass can go on."""
        peaks, open_ = self._form.tree.peaks, self._flat.current()
        return State(
            self.size, self._prev, tuple(map(bytes.hex, peaks)), open_.number, open_.first, self._flat.previous
        )
