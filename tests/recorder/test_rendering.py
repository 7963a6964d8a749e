from __future__ import annotations

import itertools
import json
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recorder import rendering
from recorder.errors import KeyframeError
from recorder.frames import Frame
from recorder.rendering import Part, Rendering
from recorder.replay import apply, screen_for
from recorder.screen import Screen
from tests.recorder.test_screen import OUTPUT


def out(at: int, data: bytes) -> Frame:
    return Frame(at, "output", data)


TERMINAL = Frame(0, "resize", b"20x3")


def parts(*chunks: list[Frame], resume: bool = False) -> list[Part]:
    """Each chunk's; with `resume` each by another process, as far as the ends that were kept allow."""
    state, first, found = Rendering(), 0, []
    for frames in chunks:
        part = state.chunk(frames, first)
        found.append(part)
        first += len(frames)
        if resume and part.end is not None:
            state = Rendering.resumed(json.loads(json.dumps(part.end)))
    return found


def lines(*chunks: list[Frame], resume: bool = False) -> list[tuple[int, str]]:
    """What a search sees: the last under each number, by time."""
    last = {number: (at, text) for part in parts(*chunks, resume=resume) for number, at, text in part.lines}
    return sorted(last.values(), key=lambda line: line[0])


def test_a_line_that_grows_is_one_line_when_it_is_complete() -> None:
    frames = [TERMINAL, out(1, b"$ "), out(2, b"l"), out(3, b"s"), out(4, b"\r\na  b"), out(5, b"\r\n$ ")]
    assert lines(frames) == [(3, "$ ls"), (4, "a  b"), (5, "$")]
    assert lines(*([frame] for frame in frames)) == lines(frames), "however it is cut into chunks"


def test_lines_keep_their_moment_when_they_scroll_away() -> None:
    frames = [TERMINAL, *(out(number, b"line %d\r\n" % number) for number in range(1, 9))]
    assert lines(frames) == [(number, f"line {number}") for number in range(1, 9)]


def test_what_was_overwritten_is_found() -> None:
    frames = [TERMINAL, out(1, b"10 %"), out(2, b"\r20 %"), out(3, b"\x1b[2J\x1b[Hcleared")]
    assert lines(frames) == [(1, "10 %"), (2, "20 %"), (3, "cleared")]


def test_the_alternate_screen_is_found_and_the_main_one_stays() -> None:
    frames = [TERMINAL, out(1, b"main"), out(2, b"\x1b[?1049h\x1b[Hsecret file"), out(3, b"\x1b[?1049l")]
    found = lines(frames)
    assert (2, "secret file") in found
    assert (1, "main") in found


def test_an_exec_has_long_lines_and_markers_and_no_keyframes() -> None:
    long = b"x" * 150
    frames = [Frame(0, "marker", b"r-1 cat log"), out(5, long + b"\nnext\n"), Frame(6, "stderr", b"oops")]
    assert [text for _, text in lines(frames)] == [long.decode(), "next", "oops"]
    (part,) = parts(frames)
    assert (part.markers, part.sizes, part.cut, part.keys) == ([(0, 0, "r-1 cat log")], [], False, [])


def test_markers_and_sizes_have_the_number_of_their_frame_in_the_recording() -> None:
    chunks = [
        [TERMINAL, out(1, b"x")],
        [Frame(7, "marker", b"r-1 ls"), Frame(8, "resize", b"10x2"), Frame(9, "exit", b"0")],
    ]
    first, second = parts(*chunks)
    assert first.sizes == [(0, 0, 20, 3)]
    assert (second.markers, second.sizes) == ([(2, 7, "r-1 ls")], [(3, 8, 10, 2)])


def test_any_moment_is_one_keyframe_and_a_step_of_output_away() -> None:
    """And what a keyframe shows is what rendering everything shows."""
    data = b"".join(b"\x1b[%dm%d\x1b[0m\r\n" % (31 + n % 6, n) for n in range(20_000))
    frames = [TERMINAL, *(out(n, data[at : at + 500]) for n, at in enumerate(range(0, len(data), 500), 1))]
    frames.insert(200, Frame(199, "resize", b"30x5"))
    cuts = [*range(0, len(frames), 130), len(frames)]
    chunks = [frames[a:b] for a, b in itertools.pairwise(cuts)]
    places: dict[int, object] = {}
    for first, part in zip(cuts, parts(*chunks), strict=False):
        places |= {first + key.frame: key.screen for key in part.keys}
        if part.end:
            places[first + 130] = part.end["screen"]
    screen, _ = screen_for(frames)
    since = 0
    for number, frame in enumerate(frames):
        if number in places:
            since = 0
            assert Screen.restore(places[number]).keyframe() == screen.keyframe()
        since += len(frame.data)
        assert since <= rendering.STEP_BYTES + 500
        apply(screen, frame)
    assert 201 in places, "behind a resize"


def test_a_quiet_session_has_few_keyframes_and_none_far_away() -> None:
    chunks = [[TERMINAL], *([out(n, b"x")] for n in range(1, 60))]
    ends = [number for number, part in enumerate(parts(*chunks)) if part.end]
    assert ends[0] == 0, "the window's size is known from there on"
    assert all(b - a <= rendering.END_CHUNKS for a, b in itertools.pairwise(ends))
    assert len(ends) <= 1 + 60 // rendering.END_CHUNKS


def test_keyframes_stay_in_proportion_to_what_was_put_out() -> None:
    """Every cell another colour: a keyframe of 2 MB, and it takes few bytes to ask for another."""
    paint = b"".join(b"\x1b[38;2;%d;%d;%dmx" % (n % 256, n // 256, n % 7) for n in range(20_000))
    touch = b"\x1b[H" + b"y" * 4000
    frames = [Frame(0, "resize", b"400x50"), out(1, paint), *(out(n, touch) for n in range(2, 200))]
    began = time.process_time()
    found = parts(*(frames[at : at + 10] for at in range(0, len(frames), 10)))
    kept = sum(len(json.dumps(key.screen)) for part in found for key in part.keys)
    kept += sum(len(json.dumps(part.end)) for part in found if part.end)
    assert kept <= 2 * rendering.KEY_SHARE * sum(len(frame.data) for frame in frames)
    assert time.process_time() - began < 20


def test_lines_stay_in_proportion_and_it_is_said() -> None:
    touch = b"".join(b"\x1b[%d;%dH%d" % (y, 1 + y % 9, y % 10) for y in range(1, 51))
    fill = b"\x1b[H" + b"z" * 20_000
    frames = [Frame(0, "resize", b"400x50"), out(1, fill)]
    for n in range(2, 400):
        frames.append(out(n, touch.replace(b"H%d" % (n % 10), b"H!")))
    (part,) = parts(frames)
    written = sum(len(frame.data) for frame in frames)
    assert sum(len(text) for _, _, text in part.lines) <= rendering.LINES_LEAST + rendering.LINES_SHARE * written
    (quiet,) = parts([TERMINAL, out(1, b"x")])
    assert not quiet.cut


def test_the_limit_of_lines_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rendering, "LINES_LEAST", 0)
    monkeypatch.setattr(rendering, "LINES_SHARE", 1)
    assert not parts([out(0, b"abcd\n")])[0].cut
    assert parts([out(0, b"abc\rabcd\rX")])[0].cut is False
    assert parts([TERMINAL, out(0, b"abcdefgh"), out(1, b"\r1"), out(2, b"\r2")])[0].cut


KINDS = st.sampled_from(["output", "output", "output", "stderr", "resize", "marker", "input", "exit"])


@settings(deadline=None)
@given(
    st.lists(st.tuples(KINDS, OUTPUT | st.sampled_from([b"30x4", b"3x2", b"r-1 x"])), max_size=12),
    st.integers(1, 6),
    st.booleans(),
)
def test_another_process_goes_on_the_same(drawn: list[tuple[str, bytes]], size: int, terminal: bool) -> None:
    frames = [TERMINAL] if terminal else []
    frames += [Frame(at, kind, data) for at, (kind, data) in enumerate(drawn)]
    chunks = [frames[at : at + size] for at in range(0, len(frames), size)]
    whole, resumed = parts(*chunks), parts(*chunks, resume=True)
    assert [(part.lines, part.markers, part.sizes) for part in resumed] == [
        (part.lines, part.markers, part.sizes) for part in whole
    ]
    times = [at for part in whole for _, at, _ in part.lines]
    assert all(0 <= at <= len(frames) for at in times)


@given(
    st.recursive(st.none() | st.integers(-1, 3) | st.text(max_size=2), lambda x: st.lists(x, max_size=4), max_leaves=8)
)
def test_only_an_end_is_taken(value: object) -> None:
    (part,) = parts([TERMINAL, out(1, b"abc")])
    assert part.end is not None
    for wrong in (value, {**part.end, "screen": value}, {k: v for k, v in part.end.items() if k != "next"}):
        with pytest.raises(KeyframeError):
            Rendering.resumed(wrong)
    try:
        Rendering.resumed({**part.end, "rows": value}).chunk([out(2, b"x\r\n" * 9)], 2)
    except KeyframeError:
        return


def test_hostile_output_takes_linear_time() -> None:
    began = time.process_time()
    for data in (
        b"\x1b[" + b"9" * 5000 + b"A",
        "a\u0301".encode() + "\u0301".encode() * 50_000,
        b"\x1bP" + b"x" * 500_000,
        b"x\x1b[999999b" * 8_000,
        b"\x1b[1;999r\x1b[999S\x1b[999T" * 3_000,
        b"\n" * 500_000,
        b"ab\x1b[D" + "\u0301".encode() * 4 + b"\x1b[4;4Hx\x1b[1;3H",
    ):
        parts([TERMINAL, out(1, data)], [out(2, data)])
        parts([out(0, data)])
    assert time.process_time() - began < 20
