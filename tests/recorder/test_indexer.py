"""Derived files of real recordings, and the process that makes them: kept, cut, forged, shredded, killed."""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from recorder import derived, indexer
from recorder.derived import PARTS, Derived, name_of
from recorder.errors import RecorderError
from recorder.indexer import Attempt, Busy, Indexer, NoRoom, Writer
from recorder.ledger import Draft, Ledger
from recorder.reader import Missing, Reader
from recorder.spine import Spine

ROOT = Path(__file__).resolve().parents[2]
SCREENS = [b"\x1b[2J\x1b[Hscreen %d\r\n" % n + b"\x1b[3%dmtext\x1b[0m " % (n % 8) * 300 for n in range(12)]


def record(ledger: Ledger, session: str, *outputs: bytes, over: bool = True) -> None:
    """A terminal's recording of several chunks of at most 4 KiB."""
    recording = ledger.recording(session, actor="x", notify=lambda: None, chunk_bytes=4096)
    recording.write("resize", b"40x10")
    recording.write("marker", b"r-1 make")
    for output in outputs:
        recording.write("output", output)
    recording.finish().result(30)
    if over:
        ledger.append(Draft("session.closed", "x", {"end": "done"}, session=session)).result(30)


@pytest.fixture
def reader(ledger: Ledger, store: Path) -> Iterator[Reader]:
    record(ledger, "s-1", *SCREENS)
    with Reader.open(store) as opened:
        yield opened


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "derived"


def render(reader: Reader, directory: Path, session: str = "s-1") -> Path:
    """All of it; the file."""
    writer = Writer(reader, directory, session)
    while writer.more():
        writer.advance()
    writer.close()
    return directory / name_of(session)


def contents(reader: Reader, directory: Path, session: str = "s-1") -> list[Any]:
    """Every part of every record that can be had."""
    spine = Spine(session)
    with contextlib.suppress(RecorderError):
        spine.refresh(reader)
    found = Derived(directory, spine)
    return [[found.load(number, part) for part in PARTS] for number in range(found.refresh())]


def test_a_recording_is_rendered_once(reader: Reader, directory: Path) -> None:
    file = render(reader, directory)
    (spine := Spine("s-1")).refresh(reader)
    values = contents(reader, directory)
    assert len(values) == len(spine.links) > 6
    assert all(value is not None for record in values for value in record)
    assert [(frame, text) for frame, _, text in values[0][2]["markers"]] == [(1, "r-1 make")]
    assert [(frame, *size) for frame, _, *size in values[0][2]["sizes"]] == [(0, 40, 10)]
    assert {"screen 11"} <= {text for record in values for _, _, text in record[1]["lines"]}
    assert (file.stat().st_mode & 0o777, directory.stat().st_mode & 0o777) == (0o600, 0o700)
    data = file.read_bytes()
    assert b"screen" not in data
    assert b"make" not in data
    assert render(reader, directory).read_bytes() == data


def test_what_a_crash_cut_short_is_gone_on_with(reader: Reader, directory: Path) -> None:
    file = render(reader, directory)
    whole, values = file.read_bytes(), contents(reader, directory)
    for cut in (0, 3, 15, 17, len(whole) // 3, len(whole) // 2, len(whole) - 1):
        file.write_bytes(whole[:cut])
        assert contents(reader, directory) == values[: len(contents(reader, directory))]
        render(reader, directory)
        assert contents(reader, directory) == values


@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_changed_file_never_tells_anything_else(reader: Reader, directory: Path, data: st.DataObject) -> None:
    file = directory / name_of("s-1")
    if not file.exists():
        render(reader, directory)
    good = file.read_bytes()
    values = contents(reader, directory)
    bad = bytearray(good)
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(bad) - 1))
        bad[at : at + data.draw(st.integers(0, 4))] = data.draw(st.binary(max_size=4))
    file.write_bytes(bad)
    try:
        for number, record in enumerate(contents(reader, directory)):
            for part, value in enumerate(record):
                assert value is None or value == values[number][part]
        render(reader, directory)
        assert contents(reader, directory) == values
    finally:
        file.write_bytes(good)


def test_records_do_not_move(ledger: Ledger, reader: Reader, directory: Path) -> None:
    """Neither to another session nor to another place of the same."""
    record(ledger, "s-2", *SCREENS)
    one, other = render(reader, directory), render(reader, directory, "s-2")
    other.write_bytes(one.read_bytes())
    assert all(value is None for record in contents(reader, directory, "s-2") for value in record)
    data = one.read_bytes()
    first = 16 + sum(int.from_bytes(data[at : at + 4]) for at in (4, 8, 12))
    one.write_bytes(data[first:])
    assert contents(reader, directory)[0] == [None] * 3


def test_a_shredded_chunk_takes_everything_from_there_on_along(
    ledger: Ledger, reader: Reader, directory: Path, store: Path
) -> None:
    render(reader, directory)
    values = contents(reader, directory)
    (spine := Spine("s-1")).refresh(reader)
    ledger.close()
    with sqlite3.connect(store / "ledger.sqlite3") as db:
        db.execute("DELETE FROM chunks WHERE seq = ?", (spine.links[3].entry.seq,))
    db.close()
    left = contents(reader, directory)
    assert left == values[:3]
    with pytest.raises(Missing):
        Writer(reader, directory, "s-1")
    with sqlite3.connect(store / "ledger.sqlite3") as db:  # a chunk that was written anew has another key
        row = (spine.links[3].entry.seq, 1, 0, 100, bytes(32))
        db.execute("INSERT INTO chunks (seq, pack, offset, length, key) VALUES (?, ?, ?, ?, ?)", row)
    db.close()
    after = contents(reader, directory)
    assert after[:3] == values[:3]
    assert all(value is None for record in after[3:] for value in record)


def test_two_do_not_write_at_once(reader: Reader, directory: Path) -> None:
    first = Writer(reader, directory, "s-1")
    with pytest.raises(Busy):
        Writer(reader, directory, "s-1")
    first.close()
    Writer(reader, directory, "s-1").close()


def test_space_belongs_to_recordings(reader: Reader, directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(indexer, "RESERVE", 1 << 62)
    writer = Writer(reader, directory, "s-1")
    assert writer.more()
    with pytest.raises(NoRoom):
        writer.advance()
    writer.close()
    assert (directory / name_of("s-1")).stat().st_size == 0


def test_a_disk_that_is_full_in_the_middle_of_a_record(
    reader: Reader, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = Writer(reader, directory, "s-1")
    writer.advance()
    good = (directory / name_of("s-1")).read_bytes()
    real, written = os.pwrite, list[int]()

    def half(fd: int, data: Any, at: int) -> int:
        if written:
            raise OSError(errno.ENOSPC, "no space")
        written.append(real(fd, bytes(data)[: len(data) // 2], at))
        return written[0]

    monkeypatch.setattr(indexer.os, "pwrite", half)
    with pytest.raises(OSError, match="no space"):
        writer.advance()
    assert written
    assert (directory / name_of("s-1")).read_bytes() == good
    monkeypatch.undo()
    writer.close()
    render(reader, directory)
    assert all(value is not None for record in contents(reader, directory) for value in record)


def test_there_is_a_limit_and_it_is_said(reader: Reader, directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(indexer, "RENDER_LIMIT", 1 << 20)
    render(reader, directory)
    whole = len(contents(reader, directory))
    (directory / name_of("s-1")).unlink()
    monkeypatch.setattr(indexer, "RENDER_LIMIT", 10_000)
    writer = Writer(reader, directory, "s-1")
    while writer.more():
        writer.advance()
    assert 0 < writer.done < whole
    assert writer.stopped == (writer.done, "only the first 0 MiB of a session's output are rendered")
    writer.close()


def test_a_note_that_is_no_note_is_none(reader: Reader, directory: Path) -> None:
    file = render(reader, directory)
    for text in ("", "[]", "{}", '{"chunk": "x", "why": ""}', "[" * 100_000):
        file.with_name(f"{file.name}.stop").write_text(text)
        assert Derived(directory, Spine("s-1")).stopped() is None
        (directory / "attempt").write_text(text)
        Attempt(directory, "attempt").look_back()
    (directory / "attempt").write_text('{"file": "../../x", "chunk": 1, "times": 9}')
    Attempt(directory, "attempt").look_back()
    assert not (directory.parent.parent / "x.stop").exists()


def test_all_in_turn_and_the_newest_first(ledger: Ledger, reader: Reader, directory: Path) -> None:
    record(ledger, "s-2", *SCREENS)
    record(ledger, "s-3", SCREENS[0])
    following = Indexer(reader, directory, Attempt(directory, "attempt"), lambda: None)
    for name in ("s-1", "s-2", "s-3", "s-0"):
        following.follow(name)
    assert following.turn(0.0) == 0.0
    assert [len(contents(reader, directory, name)) for name in ("s-1", "s-2", "s-3")] == [1, 1, 1]
    now = 0.0
    while (wait := following.turn(now)) is not None and now < 30:
        now += wait
        if list(following._followed) == ["s-0"]:
            break
    assert list(following._followed) == ["s-0"], "the others are over"
    assert len(contents(reader, directory, "s-2")) == len(contents(reader, directory, "s-1"))
    following.close()


# --- the process


@pytest.fixture
def run(store: Path, directory: Path) -> Iterator[Callable[..., subprocess.Popen[bytes]]]:
    """Starts one; what runs at the end is killed."""
    started: list[subprocess.Popen[bytes]] = []

    def start(*words: str, code: str = "") -> subprocess.Popen[bytes]:
        program = ["-c", code] if code else ["-m", "recorder.indexer"]
        command = [sys.executable, *program, str(store), str(directory), *words]
        started.append(subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE, cwd=ROOT))
        return started[-1]

    yield start
    for process in started:
        if process.returncode is None:
            process.kill()
            process.communicate()


def until(condition: Callable[[], bool], seconds: float = 30) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_a_live_recording_is_followed(
    ledger: Ledger, store: Path, directory: Path, run: Callable[..., subprocess.Popen[bytes]]
) -> None:
    process = run()
    recording = ledger.recording("s-9", actor="x", notify=lambda: None, chunk_bytes=4096)
    assert process.stdin is not None
    process.stdin.write(b"s-9\n")
    process.stdin.flush()
    with Reader.open(store) as reader:
        recording.write("resize", b"40x10")
        recording.write("output", b"first\r\n" + b"x" * 5000)
        until(lambda: len(contents(reader, directory, "s-9")) >= 1)
        recording.write("output", b"second\r\n" + b"x" * 5000)
        before = len(contents(reader, directory, "s-9"))
        until(lambda: len(contents(reader, directory, "s-9")) > before)
        recording.finish().result(30)
    process.communicate(timeout=10)
    assert process.returncode == 0


def test_once_means_to_the_end(reader: Reader, directory: Path, run: Callable[..., subprocess.Popen[bytes]]) -> None:
    process = run("--once")
    process.communicate(b"s-1\ns-nothing\n", timeout=30)
    assert process.returncode == 0
    values = contents(reader, directory)
    assert values
    render(reader, directory)
    assert contents(reader, directory) == values


DEATHS = {
    "killed": "os.kill(os.getpid(), signal.SIGKILL)",
    "spins": "while True: pass",
    "memory": "x = bytearray(1 << 34)",
    "fails": "raise IndexError('of the renderer')",
}


@pytest.mark.parametrize("death", DEATHS)
def test_a_recording_that_no_renderer_gets_through_is_given_up_and_nothing_else(
    death: str, ledger: Ledger, store: Path, directory: Path, run: Callable[..., subprocess.Popen[bytes]]
) -> None:
    record(ledger, "s-1", *SCREENS[:4], b"BOMB" + SCREENS[4], *SCREENS[5:])
    record(ledger, "s-2", *SCREENS)
    code = f"""
import os, signal, sys
from pathlib import Path
from recorder import indexer
from recorder.rendering import Rendering
indexer.CHUNK_SECONDS = 0
honest = Rendering.chunk
def chunk(self, frames, first):
    if any(b"BOMB" in frame.data for frame in frames):
        {DEATHS[death]}
    return honest(self, frames, first)
Rendering.chunk = chunk
sys.exit(indexer.main(Path(sys.argv[1]), Path(sys.argv[2]), once=True))
"""
    codes = []
    for _ in range(5):
        process = run(code=code)
        process.communicate(b"s-1\ns-2\n", timeout=60)
        codes.append(process.returncode)
        if process.returncode == 0:
            break
    if death == "killed":
        assert codes == [-signal.SIGKILL] * indexer.TRIES + [0]
    if death == "spins":
        assert codes == [-signal.SIGXCPU] * indexer.TRIES + [0]
    assert codes[-1] == 0
    with Reader.open(store) as reader:
        whole = list(reader.frames("s-1"))
        assert b"BOMB" in b"".join(frame.data for frame in whole)
        (spine := Spine("s-1")).refresh(reader)
        stopped = Derived(directory, spine).stopped()
        assert stopped is not None
        assert any(b"BOMB" in frame.data for frame in spine.read(reader, stopped[0]))
        assert len(contents(reader, directory)) == stopped[0] > 0
        (other := Spine("s-2")).refresh(reader)
        assert len(contents(reader, directory, "s-2")) == len(other.links)


def test_names_tell_nothing(reader: Reader, directory: Path) -> None:
    file = render(reader, directory)
    assert derived.name_of("s-1") == file.name
    assert "s-1" not in file.name
