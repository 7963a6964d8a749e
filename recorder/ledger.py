"""The ledger as it is written: append with group commit, signed head, opening as recovery.

Theory of operation. One thread writes. Callers queue drafts and get a future; the thread takes what is queued, at most
GROUP_ENTRIES or GROUP_BYTES, gives each draft its number, time and chain, signs the head once for all of them, has
`Store.commit` make them durable, and only then resolves the futures. While one commit runs, the next group gathers by
itself, and a single append into an empty queue costs one commit. Only where nobody waits for anything in a group, which
is so for the chunks of a recording that goes on, does it wait for company, for PATIENCE_SECONDS or PATIENCE_BYTES.

The drafts of one call are one transaction, in order. A draft that cannot be an entry (too large, a float) fails its
call alone and uses no number. A failed commit fails that call, everything queued, and everything later, with
StoreFailed: what failed is not acknowledged and not tried again.

Opening *is* recovery (recorder.recovery): every stored entry is hashed again and compared with what was signed.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import queue
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from recorder import entry as entries
from recorder.checkpoint import Checkpoint
from recorder.clock import Clock, system_clock
from recorder.drafts import CAUSE_PREVIOUS, PAYLOAD_LIMIT, Draft, Job, with_payloads
from recorder.entry import Entry, Json
from recorder.errors import EntryError, RecorderError, StoreFailed
from recorder.keyring import NAMESPACE as ROTATION
from recorder.keyring import TYPE as ROTATED
from recorder.keyring import statement
from recorder.keys import LedgerKey, public_line
from recorder.notary import Clerk, Notary, Sealed, Standing, Successor
from recorder.recovery import extending, recover, standing_of
from recorder.schema import PayloadRow
from recorder.store import Group, NewChunk, Store, Taking

if TYPE_CHECKING:
    from recorder.packer import Packer
    from recorder.recording import Recording

__all__ = ["CAUSE_PREVIOUS", "PAYLOAD_LIMIT", "Draft", "Job", "Ledger"]

GROUP_ENTRIES = 128
"""Entries after which a group is closed; one call is never split."""
GROUP_BYTES = 16 << 20
"""Bytes of payloads and ciphertext after which a group is closed: what may wait in one transaction and one fsync."""
PATIENCE_SECONDS, PATIENCE_BYTES = 0.02, 4 << 20
"""How long, and up to what size, a group waits for others in which there is nothing that somebody waits for. A transfer
of 160 MB/s has a chunk of a MiB every 6 ms, and each commit of its own would have three syncs; more bytes at once would
hold up others' commits."""
QUIET_SECONDS = 0.05
"""Without a job, until the store is tidied."""
SEGMENT_US = 3_600_000_000
"""Microseconds after which a segment is sealed, full or not: what leaves the host as sealed files is never older."""


@dataclass(slots=True)
class _Group:
    entries: list[Entry] = field(default_factory=list)
    payloads: list[PayloadRow] = field(default_factory=list)
    chunks: list[NewChunk] = field(default_factory=list)
    answers: list[tuple[Job, tuple[Entry, ...]]] = field(default_factory=list)
    seal: bool = False
    taking: Taking = field(default_factory=Taking)
    successor: Successor | None = None


class Ledger:
    """An open ledger. `append`, `head` and `recording` may be called from any thread."""

    def __init__(self, store: Store, notary: Notary, clock: Clock, origin: str, last: Entry, began: int) -> None:
        """For `create` and `open`."""
        self.on_failure: Callable[[StoreFailed], object] | None = None
        """Called once, from the writer thread, when writing has failed."""
        self.failed: StoreFailed | None = None
        """Why nothing can be written any more."""
        self.on_sealed: Callable[[], None] | None = None
        """Called from the writer thread when a segment was sealed."""
        self.origin = origin
        self.clock = clock
        self._store, self._notary = store, notary
        self._last, self._began = last, began
        self._head: Checkpoint | None = None
        self._queue: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._packer: Packer | None = None
        self._guard = threading.Lock()
        self._succeeding = threading.Lock()
        self._closed = False

    @classmethod
    def create(cls, directory: Path, *, host: str, key: LedgerKey, clock: Clock | None = None) -> Ledger:
        """Make a store in a new or empty directory and write its first entry. Raises RecorderError."""
        body: dict[str, Json] = {
            "store": os.urandom(32).hex(),
            "schema": 1,
            "log_key": key.line,
            "witness_policy": "none",
        }
        clock = clock or system_clock()
        genesis = entries.encode(
            origin=host, seq=0, t=clock.wall() // 1000, mono=clock.monotonic() // 1000, boot=clock.boot, prev="",
            type="store.created", actor="bastion", session="", request="", cause="", body=body,
        )  # fmt: skip
        clerk, origin = Clerk(key), entries.origin_of(host, genesis.leaf)
        clerk.resume(Standing(origin))
        ledger = cls(Store.create(directory), clerk, clock, origin, genesis, genesis.t)
        try:
            head = ledger._store.commit(ledger._sign(_Group(entries=[genesis]))).head
            ledger._store.write_head(head)
        except RecorderError:
            ledger._store.close()
            Store.discard(directory)
            raise
        ledger._start(head)
        return ledger

    @classmethod
    def open(cls, directory: Path, *, key: LedgerKey | Notary, clock: Clock | None = None) -> Ledger:
        """Open and recover. A notary is the ledger's from then on, and closed with it.

        Raises NotAStore, StoreBusy, StoreDamaged, StoreFailed.
        """
        notary = Clerk(key) if isinstance(key, LedgerKey) else key
        lock = -1
        try:
            lock = Store.lock(directory)  # before anything is read: a running daemon is still writing
            found = recover(directory, notary.public)
            notary.resume(found.standing, extending(directory, notary.extends, found.head.size))
            store = Store.open(directory, lock, found.slot)
        except RecorderError:
            notary.close()
            if lock >= 0:
                os.close(lock)
            raise
        clock = clock or system_clock()
        ledger = cls(store, notary, clock, found.head.origin, found.last, found.segment_began)
        try:
            if found.behind:
                store.write_head(found.head)
        except RecorderError:
            store.close()
            notary.close()
            raise
        ledger._start(found.head)
        return ledger

    def _start(self, head: Checkpoint) -> None:
        self._head = head
        self._thread = threading.Thread(target=self._run, name="ledger-writer", daemon=True)
        self._thread.start()

    # --- callers ----------------------------------------------------------------------------------------------

    def append(self, *drafts: Draft) -> Future[tuple[Entry, ...]]:
        """Queue drafts as one transaction; the future is done when they are durable.

        It raises StoreFailed (nothing of it is acknowledged) or EntryError (the drafts cannot be entries).
        """
        future: Future[tuple[Entry, ...]] = Future()
        future.set_running_or_notify_cancel()  # what is queued is written: a caller that gives up cannot undo it
        self.submit(Job(drafts, future.set_result, future.set_exception))
        return future

    def take(self, taking: Taking, *drafts: Draft) -> Future[tuple[Entry, ...]]:
        """As `append`, for entries that say what goes: it goes in the same transaction (recorder.tombstones)."""
        future: Future[tuple[Entry, ...]] = Future()
        future.set_running_or_notify_cancel()
        self.submit(Job(drafts, future.set_result, future.set_exception, taking=taking))
        return future

    def submit(self, job: Job) -> None:
        """Queue a job; it is answered from the writer thread, or here when the ledger is closed."""
        with self._guard:
            if not self._closed:
                self._queue.put(job)
                return
        job.failed(StoreFailed("the ledger is closed"))

    def seal_segment(self) -> Future[tuple[Entry, ...]]:
        """End the open segment, if it has entries. The future is done when that is durable; it raises StoreFailed."""
        future: Future[tuple[Entry, ...]] = Future()
        future.set_running_or_notify_cancel()
        self.submit(Job((), future.set_result, future.set_exception, seal=True))
        return future

    def rotate(self, new: LedgerKey, *, actor: str) -> Entry:
        """Announce a key under the one in force, and sign with it from then on. Raises RecorderError.

        For a ledger that was opened with a LedgerKey, while nobody else appends to it.
        """
        old = self._notary
        if not isinstance(old, Clerk):
            raise StoreFailed("the key of this ledger is held elsewhere", "rotate it where no daemon runs")
        said = statement(self.origin, old.key.line, new.line)
        proof = new.sshsig(hashlib.sha512(said).digest(), ROTATION)
        body = {"log_key": new.line, "previous": old.key.line, "proof": proof}
        future: Future[tuple[Entry, ...]] = Future()
        self.submit(Job((Draft(ROTATED, actor, body),), future.set_result, future.set_exception, seal=True))
        (entry,) = future.result()
        old.key = new
        return entry

    def succeed(self, successor: Successor, *, actor: str) -> Entry:
        """Announce the successor's key and have it sign from then on, while others append. Raises RecorderError; the
        successor is then closed."""
        with self._succeeding:
            try:
                previous = public_line(self._notary.public)
                line, proof = successor.prove(self.origin, previous)
                body = {"log_key": line, "previous": previous, "proof": proof}
                future: Future[tuple[Entry, ...]] = Future()
                drafts = (Draft(ROTATED, actor, body),)
                self.submit(Job(drafts, future.set_result, future.set_exception, seal=True, successor=successor))
                (entry,) = future.result()
            except RecorderError:
                successor.close()
                raise
            return entry

    def head(self) -> Checkpoint:
        """The newest durable checkpoint."""
        assert self._head is not None  # noqa: S101 - set before anybody has the object
        return self._head

    def recording(
        self, session: str, *, actor: str, notify: Callable[[], None], chunk_bytes: int = 64 * 1024
    ) -> Recording:
        """Begin the recording of a session; one each. See recorder.recording. Raises RecorderError."""
        from recorder.packer import Packer

        with self._guard:
            if self._closed:
                raise StoreFailed("the ledger is closed")
            if self._packer is None:
                self._packer = Packer(self)
            packer = self._packer
        return packer.begin(session, actor, chunk_bytes, notify)

    def close(self) -> None:
        """Write what is queued and what recordings still hold, then let go of the store. Idempotent."""
        with self._guard:
            packer, self._packer = self._packer, None
        if packer is not None:
            packer.close()
        with self._guard:
            if self._closed:
                return
            self._closed = True
            self._queue.put(None)
        if self._thread is not None:
            self._thread.join()
        self._store.close()
        self._notary.close(committed=self.failed is None)

    # --- the writer thread ------------------------------------------------------------------------------------

    def _run(self) -> None:
        more = True
        while more:
            jobs: list[Job] = []
            count = weight = 0
            patient, job = True, self._next()
            until = time.monotonic() + PATIENCE_SECONDS
            while job is not None:
                jobs.append(job)
                count, weight = count + len(job.drafts), weight + job.weight
                if count >= GROUP_ENTRIES or weight >= GROUP_BYTES or job.seal:
                    break
                patient = patient and job.patient and weight < PATIENCE_BYTES
                wait = max(0.0, until - time.monotonic()) if patient else 0.0
                try:
                    job = self._queue.get(timeout=wait)
                except queue.Empty:
                    break
            else:
                more = False
            self._commit(jobs)

    def _next(self) -> Job | None:
        """The next job, once there is one; when none comes for a moment, the store is tidied."""
        while self._store.unfolded:
            try:
                return self._queue.get(timeout=QUIET_SECONDS)
            except queue.Empty:
                self._store.fold()
        return self._queue.get()

    def _commit(self, jobs: list[Job]) -> None:
        group = _Group()
        for job in jobs:
            if self.failed is not None:
                job.failed(StoreFailed(self.failed.message, self.failed.hint))
                continue
            try:
                self._build(job, group)
            except RecorderError as error:
                job.failed(error)
            except Exception as error:  # noqa: BLE001 - a draft of wrong types must not end the thread for everybody
                job.failed(EntryError(f"no entry can be made of that: {error!r}"))
        if group.entries or (group.seal and self._began):
            try:
                sealed = self._store.commit(self._sign(group))
            except StoreFailed as error:
                self._fail(error, group)
                return
            except Exception as error:  # noqa: BLE001 - whatever it is, nothing of this group is acknowledged
                self._fail(StoreFailed(f"the ledger cannot be written: {error!r}"), group)
                return
            self._head = sealed.head
            if any(row.sealed for row in sealed.segments) and self.on_sealed is not None:
                with contextlib.suppress(Exception):  # as on_failure
                    self.on_sealed()
        if group.successor is not None:
            self._hand_over(group.successor)
        for job, made in group.answers:
            job.done(made)

    def _hand_over(self, successor: Successor) -> None:
        """The group that ends with the announcement of the successor's key is durable: it signs from here on. If we
        crash here, the next start finds the entry, and the new key in its file (bastion.ledgerkey)."""
        try:
            self._notary.close(committed=True)
            self._notary = successor
            successor.resume(*standing_of(self._store.directory, successor.extends))
        except Exception as error:  # noqa: BLE001 - without somebody who signs nothing more can be written
            said = error.message if isinstance(error, RecorderError) else repr(error)
            self._fail(StoreFailed(f"the new key cannot go on: {said}", "start the daemon again"), _Group())

    def _build(self, job: Job, group: _Group) -> None:
        """Add a job's entries to the group; all or none. Raises RecorderError."""
        last, made, payloads = self._last, list[Entry](), list[PayloadRow]()
        for draft in job.drafts:
            if draft.cause == CAUSE_PREVIOUS:
                if not made:
                    raise EntryError("the first draft has none before it in its call")
                draft = replace(draft, cause=made[-1].leaf)  # noqa: PLW2901
            body, rows = with_payloads(draft, last.seq + 1)
            mono = self.clock.monotonic() // 1000
            last = entries.encode(
                origin=self.origin, seq=last.seq + 1, t=self.clock.wall() // 1000,
                mono=max(mono, last.mono) if last.boot == self.clock.boot else mono, boot=self.clock.boot,
                prev=last.leaf, type=draft.type, actor=draft.actor, session=draft.session, request=draft.request,
                cause=draft.cause, body=body,
            )  # fmt: skip
            made.append(last)
            payloads += rows
        self._last = last
        group.entries += made
        group.payloads += payloads
        if job.chunk is not None:
            group.chunks.append(NewChunk(made[0].seq, *job.chunk))
        if job.taking:
            group.taking = Taking(
                group.taking.replaced + job.taking.replaced,
                group.taking.deleted + job.taking.deleted,
                group.taking.payloads + job.taking.payloads,
            )
        group.seal = group.seal or job.seal
        group.successor = group.successor or job.successor
        group.answers.append((job, tuple(made)))

    def _sign(self, group: _Group) -> Group:
        """Have signed what the entries lead to, while the store begins to write them. Raises RecorderError."""
        began = self._began or group.entries[0].t
        overdue = bool(group.entries) and group.entries[-1].t - began >= SEGMENT_US
        self._notary.ask([each.bytes for each in group.entries], close=group.seal or overdue)

        def signed() -> Sealed:
            sealed = self._notary.answer()
            self._began = 0 if sealed.segments[-1].sealed else began
            if len(sealed.segments) > 1 and self._began:
                self._began = group.entries[-1].t
            return sealed

        return Group(group.entries, group.payloads, group.chunks, group.taking, signed)

    def _fail(self, error: StoreFailed, group: _Group) -> None:
        self.failed = error
        for job, _ in group.answers:
            job.failed(StoreFailed(error.message, error.hint))
        if self.on_failure is not None:
            with contextlib.suppress(Exception):  # a callback's failure must not keep the queue from being refused
                self.on_failure(error)
