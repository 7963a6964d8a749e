"""A store directory, read: every query there is. Writes nothing, and imports nothing that writes.

One connection behind a lock: usable from several threads, one query at a time. Works beside the daemon that writes
(WAL readers do not wait) and on a copy.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import NoneType
from typing import Any

from recorder import layout
from recorder.errors import NotAStore, RecorderError, StoreDamaged
from recorder.schema import (
    CIPHER_LIMIT,
    ENTRY_COLUMNS,
    PACK_LIMIT,
    REDACTED,
    ChunkRow,
    EntryRow,
    PayloadRow,
    SegmentRow,
    check_identity,
    connect_read_only,
)

_ENTRY_TYPES: tuple[set[type], ...] = ({int}, {str}, {str, NoneType}, {str, NoneType}, {int}, {bytes}, {bytes})
"""Of the columns of entries."""


class ReadStore:
    """A store, read. One connection behind a lock: usable from several threads, one query at a time."""

    def __init__(self, directory: Path, connection: sqlite3.Connection) -> None:
        self.directory = directory
        self._db = connection
        self._guard = threading.Lock()
        self._packs: dict[int, int] = {}

    @classmethod
    def open(cls, directory: Path, *, immutable: bool = False) -> ReadStore:
        """Open for reading, whether a daemon runs or not. Raises NotAStore, StoreDamaged, StoreFailed.

        `immutable`: only where nobody writes and no WAL is pending. SQLite then makes no -wal and -shm.
        """
        path = directory / layout.DATABASE
        if not path.is_file():
            raise NotAStore(f"{directory} holds no store")
        connection = connect_read_only(path, immutable=immutable)
        try:
            check_identity(connection, directory)
        except (sqlite3.Error, UnicodeError) as error:
            connection.close()
            raise StoreDamaged(f"the database of {directory} cannot be read: {error}") from None
        except RecorderError:
            connection.close()
            raise
        return cls(directory, connection)

    def close(self) -> None:
        """Idempotent. Iterators must not be used afterwards."""
        with self._guard:
            self._db.close()
            while self._packs:
                os.close(self._packs.popitem()[1])

    def _all(self, sql: str, *values: object) -> list[tuple[object, ...]]:
        with self._guard:
            try:
                return self._db.execute(sql, values).fetchall()
            except (sqlite3.Error, UnicodeError, MemoryError) as error:  # a damaged row can claim any text and size
                raise StoreDamaged(f"the database cannot be read: {error}") from None

    def _typed(self, form: tuple[type, ...], sql: str, *values: object) -> list[tuple[Any, ...]]:
        """Rows whose columns have these types: STRICT looks at what is written, not at what is read."""
        rows = self._all(sql, *values)
        for row in rows:
            if tuple(map(type, row)) != form:
                raise StoreDamaged("a row of the database holds other types than its table")
        return rows

    @contextlib.contextmanager
    def snapshot(self) -> Iterator[None]:
        """All queries inside see one state of the database, whatever a daemon writes meanwhile."""
        self._all("BEGIN")
        try:
            self._all("SELECT 1 FROM entries LIMIT 1")
            yield
        finally:
            with contextlib.suppress(StoreDamaged):
                self._all("ROLLBACK")

    def problems(self) -> list[str]:
        """What SQLite finds wrong with the file itself, indexes included; empty when it is sound."""
        found = [str(row[0]) for row in self._all("PRAGMA integrity_check(3)")]
        return [] if found == ["ok"] else found

    def size(self) -> int:
        """One more than the highest entry number."""
        ((size,),) = self._all("SELECT coalesce(max(seq) + 1, 0) FROM entries")
        return int(str(size))

    def entries(
        self,
        after: int = -1,
        limit: int | None = None,
        types: Sequence[str] = (),
        session: str = "",
        request: str = "",
        page: int = 256,
    ) -> Iterator[EntryRow]:
        """Rows with seq > after, in order. Read page by page: nothing is held between two of them."""
        where, values = ["seq > ?"], list[object]()
        if types:
            where.append(f"type IN ({','.join('?' * len(types))})")
            values += types
        for column, value in (("session", session), ("request", request)):
            if value:
                where.append(f"{column} = ?")
                values.append(value)
        sql = f"SELECT {ENTRY_COLUMNS} FROM entries WHERE {' AND '.join(where)} ORDER BY seq LIMIT ?"  # noqa: S608 -- names of columns, all ours
        left = limit if limit is not None else 1 << 62
        while left > 0:
            rows = _entry_rows(self._all(sql, after, *values, min(page, left)))
            yield from map(EntryRow._make, rows)
            if len(rows) < min(page, left):
                return
            left -= len(rows)
            after = int(str(rows[-1][0]))

    def pages(self, first: int, end: int, page: int) -> Iterator[list[tuple[Any, ...]]]:
        """Rows of all entries from `first` on and below `end`, in order, as plain tuples: for who reads everything.
        With `first` of 0 also of entries whose number is negative, which nobody wrote."""
        sql = f"SELECT {ENTRY_COLUMNS} FROM entries WHERE seq > ? AND seq < ? ORDER BY seq LIMIT ?"  # noqa: S608 -- names of columns, all ours
        after = first - 1 if first else -(1 << 62)
        while rows := _entry_rows(self._all(sql, after, end, page)):
            yield rows
            after = rows[-1][0]

    def raw_pages(self, first: int, end: int, page: int) -> Iterator[list[bytes]]:
        """Bytes of the entries [first, end), in order: what there is where numbers are, page by page."""
        sql = "SELECT bytes FROM entries WHERE seq >= ? AND seq < ? ORDER BY seq"
        for at in range(first, end, page):
            yield [data for (data,) in self._typed((bytes,), sql, at, min(at + page, end))]

    def leaves(self, first: int, end: int) -> list[bytes]:
        """The leaf column of the entries [first, end), in order."""
        sql = "SELECT leaf FROM entries WHERE seq >= ? AND seq < ? ORDER BY seq"
        return [leaf for (leaf,) in self._typed((bytes,), sql, first, end)]

    def newest(self, kind: str = "", page: int = 256) -> Iterator[EntryRow]:
        """Rows of one type, or of all, from the newest back. Read page by page."""
        before = 1 << 62
        sql = f"SELECT {ENTRY_COLUMNS} FROM entries WHERE {{}} seq < ? ORDER BY seq DESC LIMIT ?"  # noqa: S608 -- names of columns, all ours
        while True:
            values = (kind, before, page) if kind else (before, page)
            rows = self._all(sql.format("type = ? AND" if kind else ""), *values)
            yield from map(EntryRow._make, rows)
            if len(rows) < page:
                return
            before = int(str(rows[-1][0]))

    def stones(self, session: str, after: int) -> list[EntryRow]:
        """The entries behind `after` that say what was taken out of that session's chunks."""
        sql = f"SELECT {ENTRY_COLUMNS} FROM entries WHERE type = ? AND +session = ? AND seq > ? ORDER BY seq"  # noqa: S608 -- names of columns, all ours
        return [EntryRow._make(row) for row in self._all(sql, REDACTED, session, after)]  # few: found by their type

    def newest_of(self, types: Sequence[str]) -> int:
        """Number of the newest entry of one of these types; -1: there is none."""
        return max((row.seq for kind in types for row in itertools.islice(self.newest(kind, 1), 1)), default=-1)

    def entry(self, seq: int) -> EntryRow | None:
        """That entry, if there is one."""
        return next(self.entries(after=seq - 1, limit=1), None) if self._has(seq) else None

    def _has(self, seq: int) -> bool:
        return bool(self._all("SELECT 1 FROM entries WHERE seq = ?", seq))

    def payload(self, seq: int, name: str) -> PayloadRow | None:
        """An opened value; None when it is not there (redacted)."""
        sql = "SELECT seq, name, salt, data FROM payloads WHERE seq = ? AND name = ?"
        rows = self._typed((int, str, bytes, bytes), sql, seq, name)
        return PayloadRow(*rows[0]) if rows else None

    def has_request(self, request: str) -> bool:
        """Is there an entry of that request?"""
        return bool(self._all("SELECT 1 FROM entries WHERE request = ? LIMIT 1", request))

    def first_with_payload(self, kind: str, request: str, name: str) -> tuple[EntryRow, bytes, bytes] | None:
        """The first entry of that type and request that has this payload there, with the payload's salt and bytes."""
        columns = ", ".join(f"e.{each}" for each in ENTRY_COLUMNS.split(", "))
        sql = (
            f"SELECT {columns}, p.salt, p.data FROM entries e JOIN payloads p ON p.seq = e.seq AND p.name = ?"  # noqa: S608 -- names of columns, all ours
            " WHERE e.request = ? AND e.type = ? ORDER BY e.seq LIMIT 1"
        )
        rows = self._all(sql, name, request, kind)
        if not rows:
            return None
        *row, salt, data = rows[0]
        _entry_rows([tuple(row)])
        if type(salt) is not bytes or type(data) is not bytes:
            raise StoreDamaged("a row of the database holds other types than its table")
        return EntryRow._make(row), salt, data

    def payloads(self, first: int, end: int, largest: int) -> list[PayloadRow]:
        """The opened values of the entries [first, end) of at most `largest` bytes, in order."""
        sql = "SELECT seq, name, salt, data FROM payloads WHERE seq >= ? AND seq < ? AND length(data) <= ?"
        return list(map(PayloadRow._make, self._typed((int, str, bytes, bytes), sql, first, end, largest)))

    def payload_names(self) -> Iterator[tuple[int, str]]:
        """Keys of all opened values, in order."""
        after: tuple[object, ...] = (-1, "")
        sql = "SELECT seq, name FROM payloads WHERE (seq, name) > (?, ?) ORDER BY seq, name LIMIT 1000"
        while rows := self._typed((int, str), sql, *after):
            yield from rows
            after = rows[-1]

    def checkpoints(self) -> list[tuple[int, str, str]]:
        """Size, note and SSHSIG of every kept checkpoint, the oldest first."""
        sql = "SELECT size, note, sshsig FROM checkpoints ORDER BY size"
        return self._typed((int, str, str), sql)

    def head(self) -> tuple[int, str, str] | None:
        """The newest kept checkpoint."""
        sql = "SELECT size, note, sshsig FROM checkpoints ORDER BY size DESC LIMIT 1"
        rows = self._typed((int, str, str), sql)
        return rows[0] if rows else None

    def segments(self) -> list[SegmentRow]:
        """The signed segments, in order."""
        sql = "SELECT number, entries, sealed, sha256, sshsig FROM segments ORDER BY number"
        return [SegmentRow(*row) for row in self._typed((int, int, int, str, str), sql)]

    def chunk(self, seq: int) -> ChunkRow | None:
        """Where that entry's ciphertext lies."""
        sql = "SELECT seq, pack, offset, length, key FROM chunks WHERE seq = ?"
        rows = self._typed((int, int, int, int, bytes), sql, seq)
        return ChunkRow(*rows[0]) if rows else None

    def last_chunk(self) -> tuple[int, int]:
        """Numbers of the last `recording.chunk` entry and of the last chunk row; -1 where there is none."""
        (row,) = self._all(
            "SELECT coalesce(max(seq), -1), (SELECT coalesce(max(seq), -1) FROM chunks)"
            " FROM entries WHERE type = 'recording.chunk'"
        )
        return row  # type: ignore[return-value]  # two numbers: STRICT, and coalesce

    def chunk_seqs(self) -> list[int]:
        """Entry numbers of all chunk rows."""
        return [seq for (seq,) in self._typed((int,), "SELECT seq FROM chunks ORDER BY seq")]

    def living(self) -> dict[int, list[tuple[int, int]]]:
        """Start and end of every chunk, in order, by pack."""
        found: dict[int, list[tuple[int, int]]] = {}
        sql = "SELECT pack, offset, offset + length FROM chunks ORDER BY pack, offset"
        for pack, start, end in self._typed((int, int, int), sql):
            spans = found.setdefault(pack, [])
            if spans and spans[-1][1] == start:
                spans[-1] = (spans[-1][0], end)  # neighbours are one: few spans, however many chunks
            else:
                spans.append((start, end))
        return found

    def chunk_sums(self, first: int, last: int) -> tuple[int, ...]:
        """Of the chunk rows of these entries: how many, and where they lie. Another answer than before: some went, or
        were written anew."""
        sql = (
            "SELECT count(*), coalesce(sum(offset), 0), coalesce(sum(length), 0), coalesce(sum(pack), 0) FROM chunks"
            " WHERE seq BETWEEN ? AND ?"
        )
        (row,) = self._typed((int, int, int, int), sql, first, last)
        return row

    def pack_ends(self) -> dict[int, int]:
        """Where the committed chunks end, in each pack that has some."""
        return dict(self._typed((int, int), "SELECT pack, max(offset + length) FROM chunks GROUP BY pack"))

    def ciphertext(self, row: ChunkRow) -> bytes:
        """Its bytes, as many as there are. Raises StoreDamaged when the pack cannot be read."""
        if not (0 <= row.offset <= 2 * PACK_LIMIT and 0 <= row.length <= CIPHER_LIMIT):
            raise StoreDamaged(f"chunk row {row.seq} makes no sense", seq=row.seq)
        with self._guard:
            try:
                if row.pack not in self._packs:
                    path = layout.pack_path(self.directory, row.pack)
                    self._packs[row.pack] = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
                return os.pread(self._packs[row.pack], row.length, row.offset)
            except (OSError, OverflowError, ValueError) as error:
                raise StoreDamaged(f"pack {row.pack} cannot be read: {error}", seq=row.seq) from None


def _entry_rows(rows: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """The rows, whose columns have their types: STRICT looks at what is written, not at what is read."""
    for values, types in zip(zip(*rows, strict=True), _ENTRY_TYPES, strict=False):  # no columns where there are no rows
        if not set(map(type, values)) <= types:
            raise StoreDamaged("an entry's row holds other types than its table")
    return rows
