"""Tables and rows of the store's database, and how it is connected to. SQL is here, in `readstore`, in `store`."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from recorder.errors import NotAStore, StoreDamaged, StoreFailed

APPLICATION_ID = 0x62617374
"""PRAGMA application_id: `bast`, so that file(1) and we know whose database it is."""
SCHEMA_VERSION = 2
PACK_LIMIT = 256 << 20
"""Bytes after which a new pack begins: large enough for few files, small enough to copy and to delete by retention."""
CIPHER_LIMIT = 9 << 20
"""Bytes of one chunk's ciphertext: that of recorder.chunks.PLAIN_LIMIT, should it not compress, with room."""

SCHEMA = (
    "CREATE TABLE entries (seq INTEGER PRIMARY KEY, type TEXT NOT NULL, session TEXT, request TEXT,"
    " t INTEGER NOT NULL, leaf BLOB NOT NULL, bytes BLOB NOT NULL) STRICT",
    "CREATE INDEX entries_type ON entries (type, seq)",
    "CREATE INDEX entries_session ON entries (session, seq) WHERE session IS NOT NULL",
    "CREATE INDEX entries_request ON entries (request, seq) WHERE request IS NOT NULL",
    "CREATE TABLE payloads (seq INTEGER NOT NULL, name TEXT NOT NULL, salt BLOB NOT NULL, data BLOB NOT NULL,"
    " PRIMARY KEY (seq, name)) STRICT",
    "CREATE TABLE checkpoints (size INTEGER PRIMARY KEY, note TEXT NOT NULL, sshsig TEXT NOT NULL) STRICT",
    "CREATE TABLE segments (number INTEGER PRIMARY KEY, entries INTEGER NOT NULL, sealed INTEGER NOT NULL,"
    " sha256 TEXT NOT NULL, sshsig TEXT NOT NULL) STRICT",
    "CREATE TABLE chunks (seq INTEGER PRIMARY KEY, pack INTEGER NOT NULL, offset INTEGER NOT NULL,"
    " length INTEGER NOT NULL, key BLOB NOT NULL) STRICT",
)
"""`session` and `request` are NULL where an entry has none, so that the partial indexes serve `session = ?`."""

REDACTED, FORGOTTEN, DELETED = "recording.redacted", "content.redacted", "retention.deleted"
"""Types of the entries that say what was taken out: of a chunk, of a request, a recording (recorder.tombstones)."""
TOMBSTONES = (REDACTED, FORGOTTEN, DELETED)
ENTRY_COLUMNS = "seq, type, session, request, t, leaf, bytes"


class PayloadRow(NamedTuple):
    """An opened value: what an entry commits to. A tuple, since a verifier makes one of each request."""

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


class EntryRow(NamedTuple):
    """An entry as it is stored. Only `bytes` is hashed; the other columns are for finding it. A tuple, since a verifier
    makes one of each entry."""

    seq: int
    type: str
    session: str | None
    request: str | None
    t: int
    leaf: bytes
    bytes: bytes


@dataclass(frozen=True, slots=True)
class SegmentRow:
    """A segment of the flat form (recorder.segments) as it is signed."""

    number: int
    entries: int
    sealed: int
    """1: it takes no more entries; 0: it is the last and open."""
    sha256: str
    sshsig: str


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
    if application == APPLICATION_ID and 0 < version < SCHEMA_VERSION:
        raise NotAStore(f"{directory} has schema {version}; this program knows {SCHEMA_VERSION}")
    if application != APPLICATION_ID or version != SCHEMA_VERSION or found != set(SCHEMA):
        raise StoreDamaged(f"the database in {directory} has other tables than a store has")


def connect(path: Path) -> sqlite3.Connection:
    """For the writer. `check_same_thread` is off since the thread that opens is not the one that writes."""
    connection = sqlite3.connect(_uri(path, "rw"), uri=True, isolation_level=None, check_same_thread=False, timeout=10)
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "trusted_schema=OFF", "secure_delete=ON"):
        connection.execute(f"PRAGMA {pragma}")
    return connection


def connect_read_only(path: Path, *, immutable: bool) -> sqlite3.Connection:
    """`mode=ro` needs to make -shm and -wal where there are none; where it may not, and nothing is pending in a WAL,
    the file is complete by itself and can be read as `immutable`."""
    modes = ["ro"] if pending(path) else ["ro&immutable=1"] if immutable else ["ro", "ro&immutable=1"]
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
        except (sqlite3.DatabaseError, UnicodeError) as error:
            if connection is not None:
                connection.close()
            if not isinstance(error, sqlite3.OperationalError):
                raise StoreDamaged(f"{path} is no sound database: {error}") from None
            reason = str(error)
    raise StoreFailed(f"{path} cannot be read: {reason}", "copy the whole directory to where you may write")


def pending(path: Path) -> bool:
    """Does the database have a WAL that is not folded in?"""
    try:
        return path.with_name(path.name + "-wal").stat().st_size > 0
    except FileNotFoundError:
        return False


def _uri(path: Path, mode: str) -> str:
    return f"{path.absolute().as_uri()}?mode={mode}"
