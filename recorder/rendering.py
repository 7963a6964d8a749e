"""One recording, rendered chunk by chunk: keyframes to seek by, lines to search in, markers to jump to. Pure.

Theory of operation. The output goes through `Screen`. Of each chunk come

    keyframes   the whole screen, at places that are at most about STEP_BYTES of output apart, and after each resize, so
                that any moment is one keyframe and a few milliseconds of rendering away; only for terminals
    an end      the screen and the lines at the chunk's end, when enough has happened since the last: rendering goes on
                from there, in this process or another
    lines       what a screen showed, each with its moment. A line counts when it leaves the top of the main screen, and
                when a row is overwritten by something that does not merely continue it; what still stands at the end of
                a chunk is told, too, and told again under the same number when it has grown
    markers     where commands begin, and where the window changed

Rows are looked at after each frame (at most 10 ms of output), so what a frame itself wipes away again, which nobody
could have read, is not here: search the cast for that. An exec's streams have no terminal: they are laid out on
EXEC_COLUMNS, without keyframes.

Hostile output can make a keyframe large (every cell another colour). So none is kept before KEY_SHARE of its own size
has been put out, and lines have at most LINES_SHARE of what was: all of it stays in proportion to the recording.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from recorder import replay
from recorder.errors import KeyframeError
from recorder.frames import Frame
from recorder.screen import Screen

STEP_BYTES = 12 * 1024
"""Output between two keyframes: 3 to 15 ms of rendering."""
END_BYTES = 4 * 1024
"""Output since the last keyframe that makes the end of a chunk worth one."""
END_CHUNKS = 16
"""Chunks after which one is made in any case: that many are read at most for a moment of a quiet session."""
KEY_SHARE = 4
"""A keyframe of so many bytes takes 1/KEY_SHARE of them in output since the last one. It shrinks to a fifth on disk."""
LINES_SHARE = 8
"""Characters of lines for each byte of output, beyond LINES_LEAST: what htop needs, which changes a few of each row."""
LINES_LEAST = 64 * 1024
"""Characters of lines that a chunk may have however little it put out: three of the largest screens that people use."""
EXEC_COLUMNS = 200
"""Columns for what no terminal has seen: most lines of logs stay whole."""
MARKER_TEXT = 512
"""Characters of a marker that are kept; the request has all of it."""


@dataclass(frozen=True, slots=True)
class Key:
    """A screen in the middle of a chunk."""

    frame: int
    """It is the state before this frame of the chunk."""
    screen: dict[str, Any]


@dataclass(slots=True)
class Part:
    """What one chunk showed."""

    keys: list[Key] = field(default_factory=list)
    end: dict[str, Any] | None = None
    """To go on from behind this chunk: `Rendering.resumed`."""
    lines: list[tuple[int, int, str]] = field(default_factory=list)
    """(number, microseconds since the recording began, text). A number that comes again replaces what it had."""
    markers: list[tuple[int, int, str]] = field(default_factory=list)
    """(number of the frame in the recording, microseconds, text) of the bastion's own markers: `REQUEST COMMAND`."""
    sizes: list[tuple[int, int, int, int]] = field(default_factory=list)
    """(number of the frame, microseconds, columns, lines) of the terminal's window."""
    cut: bool = False
    """There was more text than LINES_SHARE allows."""


class _Rows:
    """What stands on the screen, row by row: number, moment, text."""

    def __init__(self) -> None:
        self.rows: dict[int, tuple[int, int, str]] = {}
        self.next = 0
        self.at = 0
        self.changed: dict[int, tuple[int, str]] = {}
        self.room = 0
        self.cut = False

    def leave(self, text: str) -> None:
        """A line left at the top, and all others moved up."""
        self.show(0, text)
        self.rows = {y - 1: row for y, row in self.rows.items() if y}

    def show(self, y: int, text: str) -> None:
        """What row `y` is now."""
        number, _, old = self.rows.get(y, (-1, 0, ""))
        if text == old:
            return
        if number < 0 or not text.startswith(old):
            if not text.strip():
                self.rows.pop(y, None)
                return
            number, self.next = self.next, self.next + 1
        self.rows[y] = (number, self.at, text)
        before = self.changed.pop(number, None)
        self.room -= len(text) - (len(before[1]) if before else 0)
        if self.room < 0:
            self.cut = True
        else:
            self.changed[number] = (self.at, text)


class Rendering:
    """The state between two chunks of one recording."""

    def __init__(self) -> None:
        self.screen: Screen | None = None
        """None before the first frame."""
        self._rows = _Rows()
        self._since = 0  # output since the last keyframe
        self._chunks = END_CHUNKS  # chunks since the last end: the first one has one
        self._wait = 0  # output that the last keyframe asks for before the next

    @classmethod
    def resumed(cls, end: object) -> Rendering:
        """From a `Part.end`. Raises KeyframeError."""
        made = cls()
        try:
            # whatever it is not, it raises, and that is a KeyframeError
            screen, rows, numbers = end["screen"], end["rows"], (end["next"], end["at"], end["wait"])  # type: ignore[index]
            made._rows.next, made._rows.at, made._wait = map(int, numbers)
            made._rows.rows = {int(y): (int(number), int(at), str(text)) for y, number, at, text in rows}
        except (KeyError, TypeError, ValueError) as error:
            raise KeyframeError(f"not the end of a chunk: {error!r}") from None
        made._see(Screen.restore(screen))
        made._chunks = 0
        return made

    def _see(self, screen: Screen) -> Screen:
        self.screen = screen
        screen.on_scroll(self._rows.leave)
        return screen

    def chunk(self, frames: Sequence[Frame], first: int) -> Part:
        """The next chunk; `first` is the number of its first frame."""
        part, rows = Part(), self._rows
        screen = self.screen or self._see(replay.screen_for(frames, EXEC_COLUMNS)[0])
        rows.changed, rows.cut = {}, False
        rows.room = LINES_LEAST + LINES_SHARE * sum(len(frame.data) for frame in frames if frame.kind in replay.SHOWN)
        for number, frame in enumerate(frames):
            rows.at = max(rows.at, frame.at_us)
            size = replay.size_of(frame)
            if frame.kind == "marker":
                text = frame.data.decode("utf-8", "replace")[:MARKER_TEXT]
                part.markers.append((first + number, frame.at_us, text))
            elif size is not None:
                part.sizes.append((first + number, frame.at_us, *size))
            was = (screen.columns, screen.lines)
            if replay.apply(screen, frame):
                self._since += len(frame.data) if (screen.columns, screen.lines) == was else STEP_BYTES
                _look(screen, rows)
            if self._since >= max(STEP_BYTES, self._wait) and number + 1 < len(frames) and not screen.newline:
                self._keep(part, number + 1, screen)
        self._chunks += 1
        if self._since >= max(END_BYTES, self._wait) or self._chunks >= END_CHUNKS or screen.newline:
            self._finish(part, screen)
        part.lines = [(number, at, text) for number, (at, text) in rows.changed.items()]
        part.cut = rows.cut
        return part

    def _keep(self, part: Part, number: int, screen: Screen) -> None:
        value = screen.keyframe()
        if self._fits(value):
            part.keys.append(Key(number, value))

    def _finish(self, part: Part, screen: Screen) -> None:
        rows = self._rows
        kept = [[y, *row] for y, row in sorted(rows.rows.items())]
        value = {"screen": screen.keyframe(), "rows": kept, "next": rows.next, "at": rows.at}
        if self._fits(value) or self._chunks >= END_CHUNKS or screen.newline:
            part.end = value | {"wait": self._wait}
            self._since = self._chunks = 0

    def _fits(self, value: object) -> bool:
        """Is it in proportion to what was put out? What is asked too early is not asked at every frame."""
        self._wait = len(json.dumps(value, separators=(",", ":"))) // KEY_SHARE
        if self._since < self._wait:
            return False
        self._since = 0
        return True


def _look(screen: Screen, rows: _Rows) -> None:
    for y in sorted(screen.take_dirty()):
        rows.show(y, screen.line(y))
