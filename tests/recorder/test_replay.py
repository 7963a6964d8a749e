from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from recorder import replay
from recorder.frames import Frame


def out(at: int, data: bytes) -> Frame:
    return Frame(at, "output", data)


def test_pacing() -> None:
    frames = [out(500_000, b"a"), out(1_500_000, b"b"), out(61_500_000, b"c")]
    assert [step.delay for step in replay.paced(frames)] == [0.5, 1.0, 60.0]
    assert [step.delay for step in replay.paced(frames, speed=2)] == [0.25, 0.5, 30.0]
    assert [step.delay for step in replay.paced(frames, idle_limit=0.75)] == [0.5, 0.75, 0.75]
    assert [step.delay for step in replay.paced(frames, speed=2, idle_limit=0.75)] == [0.25, 0.375, 0.375]


@given(st.lists(st.integers(0, 10**12), max_size=10), st.floats(allow_nan=False))
def test_no_delay_is_negative_whatever_the_times_and_speed(times: list[int], speed: float) -> None:
    steps = list(replay.paced([out(at, b"") for at in times], speed=speed))
    assert all(step.delay >= 0 for step in steps)
    assert [step.frame.at_us for step in steps] == times


def test_a_terminal_has_its_size_and_an_exec_returns_the_carriage() -> None:
    screen, frames = replay.screen_for([Frame(0, "resize", b"100x30"), out(1, b"a\nb")])
    assert (screen.columns, screen.lines, screen.newline) == (100, 30, False)
    assert len(list(frames)) == 2
    screen, frames = replay.screen_for([out(1, b"a\nb")])
    assert (screen.columns, screen.lines, screen.newline) == (80, 24, True)
    assert list(frames) == [out(1, b"a\nb")]
    assert list(replay.screen_for([])[1]) == []


def test_last_screen() -> None:
    frames = [Frame(0, "resize", b"20x3"), out(1, b"a\r\nb\r\nc\r\nd"), Frame(2, "input", b"typed"), out(3, b"!")]
    assert replay.last_screen(frames).text() == ["b", "c", "d!"]
    assert replay.last_screen([out(0, b"a\nb"), Frame(1, "stderr", b"\nc")]).text() == ["a", "b", "c"]
    shrunk = [*frames, Frame(4, "resize", b"20x1"), Frame(5, "resize", b"nonsense")]
    assert replay.last_screen(shrunk).text() == ["d!"]


def test_the_last_screen_of_much_output_is_quick_and_the_same() -> None:
    data = b"".join(b"line %d\n" % number for number in range(1_000_000))
    frames = [out(at, data[at : at + 32768]) for at in range(0, len(data), 32768)]
    assert replay.last_screen(frames).text() == [f"line {number}" for number in range(999_977, 1_000_000)]


def test_text_has_what_scrolled_away() -> None:
    frames = [out(number, b"line %d\n" % number) for number in range(100)]
    assert list(replay.text(frames)) == [f"line {number}" for number in range(100)]


def test_seeking_shows_what_came_before_and_leaves_the_rest() -> None:
    frames = [
        Frame(0, "resize", b"20x3"),
        out(1, b"a\r\n"),
        Frame(2, "marker", b"r-1 b"),
        out(3, b"b\r\n"),
        out(9, b"c"),
    ]
    screen, walk = replay.screen_for(frames)
    passed, rest = replay.seek(screen, walk, lambda frame: replay.marks(frame, "r-1"))
    assert (passed, screen.text()) == (1, ["a"])
    assert rest is not None
    assert list(rest) == frames[2:]
    screen, walk = replay.screen_for(frames)
    passed, rest = replay.seek(screen, walk, lambda frame: frame.at_us > 3)
    assert (passed, screen.text(), rest is not None and list(rest)) == (3, ["a", "b"], frames[4:])
    screen, walk = replay.screen_for(frames)
    assert replay.seek(screen, walk, lambda frame: replay.marks(frame, "r-")) == (9, None)
    assert screen.text() == ["a", "b", "c"]
    assert not replay.marks(out(0, b"r-1 b"), "r-1")


def test_seeking_far_in_an_exec_is_quick_and_the_same() -> None:
    data = b"".join(b"line %d\n" % number for number in range(1_000_000))
    frames = [out(at, data[at : at + 32768]) for at in range(0, len(data), 32768)]
    screen, walk = replay.screen_for(frames)
    replay.seek(screen, walk, lambda _: False)
    assert screen.text() == replay.last_screen(frames).text()


def test_pacing_begins_where_it_was_opened() -> None:
    assert [step.delay for step in replay.paced([out(61_500_000, b"c")], start_us=61_000_000)] == [0.5]
