"""Recording one session: frames from the event loop to signed, encrypted chunks, without holding the loop up.

Theory of operation. Three threads, one direction:

    event loop       write: append to a deque, add to a counter. No copy, hash, lock or system call.
    packer (one)     takes what is in the deque, coalesces, hashes, compresses, encrypts, submits
    ledger writer    makes the chunk durable with its `recording.chunk` entry, then counts it off

A chunk closes at `chunk_bytes` or CLOSE_AFTER after its first frame, so a crash loses at most that much, and nothing
that was acknowledged. `write` says False once more than HIGH_WATER is not yet durable: the caller stops reading from
upstream, and `notify` says when it may go on. Everything that was written is kept in any case: False is not a refusal.

What an owner has to say at the end (the command finished, with this recording) goes with the last chunk, in one
transaction: the end of a recording is one commit, and there is no moment at which one is durable and the other is not.

When recording fails, `failed` is set and `notify` called; what follows is dropped, so the session must end there (P4).

The counters need no lock: each is written by one thread only. Where two threads look at each other (`_armed` and the
deque, `_paused` and `_durable`) each first sets its own and then reads the other's, so that one of them must see it.
"""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from recorder import chunks
from recorder.entry import Entry
from recorder.errors import RecorderError, StoreFailed
from recorder.frames import (
    BULK_FRAME,
    KINDS,
    STREAM_FRAME,
    STREAMS,
    TERMINAL_FRAME,
    Frame,
    coalesce,
    encoded_size,
)
from recorder.ledger import Draft, Job

if TYPE_CHECKING:
    from recorder.packer import Packer

TERMINAL_CHUNK: Final = 64 * 1024
BULK_CHUNK: Final = 1 << 20
"""Bytes in one chunk of a shell, and of an exec's streams: larger ones compress better and cost fewer entries."""
BULK: Final = 512 * 1024
"""Bytes of a chunk that make it bulk: nobody puts out so much within CLOSE_AFTER for somebody to read."""
CLOSE_AFTER: Final = 2.0
"""Seconds that a frame waits at most before its chunk is closed."""
HIGH_WATER: Final = 32 << 20
LOW_WATER: Final = 8 << 20
"""Bytes not yet durable at which a writer should pause, and may go on: some 150 ms of disk at 200 MB/s."""
WRITE_COST: Final = 128
"""Bytes that one write is counted for beside its data: about what the objects take, so that single bytes weigh."""
EVENT_LIMIT: Final = 64 * 1024
"""Bytes of a marker, a resize or an exit; a stream's data is cut instead."""


@dataclass(frozen=True, slots=True)
class Summary:
    """A finished recording."""

    frames: int
    chunks: int
    bytes: dict[str, int]
    """Of each stream kind (output, input, stderr); 0 where it had none."""
    root: str
    """Hex: the roots of its chunks, chained; empty when nothing was recorded. Their frames are salted, so that what is
    redacted later cannot be guessed and confirmed by it, as by a hash of the streams."""
    leaf: str
    """Of the last `recording.chunk` entry; empty when nothing was recorded."""


Also = Callable[[Summary], Sequence[Draft]]
"""What is to be committed with the last chunk, made of the summary (which has no leaf yet). Called in the packer's
thread."""


def nothing(_: Summary) -> Sequence[Draft]:
    """Nothing more."""
    return ()


class Recording:
    """One session's recording. `write` and `finish` are called by one thread (the event loop)."""

    def __init__(
        self, packer: Packer, session: str, actor: str, chunk_bytes: int, notify: Callable[[], None], now: int
    ) -> None:
        """For `Ledger.recording`."""
        self.session, self.actor, self.chunk_bytes = session, actor, chunk_bytes
        self.failed: RecorderError | None = None
        """Why nothing more is recorded."""
        self._packer, self._notify, self._start = packer, notify, now
        self._pending: deque[tuple[int, str, bytes]] = deque()
        self._armed = self._paused = self._finished = False
        self._written = self._fresh = 0  # written by the event loop
        self._durable = 0  # written by the ledger writer
        self._chunk = _Chunk()  # this and the rest: the packer's
        self._bytes = {kind: 0 for kind in KINDS if kind in STREAMS}
        self._root = b""
        self._frames = self._chunks = 0
        self._leaf = ""  # written by the ledger writer, read behind the last chunk

    @property
    def backlog(self) -> int:
        """Bytes not yet durable, with WRITE_COST for each write."""
        return self._written - self._durable

    def write(self, kind: str, data: bytes) -> bool:
        """Record; never blocks. False: pause until `notify` (or, if `failed` is set, end the session).

        `data` is kept, not copied: bytes only. Raises ValueError for an unknown kind, an event of more than
        EVENT_LIMIT, or after `finish`.
        """
        if self._finished or kind not in KINDS or (kind not in STREAMS and len(data) > EVENT_LIMIT):
            raise ValueError(f"cannot record {len(data)} bytes of {kind}")
        if self.failed is not None:
            return False
        if not data and kind in STREAMS:
            return True
        self._pending.append((self._packer.now() - self._start, kind, data))
        cost = len(data) + WRITE_COST
        self._written += cost
        self._fresh += cost
        if not self._armed:
            self._armed = True
            self._packer.post(self, Due.LATER)
        if self._fresh >= self.chunk_bytes:
            self._fresh = 0
            self._packer.post(self, Due.FULL)
        if self._written - self._durable <= HIGH_WATER:
            return True
        self._paused = True
        if self._written - self._durable > LOW_WATER:
            return False
        self._paused = False
        return True

    def finish(self, also: Also = nothing) -> Future[Summary]:
        """Close the last chunk and commit it with what `also` says; the future is done when all is durable. Raises
        RecorderError through the future: then nothing of what `also` said is in the ledger."""
        future: Future[Summary] = Future()
        future.set_running_or_notify_cancel()
        if self._finished:
            raise ValueError("finished already")
        self._finished = True
        if not self._packer.post(self, Due.END, (future, also)):
            future.set_exception(self.failed or StoreFailed("the ledger is closed"))
        return future

    # --- the packer thread ------------------------------------------------------------------------------------

    def take(self, *, everything: bool) -> None:
        """Move what is pending into chunks; with `everything` the last, partial one is closed too."""
        if everything:
            self._armed = False
        chunk = self._chunk
        while self._pending:
            at_us, kind, data = self._pending.popleft()
            if kind in STREAMS:
                self._bytes[kind] += len(data)
            for at in range(0, len(data) or 1, self.chunk_bytes):
                piece = data if len(data) <= self.chunk_bytes else data[at : at + self.chunk_bytes]
                chunk.add(Frame(at_us, kind, piece))
                if at == 0:
                    chunk.cost += WRITE_COST
                if chunk.size >= self.chunk_bytes:
                    chunk = self._close_chunk()
        if everything and chunk.frames:
            self._close_chunk()

    def _close_chunk(self) -> _Chunk:
        chunk = self._chunk
        draft, bulk = self._seal_chunk()

        def done(made: tuple[Entry, ...]) -> None:
            self._durably(chunk, made[0])

        self._packer.submit(Job((draft,), done, self.fail, bulk, patient=True))
        return self._chunk

    def _durably(self, chunk: _Chunk, made: Entry) -> None:
        self._leaf = made.leaf
        self._durable += chunk.cost
        if self._paused and self.backlog <= LOW_WATER:
            self._paused = False
            self._tell()

    def _seal_chunk(self) -> tuple[Draft, tuple[bytes, bytes]]:
        """The entry, and the ciphertext and its key, of what has gathered; another chunk begins."""
        chunk, self._chunk = self._chunk, _Chunk()
        limit = BULK_FRAME if chunk.size >= BULK else STREAM_FRAME
        if self.chunk_bytes <= TERMINAL_CHUNK:
            limit = TERMINAL_FRAME
        frames = list(coalesce(chunk.frames, limit))
        facts, cipher, key = chunks.seal(
            frames,
            origin=self._packer.origin,
            session=self.session,
            number=self._chunks,
            first=self._frames,
            compressor=self._packer.compressor,
        )
        self._root = chunks.chain(self._root, facts.root)
        self._chunks += 1
        self._frames += len(frames)
        return Draft("recording.chunk", self.actor, facts.body(), session=self.session), (cipher, key)

    def end(self, future: Future[Summary], also: Also) -> None:
        """Close the last chunk, commit `also` with it, and answer `finish`."""
        if self.failed is None:
            try:
                job = self._last_job(future, also)
            except Exception as error:  # noqa: BLE001 - whatever it is, it must not end the other recordings
                self.fail(StoreFailed(f"recording failed: {error!r}"))
            else:
                self._packer.submit(job)
                return
        future.set_exception(self.failed or StoreFailed("the recording failed"))

    def _last_job(self, future: Future[Summary], also: Also) -> Job:
        self.take(everything=False)
        last, drafts, bulk = self._chunk, list[Draft](), None
        if last.frames:
            draft, bulk = self._seal_chunk()
            drafts.append(draft)
        summary = Summary(self._frames, self._chunks, dict(self._bytes), self._root.hex(), "")

        def done(made: tuple[Entry, ...]) -> None:
            if last.frames:
                self._durably(last, made[0])
            if self.failed is not None:
                future.set_exception(self.failed)
            else:
                future.set_result(replace(summary, leaf=self._leaf))

        def failed(error: RecorderError) -> None:
            self.fail(error)
            future.set_exception(error)

        return Job((*drafts, *also(summary)), done, failed, bulk)

    def fail(self, error: RecorderError) -> None:
        """Nothing more is recorded; the caller is told once."""
        if self.failed is None:
            self.failed = error
            self._pending.clear()
            self._tell()

    def _tell(self) -> None:
        with contextlib.suppress(Exception):  # e.g. an event loop that has closed meanwhile
            self._notify()


class _Chunk:
    """What will be the next chunk."""

    __slots__ = ("cost", "frames", "size")

    def __init__(self) -> None:
        self.frames: list[Frame] = []
        self.size = 0
        self.cost = 0

    def add(self, frame: Frame) -> None:
        self.frames.append(frame)
        self.size += encoded_size(1, len(frame.data))
        self.cost += len(frame.data)


End = tuple[Future[Summary], Also]
"""Whom to tell that a recording is finished, and what goes with it."""


class Due:
    """What the packer is asked for; the numbers have no order."""

    LATER: Final = 0
    """There is something that must be durable within CLOSE_AFTER."""
    FULL: Final = 1
    """There is enough for a chunk."""
    END: Final = 2
    """The recording is finished."""
