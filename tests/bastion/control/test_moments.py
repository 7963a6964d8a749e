"""Any moment of a recording, with keyframes and without: what is shown is what rendering all of it shows."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from bastion.control import moments, wire
from bastion.control.archive import Archive
from bastion.control.moments import Moments
from bastion.errors import StoreError
from recorder import keyframe, replay
from recorder.frames import Frame
from recorder.indexer import Writer
from recorder.ledger import Ledger
from recorder.reader import Reader
from recorder.screen import Screen
from tests.recorder.stories import HOST, ledger_key


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    made = Ledger.create(tmp_path / "store", host=HOST, key=ledger_key())
    yield made
    made.close()


def record(ledger: Ledger, session: str, *, terminal: bool) -> None:
    """Some 400 KB in chunks of 8 KiB."""
    rng = random.Random(7)
    recording = ledger.recording(session, actor="x", notify=lambda: None, chunk_bytes=8192)
    if terminal:
        recording.write("resize", b"40x10")
    for number in range(40):
        recording.write("marker", b"r-%04d ls" % number)
        for _ in range(10):
            line = b"\x1b[3%dm%d\x1b[0m " % (rng.randrange(8), rng.randrange(10**6))
            recording.write("output", line * 70 + (b"\x1b[2J\x1b[H" if rng.random() < 0.1 else b"\r\n"))
        if terminal and number == 20:
            recording.write("resize", b"50x7")
    recording.write("exit", b"0")
    recording.finish().result(30)


@pytest.fixture
def reader(ledger: Ledger, tmp_path: Path) -> Iterator[Reader]:
    record(ledger, "s-1", terminal=True)
    record(ledger, "s-2", terminal=False)
    with Reader.open(tmp_path / "store") as opened:
        yield opened


def render(reader: Reader, session: str, most: int = 1000) -> None:
    writer = Writer(reader, reader.directory.parent / "derived", session)
    while writer.more() and writer.done < most:
        writer.advance()
    writer.close()


def shown(found: wire.MomentInfo, look: Moments, session: str) -> Screen:
    """As a player does it."""
    screen = Screen.restore(keyframe.unpack(found.screen)) if found.screen else None
    frames, place = list(found.frames), found.first
    while place + len(frames) < found.target:
        more = look.frames(session, place + len(frames))
        frames += more[: found.target - place - len(frames)]
    made = [Frame(each.at, each.kind, each.data) for each in frames]
    if screen is None:
        about = look.timeline(session)
        screen = Screen(about.columns or 80, about.lines or 24, newline=not about.terminal)
    for frame in made:
        replay.apply(screen, frame)
    return screen


@pytest.mark.parametrize("most", [1000, 20, 0])
def test_any_moment_of_a_terminal(reader: Reader, most: int) -> None:
    render(reader, "s-1", most)
    look, frames = Moments(reader), list(reader.frames("s-1"))
    timeline = look.timeline("s-1")
    assert (timeline.frames, timeline.until) == (len(frames), frames[-1].at_us)
    assert (timeline.terminal, timeline.columns, timeline.lines) == (True, 40, 10)
    assert (timeline.rendered, timeline.stopped) == (min(most, timeline.chunks), "")
    places = [(mark.frame, mark.at, mark.request) for mark in timeline.marks]
    marks = [
        (number, frame.at_us, frame.data.split()[0].decode())
        for number, frame in enumerate(frames)
        if frame.kind == "marker"
    ]
    assert places == marks[: len(places)]
    assert (len(places) == len(marks)) is (most == 1000)
    whole, _ = replay.screen_for(frames)
    for number, frame in enumerate([*frames, None]):
        if number % (17 if most == 1000 else 97) == 0 or number in (len(frames), len(frames) - 1):
            found = look.moment("s-1", 0, number)
            assert found.target == number
            assert sum(len(each.data) for each in found.frames) <= moments.PAGE_BYTES + 4096
            if most == 1000 and number > 400:
                assert found.screen
                assert sum(len(each.data) for each in found.frames) < 40_000
            assert shown(found, look, "s-1").keyframe() == whole.keyframe(), number
        if frame is not None:
            replay.apply(whole, frame)


def test_moments_by_time(reader: Reader) -> None:
    render(reader, "s-1")
    look, frames = Moments(reader), list(reader.frames("s-1"))
    for at in (0, frames[50].at_us - 1, frames[50].at_us, frames[-1].at_us - 1, frames[-1].at_us, 1 << 52):
        found = look.moment("s-1", at)
        assert found.target == sum(1 for frame in frames if frame.at_us <= at)
    assert look.moment("s-1", 0, 1 << 50).target == len(frames)


def test_an_exec_shows_its_tail(reader: Reader) -> None:
    look, frames = Moments(reader), list(reader.frames("s-2"))
    assert not look.timeline("s-2").terminal
    for number in (0, 5, 300, len(frames)):
        found = look.moment("s-2", 0, number)
        assert sum(len(frame.data) for frame in found.frames) <= moments.TAIL_BYTES + 4096
        whole = Screen(80, 24, newline=True)
        for frame in frames[:number]:
            replay.apply(whole, frame)
        assert shown(found, look, "s-2").text() == whole.text()


def test_frames_are_read_from_anywhere(reader: Reader) -> None:
    look, frames = Moments(reader), list(reader.frames("s-1"))
    for after in (0, 1, 57, len(frames) - 1, len(frames), len(frames) + 5):
        found = [Frame(each.at, each.kind, each.data) for each in look.frames("s-1", after)]
        assert found == frames[after : after + len(found)]
        assert bool(found) is (after < len(frames))
    assert look.frames("s-nothing", 0) == []
    assert look.timeline("s-nothing").frames == 0
    assert look.moment("s-nothing", 5).target == 0


def test_what_is_recorded_meanwhile_is_seen(ledger: Ledger, reader: Reader) -> None:
    look = Moments(reader)
    recording = ledger.recording("s-3", actor="x", notify=lambda: None, chunk_bytes=4096)
    recording.write("resize", b"40x10")
    recording.write("output", b"x" * 5000)
    recording.write("output", b"y")
    while not (first := look.timeline("s-3")).frames:
        pass
    assert look.moment("s-3", 1 << 50).target == first.frames
    recording.finish().result(30)
    assert look.timeline("s-3").frames > first.frames
    assert look.moment("s-3", 1 << 50).target > first.frames


def test_what_is_shredded_cannot_be_seen_from_then_on(
    ledger: Ledger, reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not even through what was derived from it and opened before."""
    render(reader, "s-1")
    look = Moments(reader)
    timeline = look.timeline("s-1")
    last = look.moment("s-1", 0, timeline.frames)
    assert last.screen
    ledger.close()
    seq = next(reader.entries(types=("recording.chunk",), session="s-1")).seq
    with sqlite3.connect(reader.directory / "ledger.sqlite3") as db:
        db.execute("DELETE FROM chunks WHERE seq = ?", (seq + 2,))
    db.close()
    monkeypatch.setattr(moments, "CHECK_SECONDS", 0.0)
    with pytest.raises(StoreError):
        look.moment("s-1", 0, timeline.frames)
    left = look.timeline("s-1")
    assert 0 < left.frames < timeline.frames
    assert look.frames("s-1", 0)
    with pytest.raises(StoreError):
        look.frames("s-1", left.frames)


def test_a_keyframe_that_fits_no_message_is_left_out(reader: Reader, monkeypatch: pytest.MonkeyPatch) -> None:
    render(reader, "s-1")
    look = Moments(reader)
    assert look.moment("s-1", 0, 600).screen
    monkeypatch.setattr(moments, "SCREEN_LIMIT", 10)
    found = look.moment("s-1", 0, 600)
    assert (found.screen, found.first) == (b"", 0)


def test_the_largest_answer_fits_a_message() -> None:
    """Frames of every size: they weigh what they take."""
    for size in (0, 1, 40, 4096, 1 << 15):
        count = moments.PAGE_BYTES // (size + moments.FRAME_COST) + 2
        frames = [wire.FrameInfo(at=1 << 50, kind="output", data=b"x" * size)] * count
        made = wire.MomentInfo(
            screen=bytes(moments.SCREEN_LIMIT), first=1 << 40, frames=frames, target=1 << 40, at=1 << 50
        )
        assert len(wire.encode(wire.reply(1, made))) < wire.LINE_LIMIT
    mark = wire.MarkInfo(frame=1 << 40, at=1 << 50, request="\x01" * moments.REQUEST_CHARACTERS)
    timeline = wire.TimelineInfo(
        session="s" * 20, frames=1, until=1, terminal=True, columns=500, lines=200, marks=[mark] * moments.MARKS_LIMIT,
        chunks=1, rendered=1, stopped="x" * 200,
    )  # fmt: skip
    assert len(wire.encode(wire.reply(1, timeline))) < wire.LINE_LIMIT


async def test_the_archive_asks_it(reader: Reader) -> None:
    archive = Archive(reader)
    assert (await archive.timeline("s-1")).frames == (await archive.moment("s-1", 1 << 50, -1)).target
    assert await archive.frames("s-1", 10)
