"""A recording as it is watched again: pacing, and frames into a screen. Pure: the caller waits and writes.

A recording of a terminal begins with a `resize` frame; one without is an exec's streams, which no terminal driver has
seen, so a bare line feed returns the carriage there. What reaches the person's terminal goes through `Screen` and
`paint`: never the bytes themselves (P6).
"""

from __future__ import annotations

import itertools
import re
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from recorder.frames import Frame
from recorder.screen import Screen

SPEED_LEAST, SPEED_MOST = 0.01, 1000.0
"""Factors of replay speed that make sense; asciinema has no bounds and divides by what it is given."""
TAIL_BYTES = 256 * 1024
"""Output at the end that decides an exec's last screen: 200 lines of 500 columns, twice over."""
SHOWN = ("output", "stderr")
"""Kinds of frames that a screen shows."""
_SIZE = re.compile(rb"([1-9][0-9]{0,4})x([1-9][0-9]{0,4})")


@dataclass(frozen=True, slots=True)
class Step:
    """Wait so long, then show this."""

    delay: float
    """Seconds."""
    frame: Frame


def paced(
    frames: Iterable[Frame], *, speed: float = 1.0, idle_limit: float | None = None, start_us: int = 0
) -> Iterator[Step]:
    """Frames with the time to wait before each. `idle_limit` cuts each pause, in seconds before the speed counts.
    `start_us`: where in the recording it begins."""
    speed = min(max(speed, SPEED_LEAST), SPEED_MOST)
    last = start_us
    for frame in frames:
        pause = max(0, frame.at_us - last) / 1e6
        last = max(last, frame.at_us)
        if idle_limit is not None:
            pause = min(pause, idle_limit)
        yield Step(pause / speed, frame)


def size_of(frame: Frame) -> tuple[int, int] | None:
    """Columns and lines of a `resize` frame; None for another, or a malformed one."""
    match = _SIZE.fullmatch(frame.data) if frame.kind == "resize" else None
    return (int(match[1]), int(match[2])) if match else None


def screen_for(frames: Iterable[Frame], columns: int = 80, lines: int = 24) -> tuple[Screen, Iterator[Frame]]:
    """A screen to begin with, and all the frames: of the terminal's size, or as given where there was no terminal."""
    walk = iter(frames)
    first = next(walk, None)
    size = size_of(first) if first is not None else None
    screen = Screen(*(size or (columns, lines)), newline=size is None)
    return screen, walk if first is None else itertools.chain([first], walk)


def apply(screen: Screen, frame: Frame) -> bool:
    """Show one frame; did the screen change? Input, markers and exits do not show."""
    if frame.kind in SHOWN:
        screen.feed(frame.data)
        return True
    size = size_of(frame)
    if size is not None:
        screen.resize(*size)
    return size is not None


def seek(screen: Screen, frames: Iterable[Frame], here: Callable[[Frame], bool]) -> tuple[int, Iterator[Frame] | None]:
    """Show at once what comes before the first frame that is `here`: the time of the last frame of it in microseconds,
    and the frames from `here` on; None when there is none. Of an exec's streams only the last TAIL_BYTES are rendered.
    """
    walk, passed, found = iter(frames), 0, list[Frame]()

    def before() -> Iterator[Frame]:
        nonlocal passed
        for frame in walk:
            if here(frame):
                found.append(frame)
                return
            passed = max(passed, frame.at_us)
            yield frame

    for frame in _tail(before()) if screen.newline else before():
        apply(screen, frame)
    return passed, itertools.chain(found, walk) if found else None


def marks(frame: Frame, request: str) -> bool:
    """Is this the marker of that request?"""
    return frame.kind == "marker" and frame.data.partition(b" ")[0] == request.encode()


def last_screen(frames: Iterable[Frame], columns: int = 80, lines: int = 24) -> Screen:
    """What the screen shows at the end. Of an exec's streams only the last TAIL_BYTES are rendered: they decide it."""
    screen, walk = screen_for(frames, columns, lines)
    if screen.newline:
        walk = iter(_tail(walk))
    for frame in walk:
        apply(screen, frame)
    return screen


TEXT_COLUMNS = 500
"""Columns of the text of a command without a terminal, whose lines nothing wraps: as wide as a screen can be."""


def text(frames: Iterable[Frame], columns: int = TEXT_COLUMNS, lines: int = 24) -> Iterator[str]:
    """All lines that the terminal showed, those that scrolled away first; without colours. For people and search."""
    screen, walk = screen_for(frames, columns, lines)
    gone: deque[str] = deque()
    screen.on_scroll(gone.append)
    for frame in walk:
        apply(screen, frame)
        while gone:
            yield gone.popleft()
    yield from screen.text()


def _tail(frames: Iterable[Frame]) -> deque[Frame]:
    kept: deque[Frame] = deque()
    size = 0
    for frame in frames:
        if frame.kind in SHOWN:
            kept.append(frame)
            size += len(frame.data)
            while size - len(kept[0].data) >= TAIL_BYTES:
                size -= len(kept.popleft().data)
    return kept
