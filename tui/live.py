"""A session as it is watched: frames in, lines to show out. Pure.

Theory of operation. What comes from a target is hostile (EVIDENCE.md): it is fed to the bounded emulator of the
recorder, never to the approver's terminal, and what the emulator shows is made safe once more here. Without a pty,
stdout and stderr are two streams of text; each gets a screen of its own, tall enough to scroll back in. With a pty
there is one screen of the pty's size.

A terminal emulator is slow (about 0.5 MB/s) and a session may be fast, so there is a budget: `work` feeds a little,
and what waits beyond BACKLOG bytes is skipped, oldest first, and counted. Nothing is lost by that: this is a window,
the recording is the evidence.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from bastion.control import wire
from bastion.covering import visible
from recorder.screen import Screen
from tui.words import cell, plain

BACKLOG = 256 * 1024
"""Bytes of a stream that may wait to be shown; a busy log of half a second."""
STEP = 16 * 1024
"""Bytes fed at a time: about 30 ms of pyte, so keys stay quick."""
SCROLLBACK = 200
"""Rows of a stream without a pty."""
COLUMNS_LIMIT, ROWS_LIMIT = 500, 200
"""The largest pty that is emulated; a larger one is shown cut, and the recording has it whole."""


@dataclass(slots=True)
class Stream:
    """One stream of output."""

    screen: Screen
    waiting: deque[bytes] = field(default_factory=deque)
    waiting_bytes: int = 0
    total: int = 0
    """Bytes that came."""
    skipped: int = 0
    """Bytes that were never shown."""
    _lines: list[str] = field(default_factory=list)
    _stale: bool = False

    def add(self, data: bytes) -> None:
        self.total += len(data)
        self.waiting.append(data)
        self.waiting_bytes += len(data)
        while self.waiting_bytes > BACKLOG:
            dropped = self.waiting.popleft()
            self.waiting_bytes -= len(dropped)
            self.skipped += len(dropped)

    def work(self) -> bool:
        """Feeds up to STEP bytes; true while more is waiting."""
        budget = STEP
        while self.waiting and budget > 0:
            data = self.waiting.popleft()
            if len(data) > budget:
                self.waiting.appendleft(data[budget:])
                data = data[:budget]
            budget -= len(data)
            self.waiting_bytes -= len(data)
            self.screen.feed(data)
            self._stale = True
        return bool(self.waiting)

    def lines(self) -> list[str]:
        """What it shows, without the blank rows at the end; made anew only after something was fed."""
        if self._stale:
            self._lines, self._stale = [plain(line) for line in self.screen.text()], False
        return self._lines


class Live:
    """The frames of one session, shown."""

    def __init__(self, columns: int) -> None:
        self.pty = False
        self.out = Stream(Screen(max(20, columns), SCROLLBACK, newline=True))
        self.err = Stream(Screen(max(20, columns), SCROLLBACK, newline=True))
        self.input_bytes = 0
        self.notes: deque[tuple[int, str]] = deque(maxlen=50)
        """(microseconds since the recording began, words) of markers and ends."""

    def add(self, frame: wire.FrameInfo) -> None:
        """Takes one frame of any kind; unknown kinds are noted by their name."""
        match frame.kind:
            case "output":
                self.out.add(frame.data)
            case "stderr":
                self.err.add(frame.data)
            case "input":
                self.input_bytes += len(frame.data)
            case "resize":
                self._resize(frame.data)
            case kind:
                self.notes.append((frame.at, f"{cell(kind, 12)} {visible(frame.data, newlines=False)}"))

    def work(self) -> bool:
        """Shows a little more; true while more is waiting."""
        more = [stream.work() for stream in (self.out, self.err)]
        return any(more)

    def _resize(self, data: bytes) -> None:
        """`80x24`, as recorded. The first one says that there is a pty."""
        width, _, height = data.decode("ascii", "replace").partition("x")
        if not (width.isascii() and width.isdigit() and height.isascii() and height.isdigit()):
            return
        columns, rows = min(int(width[:4]), COLUMNS_LIMIT), min(int(height[:4]), ROWS_LIMIT)
        if columns and rows:
            self.pty = True
            self.out.screen.newline = False
            self.out.screen.resize(columns, rows)
