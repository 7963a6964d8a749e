"""The only SQL, and the only file writes: one store directory, by its single writer (`Store`) or read (`ReadStore`).

Order of writes in one group, and what a crash leaves (P1):

    1. ciphertext to the pack, fdatasync      crash: a tail that no row names; cut off when the store is opened
    2. BEGIN IMMEDIATE; entries, payloads,    crash: the transaction is not there; the pack has a tail
       chunks, head checkpoint; COMMIT
    3. the head file, fdatasync               crash: all is there, the head file is one group behind; written at opening
    4. (the caller acknowledges)

Entries and the checkpoint that covers them are one transaction, so an entry beyond the signed head cannot come from a
crash. After any failure this object writes nothing more: a page that failed to sync may be dropped from the cache and
the next fsync then says ok, so a retry would acknowledge what is lost.

Kept checkpoints: the newest, and the last one in every 1,024 entries. Fewer signed old heads are fewer places to
which somebody could cut the ledger back.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import stat
import threading
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from recorder import layout
from recorder.checkpoint import Checkpoint
from recorder.entry import Entry
from recorder.errors import NotAStore, RecorderError, StoreDamaged, StoreFailed
from recorder.keys import sync_directory

APPLICATION_ID = 0x62617374
"""PRAGMA application_id: `bast`, so that file(1) and we know whose database it is."""
SCHEMA_VERSION = 1
PACK_LIMIT = 256 << 20
"""Bytes after which a new pack begins: large enough for few files, small enough to copy and to delete by retention."""
SPAN = 1024
"""Entries between kept checkpoints: the sealed segment of the export."""

SCHEMA = (
    "CREATE TABLE entries (seq INTEGER PRIMARY KEY, type TEXT NOT NULL, session TEXT, request TEXT,"
    " t INTEGER NOT NULL, leaf BLOB NOT NULL, bytes BLOB NOT NULL) STRICT",
    "CREATE INDEX entries_type ON entries (type, seq)",
    "CREATE INDEX entries_session ON entries (session, seq) WHERE session IS NOT NULL",
    "CREATE INDEX entries_request ON entries (request, seq) WHERE request IS NOT NULL",
    "CREATE TABLE payloads (seq INTEGER NOT NULL, name TEXT NOT NULL, salt BLOB NOT NULL, data BLOB NOT NULL,"
    " PRIMARY KEY (seq, name)) STRICT",
    "CREATE TABLE checkpoints (size INTEGER PRIMARY KEY, note TEXT NOT NULL, sshsig TEXT NOT NULL) STRICT",
    "CREATE TABLE chunks (seq INTEGER PRIMARY KEY, pack INTEGER NOT NULL, offset INTEGER NOT NULL,"
    " length INTEGER NOT NULL, key BLOB NOT NULL) STRICT",
)
"""`session` and `request` are NULL where an entry has none, so that the partial indexes serve `session = ?`."""

_ENTRY_COLUMNS = "seq, type, session, request, t, leaf, bytes"


@dataclass(frozen=True, slots=True)
class PayloadRow:
    """An opened value: what an entry commits to."""

    seq: int
    name: str
    salt: bytes
    data: bytes


@dataclass(frozen=True, slots=True)
class NewChunk:
    """Ciphertext to be written for the entry `seq`."""

    seq: int
    data: bytes
    key: bytes


@dataclass(frozen=True, slots=True)
class ChunkRow:
    """Where the ciphertext of the entry `seq` lies, and its key."""

    seq: int
    pack: int
    offset: int
    length: int
    key: bytes


@dataclass(frozen=True, slots=True)
class EntryRow:
    """An entry as it is stored. Only `bytes` is hashed; the other columns are for finding it."""

    seq: int
    type: str
    session: str | None
    request: str | None
    t: int
    leaf: bytes
    bytes: bytes


class ReadStore:
    """A store, read. One connection behind a lock: usable from several threads, one query at a time."""

    def __init__(self, directory: Path, connection: sqlite3.Connection) -> None:
        self.directory = directory
        self._db = connection
        self._guard = threading.Lock()
        self._packs: dict[int, int] = {}

    @classmethod
    def open(cls, directory: Path) -> ReadStore:
        """Open for reading, whether a daemon runs or not; changes nothing. Raises NotAStore or StoreFailed."""
        path = directory / layout.DATABASE
        if not path.is_file():
            raise NotAStore(f"{directory} holds no store")
        connection = _connect_read_only(path)
        try:
            check_identity(connection, directory)
        except sqlite3.Error as error:
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
            except sqlite3.Error as error:
                raise StoreDamaged(f"the database cannot be read: {error}") from None

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
        sql = f"SELECT {_ENTRY_COLUMNS} FROM entries WHERE {' AND '.join(where)} ORDER BY seq LIMIT ?"  # noqa: S608
        left = limit if limit is not None else 1 << 62
        while left > 0:
            rows = self._all(sql, after, *values, min(page, left))
            for row in rows:
                yield EntryRow(*row)  # type: ignore[arg-type]
            if len(rows) < min(page, left):
                return
            left -= len(rows)
            after = int(str(rows[-1][0]))

    def newest(self, kind: str = "", page: int = 256) -> Iterator[EntryRow]:
        """Rows of one type, or of all, from the newest back. Read page by page."""
        before = 1 << 62
        sql = f"SELECT {_ENTRY_COLUMNS} FROM entries WHERE {{}} seq < ? ORDER BY seq DESC LIMIT ?"  # noqa: S608
        while True:
            values = (kind, before, page) if kind else (before, page)
            rows = self._all(sql.format("type = ? AND" if kind else ""), *values)
            for row in rows:
                yield EntryRow(*row)  # type: ignore[arg-type]
            if len(rows) < page:
                return
            before = int(str(rows[-1][0]))

    def entry(self, seq: int) -> EntryRow | None:
        """That entry, if there is one."""
        return next(self.entries(after=seq - 1, limit=1), None) if self._has(seq) else None

    def _has(self, seq: int) -> bool:
        return bool(self._all("SELECT 1 FROM entries WHERE seq = ?", seq))

    def payload(self, seq: int, name: str) -> PayloadRow | None:
        """An opened value; None when it is not there (redacted)."""
        rows = self._all("SELECT seq, name, salt, data FROM payloads WHERE seq = ? AND name = ?", seq, name)
        return PayloadRow(*rows[0]) if rows else None  # type: ignore[arg-type]

    def payload_names(self) -> Iterator[tuple[int, str]]:
        """Keys of all opened values, in order."""
        after: tuple[object, ...] = (-1, "")
        while rows := self._all("SELECT seq, name FROM payloads WHERE (seq, name) > (?, ?) LIMIT 1000", *after):
            yield from rows  # type: ignore[misc]
            after = rows[-1]

    def checkpoints(self) -> list[tuple[int, str, str]]:
        """Size, note and SSHSIG of every kept checkpoint, the oldest first."""
        return self._all("SELECT size, note, sshsig FROM checkpoints ORDER BY size")  # type: ignore[return-value]

    def head(self) -> tuple[int, str, str] | None:
        """The newest kept checkpoint."""
        rows = self._all("SELECT size, note, sshsig FROM checkpoints ORDER BY size DESC LIMIT 1")
        return rows[0] if rows else None  # type: ignore[return-value]

    def chunk(self, seq: int) -> ChunkRow | None:
        """Where that entry's ciphertext lies."""
        rows = self._all("SELECT seq, pack, offset, length, key FROM chunks WHERE seq = ?", seq)
        return ChunkRow(*rows[0]) if rows else None  # type: ignore[arg-type]

    def last_chunk(self) -> tuple[int, int]:
        """Numbers of the last `recording.chunk` entry and of the last chunk row; -1 where there is none."""
        (row,) = self._all(
            "SELECT coalesce(max(seq), -1), (SELECT coalesce(max(seq), -1) FROM chunks)"
            " FROM entries WHERE type = 'recording.chunk'"
        )
        return row  # type: ignore[return-value]

    def chunk_seqs(self) -> list[int]:
        """Entry numbers of all chunk rows."""
        return [int(str(row[0])) for row in self._all("SELECT seq FROM chunks ORDER BY seq")]

    def ciphertext(self, row: ChunkRow) -> bytes:
        """Its bytes, as many as there are. Raises StoreDamaged when the pack cannot be read."""
        with self._guard:
            try:
                if row.pack not in self._packs:
                    path = layout.pack_path(self.directory, row.pack)
                    self._packs[row.pack] = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
                return os.pread(self._packs[row.pack], row.length, row.offset)
            except (OSError, OverflowError, ValueError) as error:
                raise StoreDamaged(f"pack {row.pack} cannot be read: {error}", seq=row.seq) from None


class Store:
    """A store, written by one thread of one process."""

    def __init__(self, directory: Path, lock: int, connection: sqlite3.Connection, head: layout.HeadFile) -> None:
        self.directory = directory
        self._lock = lock
        self._db = connection
        self._head = head
        self._pack = -1
        self._pack_number, self._pack_end = self._find_pack()
        self._size = int(self._db.execute("SELECT coalesce(max(seq) + 1, 0) FROM entries").fetchone()[0])
        self._kept = int(self._db.execute("SELECT coalesce(max(size), 0) FROM checkpoints").fetchone()[0])
        self._broken = False

    @classmethod
    def create(cls, directory: Path) -> Store:
        """A new, empty store in a directory that is new or empty. Raises RecorderError; overwrites nothing.

        The tables come with the first commit: what a crash leaves before it is a database without tables, which
        `open` calls unfinished.
        """
        try:
            directory.mkdir(mode=0o700, exist_ok=True)
            directory.chmod(0o700)
            if any(directory.iterdir()):
                raise RecorderError(f"{directory} is not empty", "a store is made in a directory of its own")
            lock = layout.lock(directory)
            os.close(os.open(directory / layout.DATABASE, os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
            connection = _connect(directory / layout.DATABASE)
            connection.execute("BEGIN IMMEDIATE")
            for statement in (*SCHEMA, f"PRAGMA application_id={APPLICATION_ID}"):
                connection.execute(statement)
            connection.execute(f"PRAGMA user_version={SCHEMA_VERSION}")
            return cls(directory, lock, connection, layout.HeadFile(directory, 0))
        except (OSError, sqlite3.Error) as error:
            raise StoreFailed(f"no store can be made in {directory}: {error}") from None

    @classmethod
    def lock(cls, directory: Path) -> int:
        """Take an existing store for writing. Raises NotAStore, StoreBusy, StoreFailed."""
        if not (directory / layout.DATABASE).is_file():
            raise NotAStore(f"{directory} holds no store")
        try:
            if stat.S_IMODE(directory.stat().st_mode) & 0o077:
                raise StoreFailed(f"{directory} can be used by others", f"chmod 700 {directory}")
            return layout.lock(directory)
        except OSError as error:
            raise StoreFailed(f"{directory} cannot be opened: {error}") from None

    @classmethod
    def open(cls, directory: Path, lock: int, slot: int) -> Store:
        """An existing store under `lock`, which it takes over; `slot` of the head is written next.

        Cuts the packs' torn tail. Raises StoreDamaged, StoreFailed; the lock is then still the caller's.
        """
        connection = head = None
        try:
            connection = _connect(directory / layout.DATABASE)
            check_identity(connection, directory)
            head = layout.HeadFile(directory, slot)
            return cls(directory, lock, connection, head)
        except (OSError, sqlite3.Error, RecorderError) as error:
            if connection is not None:
                connection.close()
            if head is not None:
                head.close()
            if isinstance(error, RecorderError):
                raise
            raise StoreFailed(f"{directory} cannot be opened: {error}") from None

    def commit(
        self, entries: Sequence[Entry], payloads: Iterable[PayloadRow], chunks: Sequence[NewChunk], head: Checkpoint
    ) -> None:
        """Make one group durable, in the order at the top of this file. Raises StoreFailed, once and for all."""
        if self._broken:
            raise StoreFailed("the store failed before", "restart the daemon once the cause is gone")
        try:
            rows = self._append(chunks)
            self._transact(entries, payloads, rows, head)
            self._head.write(head)
        except (OSError, sqlite3.Error) as error:
            self._broken = True
            raise StoreFailed(f"the store cannot be written: {error}", "see to the disk, then restart") from error

    def _append(self, chunks: Sequence[NewChunk]) -> list[ChunkRow]:
        rows = []
        for chunk in chunks:
            if self._pack_end >= PACK_LIMIT:
                self._sync_pack()
                os.close(self._pack)
                self._pack, self._pack_number, self._pack_end = -1, self._pack_number + 1, 0
            if self._pack < 0:
                self._open_pack()
            written = os.pwrite(self._pack, chunk.data, self._pack_end)
            if written != len(chunk.data):
                raise OSError(28, os.strerror(28))  # ENOSPC: a regular file takes less for no other reason
            rows.append(ChunkRow(chunk.seq, self._pack_number, self._pack_end, written, chunk.key))
            self._pack_end += written
        if chunks:
            self._sync_pack()
        return rows

    def _transact(
        self, entries: Sequence[Entry], payloads: Iterable[PayloadRow], chunks: Sequence[ChunkRow], head: Checkpoint
    ) -> None:
        db = self._db
        if not db.in_transaction:  # only the first commit of `create` is inside one already
            db.execute("BEGIN IMMEDIATE")
        db.executemany(
            "INSERT INTO entries VALUES (?,?,?,?,?,?,?)",
            [
                (e.seq, e.type, e.session or None, e.request or None, e.t, bytes.fromhex(e.leaf), e.bytes)
                for e in entries
            ],
        )
        db.executemany("INSERT INTO payloads VALUES (?,?,?,?)", [(p.seq, p.name, p.salt, p.data) for p in payloads])
        db.executemany(
            "INSERT INTO chunks VALUES (?,?,?,?,?)", [(c.seq, c.pack, c.offset, c.length, c.key) for c in chunks]
        )
        if self._kept // SPAN == head.size // SPAN:
            db.execute("DELETE FROM checkpoints WHERE size = ?", (self._kept,))
        db.execute("INSERT INTO checkpoints VALUES (?,?,?)", (head.size, head.note, head.sshsig))
        db.execute("COMMIT")
        self._kept = head.size

    def write_head(self, head: Checkpoint) -> None:
        """Write the head file again (it was behind after a crash). Raises StoreFailed."""
        try:
            self._head.write(head)
            sync_directory(self.directory)
        except OSError as error:
            raise StoreFailed(f"the head cannot be written: {error}") from error

    def close(self) -> None:
        """Fold the WAL in and let go of the lock. Idempotent."""
        with contextlib.suppress(sqlite3.Error):
            if not self._broken:
                self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        self._db.close()
        self._head.close()
        _close_fd(self._pack)
        _close_fd(self._lock)
        self._pack = self._lock = -1

    def _find_pack(self) -> tuple[int, int]:
        """The pack to append to and its committed end. What lies behind is from a crash: cut off."""
        ends = dict(self._db.execute("SELECT pack, max(offset + length) FROM chunks GROUP BY pack").fetchall())
        for number, end in ends.items():
            path = layout.pack_path(self.directory, number)
            if not path.is_file() or path.stat().st_size < end:
                raise StoreDamaged(f"recorded chunks are missing from {path.name}")
        last = max(ends, default=1)
        for number in layout.pack_numbers(self.directory):
            path = layout.pack_path(self.directory, number)
            if number > last:
                path.unlink()
            elif number == last and path.stat().st_size > ends.get(last, 0):
                os.truncate(path, ends.get(last, 0))
        return last, ends.get(last, 0)

    def _open_pack(self) -> None:
        path = layout.pack_path(self.directory, self._pack_number)
        self._pack = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        sync_directory(self.directory)

    def _sync_pack(self) -> None:
        os.fdatasync(self._pack)


def check_identity(connection: sqlite3.Connection, directory: Path) -> None:
    """Is this our database, with our tables and nothing beside them? Raises NotAStore, StoreDamaged, sqlite3.Error.

    A trigger that somebody planted would run inside our own transactions.
    """
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    found = {row[0] for row in connection.execute("SELECT sql FROM sqlite_master WHERE sql IS NOT NULL")}
    if not found and not application:
        raise NotAStore(
            f"{directory} holds a store that was never finished", "remove the directory and create it again"
        )
    if application != APPLICATION_ID or found != set(SCHEMA):
        raise StoreDamaged(f"the database in {directory} has other tables than a store has")
    if version != SCHEMA_VERSION:
        raise NotAStore(f"{directory} has schema {version}; this program knows {SCHEMA_VERSION}")


def _connect(path: Path) -> sqlite3.Connection:
    """For the writer. `check_same_thread` is off since the thread that opens is not the one that writes."""
    connection = sqlite3.connect(_uri(path, "rw"), uri=True, isolation_level=None, check_same_thread=False, timeout=10)
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "trusted_schema=OFF", "secure_delete=ON"):
        connection.execute(f"PRAGMA {pragma}")
    return connection


def _connect_read_only(path: Path) -> sqlite3.Connection:
    """`mode=ro` needs to make -shm and -wal where there are none; where it may not, and nothing is pending in a WAL,
    the file is complete by itself and can be read as `immutable`."""
    wal = path.with_name(path.name + "-wal")
    modes = ["ro"] if wal.exists() and wal.stat().st_size else ["ro", "ro&immutable=1"]
    reason = ""
    for mode in modes:
        connection = None
        try:
            connection = sqlite3.connect(
                _uri(path, mode), uri=True, isolation_level=None, check_same_thread=False, timeout=10
            )
            connection.execute("PRAGMA trusted_schema=OFF")
            connection.execute("PRAGMA query_only=ON")
            connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
            return connection
        except sqlite3.DatabaseError as error:
            if connection is not None:
                connection.close()
            if not isinstance(error, sqlite3.OperationalError):
                raise StoreDamaged(f"{path} is no sound database: {error}") from None
            reason = str(error)
    raise StoreFailed(f"{path} cannot be read: {reason}", "copy the whole directory to where you may write")


def _uri(path: Path, mode: str) -> str:
    return f"{path.absolute().as_uri()}?mode={mode}"


def _close_fd(fd: int) -> None:
    if fd >= 0:
        os.close(fd)
