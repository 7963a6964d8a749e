"""A store directory, written: the only place that writes entries, payloads, chunks and the head.

Order of writes in one group, and what a crash leaves (P1):

    1. ciphertext to the pack, fdatasync      crash: a tail that no row names; cut off when the store is opened
    2. BEGIN IMMEDIATE; entries, payloads,    crash: the transaction is not there; the pack has a tail
       chunks, head checkpoint; COMMIT        (the head is signed elsewhere meanwhile: waited for before it goes in)
    3. the head file, fdatasync               crash: all is there, the head file is one group behind; written at opening
    4. (the caller acknowledges)

Entries and the checkpoint that covers them are one transaction, so an entry beyond the signed head cannot come from a
crash. After any failure this object writes nothing more: a page that failed to sync may be dropped from the cache and
the next fsync then says ok, so a retry would acknowledge what is lost.

Kept checkpoints: the newest, the last one in every 1,024 entries, and the last one of every key. Fewer signed old heads
are fewer places to which somebody could cut the ledger back. Likewise the signature of the open segment replaces the
one before.
"""

from __future__ import annotations

import contextlib
import errno
import os
import sqlite3
import stat
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from recorder import layout
from recorder.checkpoint import Checkpoint
from recorder.entry import Entry
from recorder.errors import NotAStore, RecorderError, StoreDamaged, StoreFailed
from recorder.keyring import TYPE as ROTATED
from recorder.keys import sync_directory
from recorder.notary import Sealed
from recorder.schema import (
    APPLICATION_ID,
    PACK_LIMIT,
    SCHEMA,
    SCHEMA_VERSION,
    ChunkRow,
    PayloadRow,
    check_identity,
    connect,
)
from recorder.segments import SPAN

FOLD_COMMITS = 16
"""Commits after which the WAL is folded in as soon as nothing waits: some 200 pages."""
FOLD_PAGES = 4000
"""Pages in the WAL at which a commit folds it in itself, 16 MB. SQLite's own figure is 1,000, which one command in
thirty met, and waited for two more syncs and for all of the pages."""


@dataclass(frozen=True, slots=True)
class NewChunk:
    """Ciphertext to be written for the entry `seq`."""

    seq: int
    data: bytes
    key: bytes


@dataclass(frozen=True, slots=True)
class Taking:
    """What goes with the commit of the entries that say so: atomically, so a crash cannot leave one without the other.

    Keys and payloads are overwritten where they lay (`secure_delete`), and the WAL is folded in and cut, as soon as no
    reader is in its way. Ciphertext without a key is noise; `recorder.space` gives its place on the disk back.
    """

    replaced: tuple[NewChunk, ...] = ()
    """New ciphertext and key of these chunks; `seq` is that of their own entry."""
    deleted: tuple[int, ...] = ()
    """Chunks, by their entries."""
    payloads: tuple[tuple[int, str], ...] = ()

    def __bool__(self) -> bool:
        return bool(self.replaced or self.deleted or self.payloads)


@dataclass(frozen=True, slots=True)
class Group:
    """What one commit makes durable."""

    entries: Sequence[Entry]
    payloads: Sequence[PayloadRow]
    chunks: Sequence[NewChunk]
    taking: Taking
    signed: Callable[[], Sealed]
    """What they lead to: the head, and the segments that they have filled and the open one. Called once, as late as
    can be; may wait, and raise RecorderError."""


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
        sql = "SELECT count(*) FROM entries WHERE seq = ? AND type = ?"
        self._ends_a_key = bool(self._db.execute(sql, (self._kept - 1, ROTATED)).fetchone()[0])
        """The newest kept checkpoint is the last one of a key: it proves that this key announced the next."""
        self._broken = False
        self._unfolded = 0
        self._first_commit = True

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
        except OSError as error:
            raise StoreFailed(f"no store can be made in {directory}: {error}") from None
        lock, connection = -1, None
        try:
            lock = layout.lock(directory)
            os.close(os.open(directory / layout.DATABASE, os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
            connection = connect(directory / layout.DATABASE)
            connection.execute("BEGIN IMMEDIATE")
            for statement in (*SCHEMA, f"PRAGMA application_id={APPLICATION_ID}"):
                connection.execute(statement)
            connection.execute(f"PRAGMA user_version={SCHEMA_VERSION}")
            return cls(directory, lock, connection, layout.HeadFile(directory, 0))
        except (OSError, sqlite3.Error) as error:
            if connection is not None:
                connection.close()
            _close_fd(lock)
            cls.discard(directory)
            raise StoreFailed(f"no store can be made in {directory}: {error}") from None

    @staticmethod
    def discard(directory: Path) -> None:
        """Take away what `create` made, when it could not finish; nothing was ever acknowledged from it."""
        for name in (layout.DATABASE, f"{layout.DATABASE}-wal", f"{layout.DATABASE}-shm", layout.HEAD, layout.LOCK):
            with contextlib.suppress(OSError):
                (directory / name).unlink()

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
            connection = connect(directory / layout.DATABASE)
            connection.execute(f"PRAGMA wal_autocheckpoint={FOLD_PAGES}")
            check_identity(connection, directory)
            head = layout.HeadFile(directory, slot)
            store = cls(directory, lock, connection, head)
            store._fold()  # what a crash left behind a taking
            return store
        except (OSError, sqlite3.Error, RecorderError) as error:
            if connection is not None:
                connection.close()
            if head is not None:
                head.close()
            if isinstance(error, RecorderError):
                raise
            raise StoreFailed(f"{directory} cannot be opened: {error}") from None

    def commit(self, group: Group) -> Sealed:
        """Make one group durable, in the order at the top of this file; gives what was signed. Raises RecorderError,
        once and for all."""
        if self._broken:
            raise StoreFailed("the store failed before", "restart the daemon once the cause is gone")
        try:
            rows = self._append([*group.chunks, *group.taking.replaced])
            sealed = self._transact(group, rows)
            if group.taking:
                self._fold()
            if (
                self._first_commit
            ):  # it may have made the WAL, and SQLite takes no notice when its directory's sync fails
                sync_directory(self.directory)
                self._first_commit = False
            self._head.write(sealed.head)
        except (OSError, sqlite3.Error) as error:
            self._broken = True
            raise StoreFailed(f"the store cannot be written: {error}", "see to the disk, then restart") from error
        except RecorderError:  # nobody signs: what was inserted is in no transaction that will ever end
            self._broken = True
            raise
        self._unfolded += 1
        return sealed

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
                raise OSError(
                    errno.ENOSPC, os.strerror(errno.ENOSPC)
                )  # ENOSPC: a regular file takes less for no other reason
            rows.append(ChunkRow(chunk.seq, self._pack_number, self._pack_end, written, chunk.key))
            self._pack_end += written
        if chunks:
            self._sync_pack()
        return rows

    @property
    def unfolded(self) -> bool:
        """The WAL has grown so far that it should be folded in when there is nothing else to do."""
        return self._unfolded >= FOLD_COMMITS and not self._broken

    def fold(self) -> None:
        """Fold into the database what no reader needs of the WAL, so that no commit has to. What fails leaves
        everything in the WAL; but after a failed sync nobody may believe the next one, which would let the WAL go."""
        self._unfolded = 0
        try:
            self._db.execute("PRAGMA wal_checkpoint(PASSIVE)")
        except sqlite3.Error as error:
            self._broken = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_IOERR) & 0xFF == sqlite3.SQLITE_IOERR

    def _fold(self) -> None:
        """Fold the WAL in and cut it, so that no old page with a key in it stays there. A reader can be in the way:
        then the next time does it, or the end."""
        self._db.execute("PRAGMA busy_timeout=0")
        with contextlib.suppress(sqlite3.OperationalError):
            self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        self._db.execute("PRAGMA busy_timeout=10000")

    def _transact(self, group: Group, chunks: Sequence[ChunkRow]) -> Sealed:
        db = self._db
        if not db.in_transaction:  # only the first commit of `create` is inside one already
            db.execute("BEGIN IMMEDIATE")
        db.executemany(
            "INSERT INTO entries VALUES (?,?,?,?,?,?,?)",
            [
                (e.seq, e.type, e.session or None, e.request or None, e.t, bytes.fromhex(e.leaf), e.bytes)
                for e in group.entries
            ],
        )
        for p in group.payloads:
            db.execute("INSERT INTO payloads VALUES (?,?,?,?)", (p.seq, p.name, p.salt, p.data))
        new, again = chunks[: len(group.chunks)], chunks[len(group.chunks) :]
        for c in new:
            db.execute("INSERT INTO chunks VALUES (?,?,?,?,?)", (c.seq, c.pack, c.offset, c.length, c.key))
        for c in again:
            sql = "UPDATE chunks SET pack = ?, offset = ?, length = ?, key = ? WHERE seq = ?"
            if db.execute(sql, (c.pack, c.offset, c.length, c.key, c.seq)).rowcount != 1:
                raise sqlite3.IntegrityError(f"there is no chunk {c.seq} that could be replaced")
        if group.taking:
            db.executemany("DELETE FROM chunks WHERE seq = ?", [(seq,) for seq in group.taking.deleted])
            db.executemany("DELETE FROM payloads WHERE seq = ? AND name = ?", group.taking.payloads)
        sealed = group.signed()
        head = sealed.head
        if self._kept == head.size or (self._kept // SPAN == head.size // SPAN and not self._ends_a_key):
            db.execute("DELETE FROM checkpoints WHERE size = ?", (self._kept,))
        for s in sealed.segments:
            values = s.number, s.entries, s.sealed, s.sha256, s.sshsig
            db.execute("INSERT OR REPLACE INTO segments VALUES (?,?,?,?,?)", values)
        db.execute("INSERT INTO checkpoints VALUES (?,?,?)", (head.size, head.note, head.sshsig))
        db.execute("COMMIT")
        self._kept = head.size
        if group.entries:
            self._ends_a_key = group.entries[-1].type == ROTATED
        return sealed

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


def _close_fd(fd: int) -> None:
    if fd >= 0:
        os.close(fd)
