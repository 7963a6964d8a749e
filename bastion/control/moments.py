"""Recordings read from any moment on: from the nearest keyframe, with the frames that lead there.

Theory of operation. Nothing is rendered here: keyframes are read from the files that the indexer wrote
(recorder/indexer.py), decrypted, and handed to whoever shows them; what is not there yet is left out, and the answer is
a further way to go. What a recording's chunks are is kept for the last few that were looked at, so that a seek reads
one record and one chunk. The keys of what was derived are among it: CHECK_SECONDS after a chunk was shredded, they are
made anew from what is left.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from pathlib import Path

from bastion import overwriting
from bastion.control.wire import FrameInfo, MarkInfo, MomentInfo, TimelineInfo
from bastion.errors import StoreError
from recorder import keyframe, replay
from recorder.derived import DIRECTORY, Derived
from recorder.errors import RecorderError
from recorder.frames import Frame
from recorder.player import Marks
from recorder.reader import Reader
from recorder.spine import Spine

PAGE_BYTES = 1 << 20
"""Bytes of frames in one answer, with FRAME_COST for each; the last one may go beyond."""

FRAME_COST = 64
"""Bytes that a frame takes in a message beside its data."""

OPEN_LIMIT = 16
"""Recordings that are kept open."""

CHUNKS_KEPT = 3
"""Chunks of a recording that are kept as they were read: that of a moment and its neighbours."""

BACK_LIMIT = 256
"""Records that are looked through for a keyframe; recorder.rendering makes one every 16 chunks, or less often only
where it would be larger than what was put out."""

SCREEN_LIMIT = 3 << 19
"""Bytes of a packed keyframe in an answer, so that it fits a message in base64, with its frames; the largest honest
screens take 20 KiB. For one that is larger, an earlier one is taken."""

TAIL_BYTES = 32 * 1024
"""Output before a moment of an exec's streams that is shown: 24 lines of 80 columns, ten times over."""

CHECK_SECONDS = 2.0
"""For which what is known of a recording's chunks is taken as it is; a look takes a millisecond."""

MARKS_LIMIT = 10_000
"""Marks in one answer, the first ones: 80 bytes each."""

REQUEST_CHARACTERS = 32
"""Of a request's name in a marker; longer ones are none."""


class Known:
    """One recording, open."""

    def __init__(self, reader: Reader, directory: Path, session: str) -> None:
        self._reader = reader
        self.spine = Spine(session)
        self.derived = Derived(directory, self.spine)
        self.first: Frame | None = None
        self._marks = Marks()
        self._marked = 0
        self.guard = threading.Lock()
        self._chunks: dict[int, list[Frame]] = {}
        self._sums: tuple[int, tuple[int, ...]] | None = None
        self._checked = 0.0

    def _chunk(self, number: int) -> list[Frame]:
        """The frames of a chunk; the last few are kept, since one answer looks at them several times."""
        found = self._chunks.pop(number, None)
        if found is None:
            found = self.spine.read(self._reader, number)
        self._chunks[number] = found
        if len(self._chunks) > CHUNKS_KEPT:
            del self._chunks[next(iter(self._chunks))]
        return found

    def still(self, now: float) -> bool:
        """Are the chunks that are known here still those of the store? Asked every CHECK_SECONDS."""
        links = self.spine.links
        if links and now - self._checked >= CHECK_SECONDS:
            old, self._checked = self._sums, now
            if old is not None and self._reader.chunk_sums(links[0].entry, links[old[0]].entry) != old[1]:
                return False
            self._sums = (len(links) - 1, self._reader.chunk_sums(links[0].entry, links[-1].entry))
        return True

    def refresh(self) -> None:
        """Take what has come since. Raises StoreDamaged, Missing; what came before that stands."""
        try:
            self.spine.refresh(self._reader)
        finally:
            if self.first is None and self.spine.links:
                self.first = self.spine.read(self._reader, 0)[0]

    @property
    def terminal(self) -> bool:
        """It had one."""
        return self.first is not None and replay.size_of(self.first) is not None

    @property
    def marks(self) -> list[MarkInfo]:
        """Where commands begin, as far as it is rendered."""
        return [MarkInfo(frame=mark.frame, at=mark.at_us, request=mark.name) for mark in self._marks.all]

    def mark(self) -> int:
        """Take the marks that have been found since; how many chunks are rendered."""
        done = self.derived.refresh()
        while self._marked < done:
            value = self.derived.load(self._marked, "markers")
            if value is None:
                return self._marked
            for frame, at, text in value["markers"]:
                if len(self._marks) < MARKS_LIMIT and len(text.partition(" ")[0]) <= REQUEST_CHARACTERS:
                    self._marks.add(frame, at, text)
            self._marked += 1
        return done

    def nearest(self, chunk: int, frame: int, *, reveal: bool) -> tuple[bytes, int]:
        """The last screen before that frame of the recording, and where it stands; empty and 0: there is none."""
        chunk = min(chunk, self.derived.refresh())
        for number in range(chunk, max(-1, chunk - BACK_LIMIT), -1):
            value = self.derived.load(number, "keys") or {"keys": [], "end": None}
            link = self.spine.links[number] if number < len(self.spine.links) else None
            places = [(link.first + at, screen) for at, screen in value["keys"]] if link else []
            if link and value["end"]:
                places.append((link.first + link.frames, value["end"]["screen"]))
            for place, screen in reversed(places):
                if place > frame:
                    continue
                packed = keyframe.pack(screen if reveal else overwriting.screen(screen))
                if len(packed) <= SCREEN_LIMIT:
                    return packed, place
        return b"", 0

    def read(self, first: int, end: int) -> list[Frame]:
        """Frames [first, end), about PAGE_BYTES of them at most. Raises StoreDamaged, Missing."""
        found: list[Frame] = []
        size = 0
        number = self.spine.chunk_of(first)
        while first < end and number < len(self.spine.links):
            link = self.spine.links[number]
            for frame in self._chunk(number)[first - link.first : end - link.first]:
                found.append(frame)
                size += len(frame.data) + FRAME_COST
                if size >= PAGE_BYTES:
                    return found
            first, number = link.first + link.frames, number + 1
        return found

    def told(self, first: int, frames: list[Frame], *, reveal: bool) -> list[FrameInfo]:
        """These frames, the first of which has that number, as messages; secrets in them are overwritten unless
        `reveal`, also those that began before or go on behind them."""
        if not reveal and frames:
            lead, behind = self._before(first), self._behind(first + len(frames))
            covered = overwriting.frames([*lead, *frames, *behind])
            frames = covered[len(lead) : len(lead) + len(frames)]
        return [FrameInfo(at=frame.at_us, kind=frame.kind, data=frame.data) for frame in frames]

    def _before(self, first: int) -> list[Frame]:
        """What leads to that frame, as far as secrets go; less where it cannot be had."""
        found: list[Frame] = []
        number = self.spine.chunk_of(first - 1) if first > 0 else -1
        while number >= 0 and len(found) < overwriting.LEAD_FRAMES:
            try:
                frames = self._chunk(number)[: max(0, first - self.spine.links[number].first)]
            except RecorderError:
                break
            found = [*frames, *found]
            if len(shorter := overwriting.last(found)) < len(found):
                return shorter
            number -= 1
        return found

    def _behind(self, first: int) -> list[Frame]:
        """What goes on from that frame, likewise."""
        found: list[Frame] = []
        number = self.spine.chunk_of(first)
        while number < len(self.spine.links) and len(found) < overwriting.LEAD_FRAMES:
            try:
                found += self._chunk(number)[max(0, first - self.spine.links[number].first) :]
            except RecorderError:
                break
            if len(shorter := overwriting.first(found)) < len(found):
                return shorter
            number += 1
        return found

    def behind(self, at: int) -> tuple[int, int]:
        """The chunk and the number of the first frame later than `at`."""
        number = self.spine.chunk_at(at)
        frames = self._chunk(number)
        passed = next((n for n, frame in enumerate(frames) if frame.at_us > at), len(frames))
        return number, self.spine.links[number].first + passed

    def tail(self, chunk: int, target: int) -> tuple[int, list[Frame]]:
        """What an exec put out last before that frame, and where it begins."""
        kept: list[Frame] = []
        first, size = target, 0
        while chunk >= 0 and size < TAIL_BYTES:
            link = self.spine.links[chunk]
            for frame in reversed(self._chunk(chunk)[: max(0, target - link.first)]):
                kept.append(frame)
                first -= 1
                size += (len(frame.data) if frame.kind in replay.SHOWN else 0) + FRAME_COST
                if size >= TAIL_BYTES:
                    break
            chunk -= 1
        return first, kept[::-1]


class Moments:
    """Those of one store. Every call may be made from any thread."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._directory = reader.directory.parent / DIRECTORY
        self._known: OrderedDict[str, Known] = OrderedDict()
        self._guard = threading.Lock()

    def _of(self, session: str) -> Known:
        with self._guard:
            known = self._known.pop(session, None)
            if known is None or not known.still(time.monotonic()):
                known = Known(self._reader, self._directory, session)
            self._known[session] = known
            if len(self._known) > OPEN_LIMIT:
                self._known.popitem(last=False)
            return known

    def timeline(self, session: str) -> TimelineInfo:
        """Raises StoreError."""
        known = self._of(session)
        with known.guard:
            try:
                known.refresh()
            except RecorderError as error:
                if not known.spine.links:
                    raise StoreError(error.message, error.hint) from None
            rendered, stopped = known.mark(), known.derived.stopped()
            size = replay.size_of(known.first) if known.first is not None else None
            return TimelineInfo(
                session=session, frames=known.spine.frames, until=known.spine.until_us, terminal=size is not None,
                columns=size[0] if size else 0, lines=size[1] if size else 0, marks=known.marks,
                chunks=len(known.spine.links), rendered=rendered, stopped=stopped[1] if stopped else "",
            )  # fmt: skip

    def moment(self, session: str, at: int, frame: int = -1, *, reveal: bool = False) -> MomentInfo:
        """Raises StoreError."""
        known = self._of(session)
        with known.guard:
            try:
                return self._moment(known, at, frame, reveal=reveal)
            except RecorderError as error:
                raise StoreError(error.message, error.hint) from None

    def _moment(self, known: Known, at: int, frame: int, *, reveal: bool) -> MomentInfo:
        if at > known.spine.until_us or frame >= known.spine.frames or not known.spine.links:
            known.refresh()
        if not known.spine.links:
            return MomentInfo(screen=b"", first=0, frames=[], target=0, at=0)
        if frame >= 0:
            target = min(frame, known.spine.frames)
            chunk = known.spine.chunk_of(target)
        else:
            chunk, target = known.behind(at)
        if known.terminal:
            screen, first = known.nearest(chunk, target, reveal=reveal)
            frames = known.read(first, target)
        else:
            screen = b""
            first, frames = known.tail(chunk, target)
        shown = known.told(first, frames, reveal=reveal)
        return MomentInfo(screen=screen, first=first, frames=shown, target=target, at=max(0, at))

    def frames(self, session: str, after: int, *, reveal: bool = False) -> list[FrameInfo]:
        """Frames from number `after`, about PAGE_BYTES of them; empty at the end of what is durable.

        Raises StoreError at the chunk that cannot be had; what came before it is read.
        """
        known = self._of(session)
        with known.guard:
            try:
                if after >= known.spine.frames:
                    try:
                        known.refresh()
                    except RecorderError:
                        if after >= known.spine.frames:
                            raise
                return known.told(after, known.read(after, known.spine.frames), reveal=reveal)
            except RecorderError as error:
                raise StoreError(error.message, error.hint) from None
