"""The player against the simplest one there is: a screen that is fed all frames up to where it should be."""

from __future__ import annotations

import math

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from recorder import keyframe, replay
from recorder.frames import Frame
from recorder.player import CHANGES, LOW_BYTES, MOVES, SPEEDS, Goal, Mark, Marks, Player
from recorder.screen import Screen

SIZE = (20, 4)


def recording(count: int = 60) -> list[Frame]:
    """A command every ten frames, a long pause in the middle."""
    frames, at = [Frame(0, "resize", b"20x4")], 0
    for number in range(1, count):
        at += 30_000_000 if number == count // 2 else 100_000
        if number % 10 == 1:
            frames.append(Frame(at, "marker", b"r-%d ls" % number))
        else:
            frames.append(Frame(at, "output", b"\x1b[3%dmline %d\r\n" % (number % 8, number)))
    return frames


FRAMES = recording()


def expected(upto: int) -> Screen:
    screen = Screen(*SIZE)
    for frame in FRAMES[:upto]:
        replay.apply(screen, frame)
    return screen


def moment(goal: Goal, every: int) -> tuple[bytes, list[Frame], int, int]:
    """As the daemon answers: from the nearest keyframe, one every so many frames; not more than five frames of it."""
    if goal.frame >= 0:
        target = min(goal.frame, len(FRAMES))
    else:
        target = sum(1 for frame in FRAMES if frame.at_us <= goal.at_us)
    first = target // every * every if every else 0
    screen = keyframe.pack(expected(first).keyframe()) if first else b""
    return screen, FRAMES[first : min(target, first + 5)], first, target


class Watching(RuleBasedStateMachine):
    """A person who presses keys while time passes."""

    @initialize(every=st.sampled_from([0, 7, 25]), idle=st.none() | st.sampled_from([0.0, 0.5]))
    def begin(self, every: int, idle: float | None) -> None:
        self.player, self.now, self.every = Player(SIZE, idle=idle), 100.0, every
        self.player.until_us = FRAMES[-1].at_us
        self.player.hits = [FRAMES[number].at_us for number in (3, 22, 44)]

    def read(self) -> None:
        first = self.player.wants
        if first is not None:
            self.player.give(FRAMES[first : first + 8], first)

    @rule(seconds=st.sampled_from([0.0, 0.01, 0.3, 5.0, 100.0]), budget=st.sampled_from([1, 300, 1 << 20]))
    def time_passes(self, seconds: float, budget: int) -> None:
        self.now += seconds
        wait = self.player.advance(self.now, budget)
        assert wait is None or wait >= 0
        self.read()

    @rule(name=st.sampled_from(sorted(CHANGES)))
    def change(self, name: str) -> None:
        CHANGES[name](self.player)
        assert SPEEDS[0] <= self.player.speed <= SPEEDS[-1]

    @rule(name=st.sampled_from(sorted(MOVES)))
    def move(self, name: str) -> None:
        goal = MOVES[name](self.player)
        if goal is not None:
            self.arrive(goal)

    @rule(at=st.integers(-5, 100_000_000))
    def to_a_time(self, at: int) -> None:
        goal = self.player.to_time(at)
        assert 0 <= goal.at_us <= FRAMES[-1].at_us
        self.arrive(goal)

    def arrive(self, goal: Goal) -> None:
        self.player.leave()
        assert self.player.wants is None
        assert self.player.advance(self.now) is None
        screen, frames, first, target = moment(goal, self.every)
        playing = self.player.playing
        self.player.arrive(screen, frames, first, target, goal.at_us if goal.frame < 0 else None)
        assert self.player.playing is playing
        for _ in range(100):  # without a moment passing
            if not self.player.hurrying:
                break
            self.player.advance(self.now, 500)
            self.read()
        if not playing:
            assert self.player.frame == target
        assert self.player.frame >= target
        if goal.frame < 0:
            assert self.player.position_us >= goal.at_us
        assert not self.player.refused

    @invariant()
    def it_shows_what_came_before(self) -> None:
        if hasattr(self, "player"):
            assert self.player.screen.keyframe() == expected(self.player.frame).keyframe()
            assert self.player.position_us <= FRAMES[-1].at_us
            if self.player.frame:
                assert self.player.position_us >= FRAMES[self.player.frame - 1].at_us


Watching.TestCase.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)
TestWatching = Watching.TestCase


def played(player: Player, *, most: float = 1e9) -> list[tuple[float, int]]:
    """When what was shown, called again exactly when it says so."""
    now, shown = 0.0, []
    player.play(on=True)
    while now < most:
        before = player.frame
        wait = player.advance(now)
        if player.frame != before:
            shown.append((round(now, 6), player.frame))
        if wait is None:
            first = player.wants
            if first is None or player.at_end:
                break
            player.give(FRAMES[first : first + 20], first)
        else:
            now += max(wait, 1e-6)
    return shown


def test_it_takes_the_time_that_it_took() -> None:
    total = FRAMES[-1].at_us / 1e6
    assert math.isclose(played(Player(SIZE))[-1][0], total, abs_tol=0.01)
    assert math.isclose(played(Player(SIZE, speed=4))[-1][0], total / 4, abs_tol=0.01)
    assert math.isclose(played(Player(SIZE, idle=0.05))[-1][0], 0.05 * (len(FRAMES) - 1), abs_tol=0.01)
    assert math.isclose(played(Player(SIZE, idle=2, speed=2))[-1][0], (total - 28) / 2, abs_tol=0.01)


def test_it_does_not_fall_behind_a_slow_caller() -> None:
    player = Player(SIZE)
    player.play(on=True)
    player.give(FRAMES, 0)
    player.advance(0.0)
    player.advance(1.05)
    assert player.position_us == 1_000_000


def test_it_stands_at_the_end_and_goes_on_when_there_is_more() -> None:
    player = Player(SIZE)
    played(player)
    assert player.at_end
    assert player.wants is None
    player.more()
    assert player.wants == len(FRAMES)


def test_frames_that_were_not_asked_for_are_dropped() -> None:
    player = Player(SIZE)
    player.give(FRAMES[5:9], 5)
    assert player.wants == 0
    player.give([Frame(0, "output", b"x" * 4096)] * (LOW_BYTES // 4096), 0)
    assert player.wants is None


def test_a_keyframe_that_is_none_is_said_and_everything_is_rendered() -> None:
    for bad in (b"x", keyframe.pack({"v": 2}), keyframe.pack([]), keyframe.pack("x" * 100)):
        player = Player(SIZE)
        player.arrive(bad, FRAMES[30:33], 30, 40, 7)
        assert player.refused
        while player.hurrying:
            first = player.wants
            if first is not None:
                player.give(FRAMES[first : first + 9], first)
            player.advance(0.0)
        assert player.frame == 40
        assert player.screen.keyframe() == expected(40).keyframe()


def test_commands_are_met_on_the_way_too() -> None:
    player = Player(SIZE)
    assert player.to_command(1) is None
    played(player)
    assert [mark.name for mark in player.marks] == ["r-1", "r-11", "r-21", "r-31", "r-41", "r-51"]
    player.marks = [Mark(1, 100_000, "r-1")]
    assert player.to_command(-1) == Goal(100_000, 1)
    assert player.to_command(1) is None
    assert player.to_hit(1) is None


def test_a_command_has_one_place() -> None:
    """As a governed shell marks them: held, then what runs, then how it ended."""
    marks = Marks()
    texts = [
        "a held",
        "b held",
        "b ls",
        "b exit 0",
        "c beside the shell: id",
        "c exit 0",
        "a withdrawn",
        "d held",
        "d held",
    ]
    for frame, text in enumerate(texts):
        marks.add(frame, frame * 10, text)
        marks.add(frame, frame * 10, text)
    assert [(mark.name, mark.frame) for mark in marks.all] == [("a", 0), ("b", 2), ("c", 4), ("d", 8)]


@given(st.floats(allow_nan=False), st.floats(0, 1e9))
def test_any_speed_is_one_that_makes_sense(speed: float, idle: float) -> None:
    player = Player(None, speed=speed, idle=idle)
    assert replay.SPEED_LEAST <= player.speed <= replay.SPEED_MOST
    assert (player.screen.columns, player.screen.lines, player.screen.newline) == (80, 24, True)
