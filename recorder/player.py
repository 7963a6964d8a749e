"""A recording that is watched: play, pause, speed, seek. Pure: the caller has the clock, the frames and the screen.

Theory of operation. The player holds a screen and the frames that come next. `advance(now)` shows what is due and says
in how many seconds to call again. It asks for frames by `wants` and gets them by `give`; where to go is a `Goal`, which
the caller turns into a state that somebody else found (a keyframe and frames) and hands to `arrive`. Between the two
the player stands still.

After a seek to where no keyframe is near there are frames to go: they are shown without waiting, a bit at each
`advance`, so that whoever calls stays quick. A command's place is where its marker stands: before its first output.

    standing   paused, at the end, or waiting for frames
    playing    the next frame is due at a moment
    hurrying   frames up to a number are shown at once, then it stands or plays as before
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from recorder import keyframe, replay
from recorder.errors import KeyframeError
from recorder.frames import Frame
from recorder.screen import Screen

SPEEDS = (0.1, 0.25, 0.5, 1.0, 1.5, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0)
"""What `faster` and `slower` step through."""
EXEC_SIZE = (80, 24)
"""For streams that no terminal has seen."""
STEP_SECONDS = 5.0
"""That `forward` and `back` go."""
IDLE_SECONDS = 2.0
"""The limit of pauses that a person gets by asking for one."""
BUDGET = 32 * 1024
"""Bytes that one `advance` shows at most: 10 to 40 ms."""
LOW_BYTES = 256 * 1024
"""Frames ahead below which more are asked for."""
FRAME_COST = 64
"""Bytes that a frame weighs beside its data."""


HELD, NEVER_RAN = "held", ("withdrawn", "denied", "expired")
"""What the bastion's markers say of a command that waits, and of one that did not run."""


@dataclass(frozen=True, slots=True)
class Goal:
    """Where to go."""

    at_us: int = 0
    frame: int = -1
    """Not negative: before the frame of this number, instead of a time."""


@dataclass(frozen=True, slots=True)
class Mark:
    """Where a command begins."""

    frame: int
    at_us: int
    name: str


class Marks:
    """Where commands begin, one place each, from a recording's markers: `NAME held`, `NAME COMMAND`, `NAME exit 0`.

    A shell's command that was held has its place where it runs then, or where it was held if it never ran.
    """

    def __init__(self) -> None:
        self._found: dict[str, Mark] = {}
        self._held: set[str] = set()

    def add(self, frame: int, at_us: int, text: str) -> None:
        """The next marker; those that are known already change nothing."""
        name, _, rest = text.partition(" ")
        known = self._found.get(name)
        if known is None:
            self._found[name] = Mark(frame, at_us, name)
            if rest == HELD:
                self._held.add(name)
        elif name in self._held and frame > known.frame:
            self._held.discard(name)
            if rest not in NEVER_RAN:
                self._found[name] = Mark(frame, at_us, name)

    def __len__(self) -> int:
        return len(self._found)

    @property
    def all(self) -> list[Mark]:
        """In order."""
        return sorted(self._found.values(), key=lambda mark: mark.frame)


class Player:
    """One recording on one screen."""

    def __init__(self, size: tuple[int, int] | None, *, speed: float = 1.0, idle: float | None = None) -> None:
        """`size`: columns and lines of the terminal at the beginning; None: there was none. `idle`: seconds that a
        pause lasts at most, before the speed counts."""
        self._size = size
        self.screen = self._blank()
        self.speed = min(max(speed, replay.SPEED_LEAST), replay.SPEED_MOST)
        self.idle = idle
        self.until_us = 0
        """Time of the last frame that is known."""
        self.position_us = 0
        self.frame = 0
        """Number of the frame that comes next."""
        self.playing = False
        self.marks: list[Mark] = []
        self._met, self._own = Marks(), set[str]()  # marks that were met on the way, and which of them nobody else told
        self.hits: list[int] = []
        """Moments (microseconds) that a search found."""
        self.refused = ""
        """Why a keyframe was not taken; then everything was rendered from the beginning."""
        self._ahead: deque[Frame] = deque()
        self._ahead_bytes = 0
        self._ended = self._waiting = False
        self._due: float | None = None
        self._hurry = 0

    def _blank(self) -> Screen:
        columns, lines = self._size or EXEC_SIZE
        return Screen(columns, lines, newline=self._size is None)

    # --- frames come

    @property
    def wants(self) -> int | None:
        """The number of the frame to read on from; None: nothing is needed now."""
        if self._ended or self._waiting or self._ahead_bytes >= LOW_BYTES:
            return None
        return self.frame + len(self._ahead)

    def give(self, frames: Iterable[Frame], first: int) -> None:
        """Frames from number `first` on; none: there are no more. Others than were asked for are dropped."""
        if first != self.frame + len(self._ahead):
            return
        some = False
        for frame in frames:
            some = True
            self._ahead.append(frame)
            self._ahead_bytes += len(frame.data) + FRAME_COST
        self._ended = not some

    def more(self) -> None:
        """The recording has grown."""
        self._ended = False

    def leave(self) -> None:
        """A goal was set: stand still until `arrive`."""
        self._waiting = True
        self._due = None

    def arrive(self, screen: bytes, frames: Iterable[Frame], first: int, target: int, at_us: int | None) -> None:
        """The state at a goal: a packed keyframe (empty: a blank screen), the frames that follow it, the first one's
        number and that of the frame to stand before. `at_us`: the moment that was asked for, if it was a time."""
        self._waiting = False
        self._ahead.clear()
        self._ahead_bytes, self._due, self._ended = 0, None, False
        self.screen, self.frame, self._hurry, self.refused = self._blank(), first, target, ""
        try:
            if screen:
                self.screen = Screen.restore(keyframe.unpack(screen))
        except KeyframeError as error:
            self.refused = error.message
            self.screen, self.frame = self._blank(), 0
        else:
            self.give(frames, first)
            self._ended = False
        mark = next((mark for mark in self.marks if mark.frame == target), None)
        self.position_us = at_us if at_us is not None else mark.at_us if mark is not None else 0

    # --- time passes

    @property
    def hurrying(self) -> bool:
        """There are frames to go to where it was sent."""
        return self.frame < self._hurry

    @property
    def at_end(self) -> bool:
        """Nothing more is to come."""
        return self._ended and not self._ahead

    def advance(self, now: float, budget: int = BUDGET) -> float | None:
        """Show what is due at `now` (seconds of any clock); in how many seconds to call again. None: there is nothing
        to wait for (paused, at the end, or frames are wanted)."""
        while self._ahead and not self._waiting:
            hurrying = self.hurrying
            if not hurrying and not self.playing:
                return None
            frame = self._ahead[0]
            if not hurrying:
                if self._due is None:
                    self._due = now + self._pause(frame.at_us)
                if self._due > now:
                    return self._due - now
            if budget <= 0:
                return 0.0
            budget -= len(frame.data) + FRAME_COST
            self._ahead.popleft()
            self._ahead_bytes -= len(frame.data) + FRAME_COST
            self._show(frame)
            if self._due is not None and self._ahead:
                self._due += self._pause(self._ahead[0].at_us)
            elif not self._ahead:
                self._due = None
        return None

    def _show(self, frame: Frame) -> None:
        replay.apply(self.screen, frame)
        self.frame += 1
        self.position_us = max(self.position_us, frame.at_us)
        self.until_us = max(self.until_us, frame.at_us)
        if frame.kind == "marker":
            self._met.add(self.frame - 1, frame.at_us, frame.data.decode("utf-8", "replace"))
            known = {mark.name for mark in self.marks} if self.marks else set()
            met = [mark for mark in self._met.all if mark.name not in known or mark.name in self._own]
            self._own |= {mark.name for mark in met}
            kept = [mark for mark in self.marks if mark.name not in self._own]
            self.marks = sorted([*kept, *met], key=lambda mark: mark.frame)

    def _pause(self, at_us: int) -> float:
        gap = max(0, at_us - self.position_us) / 1e6
        return (gap if self.idle is None else min(gap, self.idle)) / self.speed

    # --- what a person wants

    def play(self, *, on: bool) -> None:
        """Go on, or stand still."""
        self.playing, self._due = on, None

    def set_speed(self, speed: float) -> None:
        """From now on."""
        self.speed, self._due = min(max(speed, replay.SPEED_LEAST), replay.SPEED_MOST), None

    def faster(self) -> None:
        """The next of SPEEDS."""
        self.set_speed(next((each for each in SPEEDS if each > self.speed), SPEEDS[-1]))

    def slower(self) -> None:
        """The one before."""
        self.set_speed(next((each for each in reversed(SPEEDS) if each < self.speed), SPEEDS[0]))

    def to_time(self, at_us: int) -> Goal:
        """A moment, within the recording."""
        return Goal(min(max(0, at_us), max(self.until_us, self.position_us)))

    def by(self, seconds: float) -> Goal:
        """So far forth, or back."""
        return self.to_time(self.position_us + round(seconds * 1e6))

    def to_command(self, step: int) -> Goal | None:
        """The next command's beginning (1), or the one before (-1); None: there is none."""
        if step > 0:
            found = next((mark for mark in self.marks if mark.frame > self.frame), None)
        else:
            found = next((mark for mark in reversed(self.marks) if mark.frame < self.frame), None)
        return Goal(found.at_us, found.frame) if found is not None else None

    def to_hit(self, step: int) -> Goal | None:
        """The next or the last moment of `hits`; None: there is none."""
        if step > 0:
            found = next((at for at in self.hits if at > self.position_us), None)
        else:
            found = next((at for at in reversed(self.hits) if at < self.position_us), None)
        return Goal(found) if found is not None else None

    def toggle(self) -> None:
        """Play, or stand."""
        self.play(on=not self.playing)

    def toggle_idle(self) -> None:
        """Limit pauses, or keep them as they were."""
        self.idle = None if self.idle is not None else IDLE_SECONDS
        self._due = None


MOVES: dict[str, Callable[[Player], Goal | None]] = {
    "forward": lambda player: player.by(STEP_SECONDS),
    "back": lambda player: player.by(-STEP_SECONDS),
    "next": lambda player: player.to_command(1),
    "previous": lambda player: player.to_command(-1),
    "hit": lambda player: player.to_hit(1),
    "hit_back": lambda player: player.to_hit(-1),
    "begin": lambda _: Goal(0),
    "end": lambda player: Goal(player.until_us),
    "frame": lambda player: Goal(frame=player.frame + 1),
}
"""What a person does that leads elsewhere."""

CHANGES: dict[str, Callable[[Player], None]] = {
    "pause": Player.toggle,
    "faster": Player.faster,
    "slower": Player.slower,
    "idle": Player.toggle_idle,
}
"""What changes how it goes on."""
