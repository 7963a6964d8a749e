"""The thread that makes chunks for all recordings of a ledger (recorder.recording)."""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

import zstandard

from recorder import chunks
from recorder.errors import RecorderError, StoreFailed
from recorder.recording import BULK_CHUNK, CLOSE_AFTER, Due, End, Recording

if TYPE_CHECKING:
    from recorder.ledger import Ledger

KNOWN: Final = 100_000
"""Sessions that are remembered as recorded, so that none is recorded twice: ten megabytes. Their names are random."""


class Packer:
    """The thread that makes chunks for all recordings of a ledger."""

    def __init__(self, ledger: Ledger) -> None:
        self.origin, self.submit = ledger.origin, ledger.submit
        self.compressor = zstandard.ZstdCompressor(level=chunks.LEVEL)
        self._monotonic = ledger.clock.monotonic
        self._queue: queue.SimpleQueue[tuple[Recording, int, End | None] | None] = queue.SimpleQueue()
        self._live: dict[str, Recording] = {}
        self._known: dict[str, None] = {}
        self._closed = False
        self._guard = threading.Lock()
        self._due: deque[tuple[float, Recording]] = deque()
        self._thread = threading.Thread(target=self._run, name="recording-packer", daemon=True)
        self._thread.start()

    def now(self) -> int:
        """Microseconds of the monotonic clock."""
        return self._monotonic() // 1000

    def begin(self, session: str, actor: str, chunk_bytes: int, notify: Callable[[], None]) -> Recording:
        """A new recording. Raises RecorderError when the session is one of the last KNOWN that had one, or the ledger
        is closed."""
        if not 4096 <= chunk_bytes <= BULK_CHUNK:
            raise ValueError(f"chunks of {chunk_bytes} bytes; 4096 to {BULK_CHUNK} make sense")
        with self._guard:
            if self._closed:
                raise StoreFailed("the ledger is closed")
            if session in self._known:
                raise RecorderError(f"session {session} has a recording already")
            self._known[session] = None
            if len(self._known) > KNOWN:
                del self._known[next(iter(self._known))]
            recording = self._live[session] = Recording(self, session, actor, chunk_bytes, notify, self.now())
        return recording

    def post(self, recording: Recording, due: int, end: End | None = None) -> bool:
        """Ask for work. False when there is nobody left to do it."""
        if self._closed:
            return False
        self._queue.put((recording, due, end))
        return True

    def close(self) -> None:
        """Make chunks of everything that has been written, and end."""
        self._queue.put(None)
        self._thread.join()

    def _run(self) -> None:
        while True:
            wait = max(0.0, self._due[0][0] - time.monotonic()) if self._due else None
            try:
                message = self._queue.get(timeout=wait)
            except queue.Empty:
                message = (self._due[0][1], Due.LATER, None)
                self._due.popleft()
                self._work(message[0], everything=True)
                continue
            if message is None:
                break
            self._handle(*message)
        with self._guard:
            self._closed = True
        with contextlib.suppress(queue.Empty):
            while True:
                message = self._queue.get_nowait()
                if message is not None and message[1] == Due.END:
                    self._handle(*message)
        for recording in list(self._live.values()):
            self._work(recording, everything=True)
            recording.fail(StoreFailed("the ledger is closed"))

    def _handle(self, recording: Recording, due: int, end: End | None) -> None:
        if due == Due.LATER:
            self._due.append((time.monotonic() + CLOSE_AFTER, recording))
        elif due == Due.FULL:
            self._work(recording, everything=False)
        elif end is not None:
            with self._guard:
                self._live.pop(recording.session, None)
            recording.end(*end)

    def _work(self, recording: Recording, *, everything: bool) -> None:
        try:
            recording.take(everything=everything)
        except Exception as error:  # noqa: BLE001 - whatever it is, it must not end the other recordings
            recording.fail(StoreFailed(f"recording failed: {error!r}"))
