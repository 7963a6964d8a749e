"""The lines that a recording showed, each with its moment: what is searched. Pure; derived, and never evidence.

Theory of operation. The output goes through `Screen`. A line counts when it leaves the top of the main screen, and when
a row of the screen is overwritten by something that does not merely continue it: a line that grows key by key is one
line, at the moment it was complete. Rows are looked at after each frame (at most 10 ms of output), so what a frame
itself wipes away again, which nobody could have read, is not here: search the cast for that.

A terminal's lines are as long as the terminal was wide, and a longer one is several lines. An exec's streams have no
terminal; they are laid out on EXEC_COLUMNS.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from recorder import replay
from recorder.frames import Frame
from recorder.screen import Screen

EXEC_COLUMNS = 200
"""Columns for what no terminal has seen: most lines of logs stay whole. With 500, pyte takes 0.3 MB/s."""
BYTES_LIMIT = 2 << 20
"""Bytes of output that are rendered of one session: at 0.5-1 MB/s some seconds, well within what a search has for the
session that it is at (archive.SEARCH_GRACE). What follows is not searched, and `whole` says so."""
TEXT_LIMIT = 16 << 20
"""Characters of lines that are kept of one session."""


@dataclass(slots=True)
class Lines:
    """What one recording showed."""

    lines: list[tuple[int, str]] = field(default_factory=list)
    """(microseconds since the recording began, text), by time."""
    markers: list[tuple[int, str]] = field(default_factory=list)
    """The same of the bastion's own markers: `REQUEST COMMAND`."""
    whole: bool = True
    """False: the recording has more than is rendered of one session."""


class _Rows:
    """What stands on the screen and has not been told yet, row by row."""

    def __init__(self, found: Lines) -> None:
        self._found = found
        self._rows: dict[int, tuple[int, str]] = {}
        self._size = 0
        self.at = 0

    def leave(self, text: str) -> None:
        """A line left at the top, and all others moved up."""
        self.show(0, text)
        self._tell(0)
        self._rows = {y - 1: row for y, row in self._rows.items()}

    def show(self, y: int, text: str) -> None:
        """What row `y` is now."""
        old = self._rows[y][1] if y in self._rows else ""
        if text == old:
            return
        if not text.startswith(old):
            self._tell(y)
        self._rows[y] = (self.at, text)

    def end(self) -> None:
        for y in sorted(self._rows):
            self._tell(y)
        self._found.lines.sort(key=lambda line: line[0])

    def _tell(self, y: int) -> None:
        at, text = self._rows.pop(y, (0, ""))
        if not text.strip():
            return
        self._size += len(text)
        if self._size > TEXT_LIMIT:
            self._found.whole = False
        else:
            self._found.lines.append((at, text))


def lines(frames: Iterable[Frame]) -> Lines:
    """What the frames of one recording showed, up to the limits above. Takes linear time, whatever the bytes."""
    found = Lines()
    screen, walk = replay.screen_for(frames, EXEC_COLUMNS)
    rows = _Rows(found)
    screen.on_scroll(rows.leave)
    left = BYTES_LIMIT
    for frame in walk:
        rows.at = max(rows.at, frame.at_us)
        if frame.kind == "marker":
            found.markers.append((frame.at_us, frame.data.decode("utf-8", "replace")))
        if left <= 0:
            found.whole = found.whole and frame.kind not in ("output", "stderr")
        elif replay.apply(screen, frame):
            left -= len(frame.data)
            _look(screen, rows)
    rows.end()
    return found


def _look(screen: Screen, rows: _Rows) -> None:
    for y in sorted(screen.take_dirty()):
        rows.show(y, "".join(cell.data for cell in screen.row(y)).rstrip())
