"""Rendering recordings into files, beside whatever runs: a process of its own, `python -m recorder.indexer STORE DIR`.

Theory of operation. The daemon never renders. It starts this process and writes ids of sessions to its stdin, a line
each; each is followed, chunk by chunk as they become durable, until the session is over. The newest one named comes
first, and after it all in turn, so that a long one does not keep the others waiting. At the end of stdin it ends: with
`--once` when all that was asked for is rendered, else at once.

What a target sends is hostile, and the emulator may have faults that it finds. So: MEMORY bytes of address space,
CHUNK_SECONDS of processor time for a chunk, the lowest priority. Before each chunk its name goes to the file `attempt`.
When this process dies, the daemon starts it again, it reads there what it died of, and after TRIES gives that recording
up from that chunk on: `NAME.stop` says so, and so does everything that shows the recording. Nothing else is affected,
the recording least of all; searches and seeks end where rendering ended.

Space belongs to the evidence: below RESERVE bytes free on the disk nothing is written here.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import resource
import select
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from recorder import derived
from recorder.derived import Derived
from recorder.errors import RecorderError
from recorder.reader import Reader
from recorder.rendering import Part, Rendering
from recorder.replay import SHOWN
from recorder.spine import Spine

MEMORY = 1 << 30
"""Bytes of address space. The largest screen's keyframe with the lines of a chunk takes 100 MiB."""
CHUNK_SECONDS = 10
"""Of processor time: a chunk of 1 MiB takes 2 at most, one of 64 KiB a tenth; slow machines have room."""
TRIES = 2
"""Deaths at one chunk: one may have been the machine's."""
RENDER_LIMIT = 256 << 20
"""Bytes of output of one session that are rendered: some minutes of a core at 1 MB/s."""
RESERVE = 256 << 20
"""Bytes that stay free on the disk: some minutes of recording for the busiest bastion that we measured."""
POLL_SECONDS = 0.5
"""Between two looks for new chunks, which become durable after 2 s at most."""
RETRY_SECONDS = 30.0
"""After something could not be written."""
OPEN_LIMIT = 64
"""Recordings that are kept open; others are opened again when their turn comes."""
FOLLOWED_LIMIT = 4096
"""Sessions that are followed; the one that was named first goes."""
OVER = ("session.closed", "session.interrupted")


class Busy(RecorderError):
    """Another process renders that recording just now."""


class NoRoom(RecorderError):
    """The disk is nearly full."""


class Writer:
    """One recording's file, open for writing. Without a directory everything is kept in memory."""

    def __init__(self, reader: Reader, directory: Path | None, session: str) -> None:
        """Raises Busy, StoreDamaged, Missing, OSError."""
        self._reader = reader
        self.spine = Spine(session)
        self.spine.refresh(reader)
        self.derived = Derived(directory, self.spine)
        self._fd = -1
        self._held: list[Part] = []
        try:
            self._open(directory)
        except BaseException:
            self.close()
            raise

    def _open(self, directory: Path | None) -> None:
        if self.derived.path is not None and directory is not None:
            directory.mkdir(mode=0o700, exist_ok=True)
            flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
            self._fd = os.open(self.derived.path, flags, 0o600)
            try:
                fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise Busy(f"session {self.spine.session} is just being rendered by another process") from None
        self.done = self.derived.whole()
        """Chunks that are rendered."""
        self.output = 0
        """Bytes of output in them."""
        if self._fd >= 0:
            os.ftruncate(self._fd, self.derived.end)
        self._rendering = self._resume()

    def _resume(self) -> Rendering:
        """The state behind the last record: from the newest end that was kept, and what follows it once more."""
        for number in reversed(range(self.done)):
            keys = self.derived.load(number, "keys")
            if keys and keys["end"]:
                rendering, first = Rendering.resumed(keys["end"]), number + 1
                break
        else:
            rendering, first = Rendering(), 0
        for number in range(first, self.done):
            rendering.chunk(self.spine.read(self._reader, number), self.spine.links[number].first)
        return rendering

    @property
    def stopped(self) -> tuple[int, str] | None:
        """From which chunk on it is not rendered, and why."""
        return self.derived.stopped()

    def more(self) -> bool:
        """Is there a chunk to render? Raises StoreDamaged, Missing."""
        if self.done == len(self.spine.links):
            self.spine.refresh(self._reader)
        stopped = self.stopped
        return self.done < (len(self.spine.links) if stopped is None else min(stopped[0], len(self.spine.links)))

    def advance(self) -> None:
        """Render the next chunk. Raises NoRoom, StoreDamaged, Missing, OSError."""
        link = self.spine.links[self.done]
        if self._fd >= 0 and self.derived.path is not None:
            room = os.statvfs(self.derived.path)
            if room.f_bavail * room.f_frsize < RESERVE:
                raise NoRoom("the disk is nearly full", "space is kept for recordings; what is derived has to wait")
        frames = self.spine.read(self._reader, self.done)
        self.output += sum(len(frame.data) for frame in frames if frame.kind in SHOWN)
        if self.output > RENDER_LIMIT:
            self.give_up(f"only the first {RENDER_LIMIT >> 20} MiB of a session's output are rendered")
            return
        part = self._rendering.chunk(frames, link.first)
        if self._fd < 0:
            part.keys, part.end = [], None
            self._held.append(part)
        else:
            self._append(derived.record(self.spine.session, self.done, link.key, part))
        self.done += 1

    def _append(self, data: bytes) -> None:
        self.derived.refresh()
        end = self.derived.end
        try:
            view = memoryview(data)
            while view:
                written = os.pwrite(self._fd, view, end + len(data) - len(view))
                view = view[written:]
        except OSError:
            with contextlib.suppress(OSError):
                os.ftruncate(self._fd, end)
            raise

    def give_up(self, why: str) -> None:
        """Render nothing more of it."""
        if self.derived.path is not None:
            derived.stop(self.derived.path, self.done, why)

    def lines(self) -> Iterator[tuple[int, int, str]]:
        """See Derived.lines."""
        yield from self.derived.lines()
        for part in self._held:
            yield from part.lines

    def markers(self) -> Iterator[tuple[int, str]]:
        """See Derived.markers."""
        yield from self.derived.markers()
        for part in self._held:
            yield from ((at, text) for _, at, text in part.markers)

    def close(self) -> None:
        """Idempotent; the lock goes with it."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


class Attempt:
    """The file that says what is being rendered, for whoever comes after a death."""

    def __init__(self, directory: Path, name: str) -> None:
        directory.mkdir(mode=0o700, exist_ok=True)
        self._directory = directory
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        self._fd = os.open(directory / name, flags, 0o600)
        self._times: dict[tuple[str, int], int] = {}
        self._begun = True

    def look_back(self) -> None:
        """Count the death that the file tells of; give up what it died of too often."""
        try:
            value = json.loads(os.pread(self._fd, 4096, 0) or b"{}")
            name, chunk, times = str(value["file"]), int(value["chunk"]), int(value["times"]) + 1
        except (ValueError, KeyError, TypeError, RecursionError):
            return
        if times >= TRIES and name == os.path.basename(name) and (self._directory / name).is_file():
            derived.stop(self._directory / name, chunk, "the renderer did not get through what was put out there")
        else:
            self._times[(name, chunk)] = times

    def begin(self, path: Path | None, chunk: int) -> None:
        """That chunk is next."""
        self._begun = True
        if path is not None:
            times = self._times.get((path.name, chunk), 0)
            self._write(json.dumps({"file": path.name, "chunk": chunk, "times": times}))

    def end(self) -> None:
        """Nothing is being rendered."""
        if self._begun:
            self._begun = False
            self._write("")

    def _write(self, text: str) -> None:
        os.pwrite(self._fd, text.encode().ljust(256), 0)


class Indexer:
    """Follows recordings."""

    def __init__(self, reader: Reader, directory: Path, attempt: Attempt, limit: Callable[[], None]) -> None:
        """`limit` is called before each chunk."""
        self._reader, self._directory, self._attempt, self._limit = reader, directory, attempt, limit
        self._followed: dict[str, float] = {}
        """Sessions, the most urgent first, and when to look at them again (monotonic seconds)."""
        self._open: dict[str, Writer] = {}
        self._closed: set[str] = set()

    def follow(self, session: str) -> None:
        """It comes first now."""
        self._followed = {session: 0.0, **{name: at for name, at in self._followed.items() if name != session}}
        while len(self._followed) > FOLLOWED_LIMIT:
            self._drop(next(reversed(self._followed)))

    def turn(self, now: float) -> float | None:
        """One chunk of every recording that has one. When to call again, in seconds; None when nothing is followed."""
        waits = []
        for session in list(self._followed):
            if self._followed[session] <= now:
                at = self._one(session, now)
                if session in self._followed:
                    self._followed[session] = at
            if session in self._followed:
                waits.append(max(0.0, self._followed[session] - now))
        return min(waits, default=None)

    def _one(self, session: str, now: float) -> float:
        try:
            writer = self._writer(session)
            if writer.more():
                self._limit()
                self._attempt.begin(writer.derived.path, writer.done)
                try:
                    writer.advance()
                except (RecorderError, OSError, MemoryError):
                    raise
                except Exception as error:  # noqa: BLE001 - whatever it is, it must not end the other recordings
                    writer.give_up(f"the renderer failed: {type(error).__name__}")
                return now
            if session in self._closed or writer.stopped is not None:
                self._drop(session)
            elif any(self._reader.entries(types=OVER, session=session, limit=1)):
                self._closed.add(session)  # its last chunk may have come between the two looks
                return now
        except (NoRoom, Busy, OSError):
            self._close(session)
            return now + RETRY_SECONDS
        except RecorderError:
            self._drop(session)
        return now + POLL_SECONDS * (1 + len(self._followed) / 50)

    def _writer(self, session: str) -> Writer:
        found = self._open.pop(session, None) or Writer(self._reader, self._directory, session)
        self._open[session] = found
        while len(self._open) > OPEN_LIMIT:
            self._close(next(iter(self._open)))
        return found

    def _close(self, session: str) -> None:
        writer = self._open.pop(session, None)
        if writer is not None:
            writer.close()

    def _drop(self, session: str) -> None:
        self._close(session)
        self._followed.pop(session, None)
        self._closed.discard(session)

    def close(self) -> None:
        """Let go of all."""
        for session in list(self._open):
            self._close(session)


def limit_cpu() -> None:
    """CHUNK_SECONDS from now on; the kernel ends the process at the next whole second behind them."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    hard = resource.getrlimit(resource.RLIMIT_CPU)[1]
    limit = int(used.ru_utime + used.ru_stime) + CHUNK_SECONDS + 1
    resource.setrlimit(resource.RLIMIT_CPU, (limit if hard == resource.RLIM_INFINITY else min(limit, hard), hard))


def limit_process() -> None:
    """Memory, no core file with what was recorded in it, the lowest priority."""
    os.nice(19)
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def main(store: Path, directory: Path, *, once: bool) -> int:
    """Until the end of stdin."""
    limit_process()
    attempt = Attempt(directory, "attempt")
    attempt.look_back()
    with Reader.open(store) as reader:
        indexer = Indexer(reader, directory, attempt, limit_cpu)
        wait: float | None = None
        pending, ended = b"", False
        while not ended or wait is not None:
            if not ended and select.select([0], [], [], wait)[0]:
                data = os.read(0, 65536)
                ended = not data
                *names, pending = (pending + data).split(b"\n")
                for name in names:
                    indexer.follow(name.decode("utf-8", "replace"))
            elif ended and wait:
                time.sleep(wait)
            if ended and not once:
                break
            wait = indexer.turn(time.monotonic())
            if wait != 0:
                attempt.end()
            if ended and wait:
                break
        indexer.close()
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2]), once="--once" in sys.argv[3:]))
