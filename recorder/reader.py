"""A store as it is read: entries, opened payloads, the head, recordings. Changes nothing; works beside the daemon.

A `Reader` may be used from several threads: each query takes a lock and reads a page, and no cursor stays open between
two of them, so a slow reader holds nothing up. Every entry is decoded from its own bytes, and a payload or a frame is
checked against the entry that commits to it; whether the entries are the signed ones is `verify`'s question.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType

from recorder import checkpoint, chunks
from recorder import entry as entries
from recorder.checkpoint import Checkpoint
from recorder.entry import Entry
from recorder.errors import EntryError, FrameError, NoteError, RecorderError, StoreDamaged
from recorder.frames import Frame
from recorder.keyring import TYPE as ROTATED
from recorder.keyring import Keyring, RotationError
from recorder.keys import public_bytes
from recorder.readstore import ReadStore
from recorder.schema import EntryRow
from recorder.tombstones import DELETED, Rest, rest_of
from recorder.votes import Violation

READ_TRIES = 3
"""Attempts at a chunk that changes while it is read: it can be redacted again, and then deleted."""


class Missing(RecorderError):
    """No such entry, payload or recording; or it was redacted."""


class Reader:
    """An open store. A context manager."""

    def __init__(self, store: ReadStore) -> None:
        self._store = store

    @classmethod
    def open(cls, directory: Path) -> Reader:
        """Raises NotAStore, StoreDamaged or StoreFailed."""
        return cls(ReadStore.open(directory))

    @property
    def directory(self) -> Path:
        """The store's."""
        return self._store.directory

    def close(self) -> None:
        """Idempotent."""
        self._store.close()

    def __enter__(self) -> Reader:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def entries(
        self,
        after: int = -1,
        limit: int | None = None,
        types: Sequence[str] = (),
        session: str = "",
        request: str = "",
    ) -> Iterator[Entry]:
        """Entries with seq > after, in order; all conditions together. Raises StoreDamaged while iterating."""
        for row in self._store.entries(after, limit, types, session, request):
            yield _decode(row)

    def newest(self, kind: str = "") -> Iterator[Entry]:
        """Entries of one type, or of all, from the newest back. Raises StoreDamaged while iterating."""
        for row in self._store.newest(kind):
            yield _decode(row)

    def entry(self, seq: int) -> Entry:
        """That entry. Raises Missing or StoreDamaged."""
        row = self._store.entry(seq)
        if row is None:
            raise Missing(f"there is no entry {seq}")
        return _decode(row)

    def leaves(self, first: int, end: int) -> list[bytes]:
        """Leaf hashes of the entries [first, end), as many as there are; as stored, unchecked."""
        return self._store.leaves(first, end)

    def checkpoints(self) -> list[tuple[int, str, str]]:
        """Size, note and SSHSIG of every kept checkpoint, the oldest first; unchecked."""
        return self._store.checkpoints()

    def rotations(self, size: int) -> list[int]:
        """Numbers of the entries below `size` that announce a key."""
        return [row.seq for row in self._store.entries(types=(ROTATED,)) if row.seq < size]

    def size(self) -> int:
        """Number of entries."""
        return self._store.size()

    def payload(self, entry: Entry, name: str) -> bytes:
        """The bytes that the entry commits to under that name. Raises Missing or StoreDamaged."""
        wanted = entry.body.get(name)
        if not isinstance(wanted, dict) or "sha256" not in wanted:
            raise Missing(f"entry {entry.seq} has no payload {name!r}")
        row = self._store.payload(entry.seq, name)
        if row is None:
            raise Missing(f"payload {name!r} of entry {entry.seq} is not there any more")
        return _committed(entry, name, row.salt, row.data)

    def first_payload(self, kind: str, request: str, name: str) -> bytes | None:
        """That payload of the first entry of that type and request that has it there: in one query, as for who waits.
        Raises StoreDamaged."""
        found = self._store.first_with_payload(kind, request, name)
        return _committed(_decode(found[0]), name, *found[1:]) if found is not None else None

    def knows_request(self, request: str) -> bool:
        """Is there any entry of it? Raises StoreDamaged."""
        return self._store.has_request(request)

    def has_payload(self, entry: Entry, name: str) -> bool:
        """Is it there? Raises StoreDamaged."""
        return self._store.payload(entry.seq, name) is not None

    def frames(self, session: str, after: int = 0) -> Iterator[Frame]:
        """Frames of a session's recording from number `after`, as far as it is durable; none if there is none.

        Raises StoreDamaged or Missing at the chunk that cannot be had; what came before it stands.
        """
        expected = None
        for entry in self.entries(types=("recording.chunk",), session=session):
            facts = self.facts(entry)
            if expected is not None and facts.first != expected:
                raise StoreDamaged(f"a chunk is missing before entry {entry.seq}", seq=entry.seq)
            expected = facts.first + facts.frames
            if expected > after:
                yield from self.chunk(entry)[max(0, after - facts.first) :]

    def chunk(self, entry: Entry) -> list[Frame]:
        """Frames of one `recording.chunk` entry. Raises StoreDamaged or Missing."""
        tries = 0
        while True:
            rest, row = self._rest(entry), self._store.chunk(entry.seq)
            if row is None:
                raise self._missing(entry)
            try:
                cipher = self._store.ciphertext(row)
                return chunks.unseal(
                    rest.facts, cipher, row.key, origin=entry.origin, session=entry.session, gone=rest.gone
                )
            except (FrameError, StoreDamaged) as error:
                tries += 1  # it may have been redacted or deleted between two of these queries
                if tries > READ_TRIES or (self._store.chunk(entry.seq) == row and self._rest(entry) == rest):
                    raise StoreDamaged(f"entry {entry.seq}: {error.message}", seq=entry.seq) from None

    def sealed(self, entry: Entry) -> tuple[Rest, bytes, bytes]:
        """A chunk as it lies there: what is left of it, ciphertext and key. Raises StoreDamaged or Missing."""
        rest, row = self._rest(entry), self._store.chunk(entry.seq)
        if row is None:
            raise self._missing(entry)
        return rest, self._store.ciphertext(row), row.key

    def _rest(self, entry: Entry) -> Rest:
        facts = self.facts(entry)
        stones = [_decode(row).body for row in self._store.stones(entry.session, entry.seq)]
        try:
            return rest_of(facts, [body for body in stones if body.get("chunk") == entry.seq])
        except Violation as error:
            raise StoreDamaged(f"entry {entry.seq}: {error}", seq=entry.seq) from None

    def _missing(self, entry: Entry) -> Missing:
        for stone in self.entries(after=entry.seq, limit=1, types=(DELETED,), session=entry.session):
            return Missing(
                f"the recording of {entry.session} was deleted at the end of its time", f"entry {stone.seq} says so"
            )
        return Missing(f"a chunk of {entry.session} is not there any more")

    def chunk_key(self, entry: Entry) -> bytes:
        """The key of one `recording.chunk` entry. Raises Missing or StoreDamaged."""
        row = self._store.chunk(entry.seq)
        if row is None:
            raise Missing(f"the chunk of entry {entry.seq} is not there any more")
        return row.key

    def chunk_sums(self, first: Entry, last: Entry) -> tuple[int, ...]:
        """See ReadStore.chunk_sums. Raises StoreDamaged."""
        return self._store.chunk_sums(first.seq, last.seq)

    def facts(self, entry: Entry) -> chunks.Facts:
        """What a `recording.chunk` entry says. Raises StoreDamaged."""
        try:
            return chunks.facts_of(entry.body)
        except FrameError as error:
            raise StoreDamaged(f"entry {entry.seq}: {error.message}", seq=entry.seq) from None

    def checkpoint(self) -> Checkpoint:
        """The newest signed head, checked with the key of its size. Raises StoreDamaged."""
        row = self._store.head()
        if row is None:
            raise StoreDamaged("the store has no signed checkpoint")
        try:
            return checkpoint.parse(row[1], self.keys().at(row[0]), row[2])
        except NoteError as error:
            raise StoreDamaged(f"the newest checkpoint: {error.message}") from None

    def keys(self) -> Keyring:
        """The ledger's keys, as its entries state them: compare one with a key from elsewhere. Raises StoreDamaged."""
        keys = Keyring(public_bytes(str(self.entry(0).body.get("log_key"))))
        for entry in self.entries(types=(ROTATED,)):
            try:
                keys.rotate(entry.seq, entry.origin, entry.body)
            except RotationError as error:
                raise StoreDamaged(f"entry {entry.seq}: {error}", seq=entry.seq) from None
        return keys


def _committed(entry: Entry, name: str, salt: bytes, data: bytes) -> bytes:
    """Data that the entry commits to under that name. Raises StoreDamaged for other data."""
    wanted = entry.body.get(name)
    if (
        not isinstance(wanted, dict)
        or entries.commitment(salt, data).hex() != wanted.get("sha256")
        or len(data) != wanted.get("bytes")
    ):
        raise StoreDamaged(f"payload {name!r} of entry {entry.seq} was changed", seq=entry.seq)
    return data


def _decode(row: EntryRow) -> Entry:
    try:
        entry = entries.decode(row.bytes)
    except EntryError as error:
        raise StoreDamaged(f"entry {row.seq}: {error.message}", seq=row.seq) from None
    if entry.seq != row.seq:
        raise StoreDamaged(f"entry {row.seq} stands in another's place", seq=row.seq)
    return entry
