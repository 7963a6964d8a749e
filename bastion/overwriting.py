"""Frames of a recording with secrets overwritten, byte for byte: for terminals and files, where nothing can be marked.

The recording itself keeps what was there, encrypted: it is the evidence. This is what goes out of the store to people
and tools, unless they ask for the rest and may (control/viewing.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bastion.policy.secrets import Stream, overwrite
from recorder.frames import STREAMS, Frame

LEAD = 8 << 10
"""Bytes before and behind a page of frames that are looked at for a secret that begins or ends there: twice HOLD."""
LEAD_FRAMES = 512
"""Frames likewise: keys typed one by one."""


def frames(found: Sequence[Frame]) -> list[Frame]:
    """The same frames, with the same number of bytes, and secrets in them overwritten, also those that go over several
    frames of one stream. For terminals and files: nothing in them can be marked."""
    made = list(found)
    for kind in STREAMS:
        numbers = [number for number, frame in enumerate(made) if frame.kind == kind and not frame.gone]
        joint = b"".join(made[number].data for number in numbers)
        covered, at = overwrite(joint), 0
        if covered == joint:
            continue
        for number in numbers:
            frame = made[number]
            made[number] = Frame(frame.at_us, frame.kind, covered[at : at + len(frame.data)])
            at += len(frame.data)
    return [_marker(frame) if frame.kind == "marker" else frame for frame in made]


def last(found: list[Frame]) -> list[Frame]:
    """As many of them, from the end, as have LEAD bytes."""
    return first(found[::-1])[::-1]


def first(found: list[Frame]) -> list[Frame]:
    """As many of them as have LEAD bytes."""
    size = 0
    for number, frame in enumerate(found):
        size += len(frame.data)
        if size >= LEAD:
            return found[: number + 1]
    return found


def screen(value: Any) -> Any:
    """A keyframe (recorder/keyframe.py) with the secrets on its lines overwritten. The value itself is changed."""
    columns = value["size"][0]
    _cover_rows(value["buffer"], columns)
    if value["main"] is not None:
        _cover_rows(value["main"][0], columns)
    return value


def _cover_rows(rows: list[Any], columns: int) -> None:
    """A line that reaches the last column goes on in the next one, as it does where a terminal wraps it."""
    text, cells, width, before = bytearray(), list[tuple[list[str], int] | None](), 0, -1
    for y, _, _, *runs in sorted(rows, key=lambda row: int(row[0])):
        if before >= 0 and (width < columns or y != before + 1):
            text += b"\n"
            cells.append(None)
        width, before = 0, y
        for start, _, kept in runs:
            text += b" " * max(0, start - width)
            cells += [None] * max(0, start - width)
            for number, data in enumerate(kept):
                text += data.encode("latin-1", "replace") if len(data) == 1 else b"?"
                cells.append((kept, number))
            width = start + len(kept)
    covered = overwrite(bytes(text))
    for at, (old, new) in enumerate(zip(text, covered, strict=True)):
        place = cells[at]
        if old != new and place is not None:
            place[0][place[1]] = chr(new)


def _marker(frame: Frame) -> Frame:
    covered = overwrite(frame.data)
    return frame if covered == frame.data else Frame(frame.at_us, frame.kind, covered, frame.gone)


class Covers:
    """Output on its way to an agent, where policy has secrets in it overwritten: as many bytes, a little later."""

    def __init__(self, *, protocol: bool = False) -> None:
        """`protocol`: stdout is what a program says to a program (rsync, git). Its bytes go as they are: with stars in
        them it would be broken, and kept back until more comes it would wait for ever."""
        self._streams = {kind: Stream() for kind in (("stderr",) if protocol else ("output", "stderr"))}

    def cover(self, kind: str, data: bytes) -> bytes:
        """What may go on now."""
        stream = self._streams.get(kind)
        return stream.feed(data) if stream is not None else data

    def flush(self) -> list[tuple[str, bytes]]:
        """What was kept back, by stream: the command has ended, or somebody else speaks."""
        kept = [(kind, stream.flush()) for kind, stream in self._streams.items()]
        return [(kind, data) for kind, data in kept if data]


class Live:
    """Frames as they come, for one who watches; a piece that may be the beginning of a secret comes with the next."""

    def __init__(self) -> None:
        self._streams = {kind: Stream() for kind in STREAMS}

    def cover(self, kind: str, data: bytes) -> bytes:
        """What may be shown now."""
        stream = self._streams.get(kind)
        return overwrite(data) if stream is None else stream.feed(data)
