from __future__ import annotations

import hashlib
import random
import threading
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recorder import recording as recordings
from recorder.errors import RecorderError, StoreFailed
from recorder.frames import BULK_FRAME, STREAM_FRAME, TERMINAL_FRAME
from recorder.keys import LedgerKey
from recorder.ledger import Draft, Ledger
from recorder.reader import Reader
from recorder.recording import BULK, BULK_CHUNK, HIGH_WATER, LOW_WATER, TERMINAL_CHUNK, WRITE_COST
from recorder.store import Group
from recorder.verify import Verdict, verify


def begin(ledger: Ledger, session: str = "s-1", **changes: object) -> recordings.Recording:
    return ledger.recording(session, actor="bastion", **{"notify": lambda: None, **changes})  # type: ignore[arg-type]


def streams(store: Path, session: str = "s-1") -> dict[str, bytes]:
    with Reader.open(store) as reader:
        found: dict[str, bytes] = {}
        for frame in reader.frames(session):
            found[frame.kind] = found.get(frame.kind, b"") + frame.data
        return found


def test_what_is_written_is_read(ledger: Ledger, store: Path) -> None:
    recording = begin(ledger)
    for kind, data in (
        ("resize", b"80x24"),
        ("output", b"$ "),
        ("input", b"ls\r"),
        ("output", b"\xff\0file\r\n"),
        ("exit", b"0"),
    ):
        assert recording.write(kind, data)
    summary = recording.finish().result(10)
    assert streams(store) == {"resize": b"80x24", "output": b"$ \xff\0file\r\n", "input": b"ls\r", "exit": b"0"}
    assert summary.bytes == {"output": 10, "input": 3, "stderr": 0}
    with Reader.open(store) as reader:
        (entry,) = reader.entries(types=("recording.chunk",))
        assert entry.leaf == summary.leaf
        assert summary.root == hashlib.sha256(bytes.fromhex(str(entry.body["root"]))).hexdigest()
        assert (entry.session, entry.actor) == ("s-1", "bastion")
        frames = list(reader.frames("s-1"))
        assert len(frames) == summary.frames
        for after in range(len(frames) + 2):
            assert list(reader.frames("s-1", after)) == frames[after:]
        assert list(reader.frames("s-2")) == []
    assert recording.backlog == 0
    assert verify(store).verdict is Verdict.OK


def test_nothing_written(ledger: Ledger) -> None:
    summary = begin(ledger).finish().result(10)
    assert (summary.frames, summary.chunks, summary.leaf) == (0, 0, "")


def test_a_chunk_closes_by_size(ledger: Ledger, store: Path) -> None:
    recording = begin(ledger, chunk_bytes=8192)
    for _ in range(40):
        recording.write("output", bytes(1000))
    assert recording.finish().result(10).chunks == 5, "8,192 bytes with headers are eight writes"
    with Reader.open(store) as reader:
        bodies = [entry.body for entry in reader.entries(types=("recording.chunk",))]
        assert [body["number"] for body in bodies] == list(range(5))
        assert all(len(frame.data) <= TERMINAL_FRAME for frame in reader.frames("s-1"))


def test_a_chunk_closes_by_time(ledger: Ledger, store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """At most CLOSE_AFTER of screen can be lost. Shortened here; that it is 2 s is asserted."""
    assert recordings.CLOSE_AFTER == 2.0
    monkeypatch.setattr(recordings, "CLOSE_AFTER", 0.05)
    recording = begin(ledger)
    for text in (b"first", b"second"):
        recording.write("output", text)
        deadline = time.monotonic() + 10
        while recording.backlog and time.monotonic() < deadline:
            time.sleep(0.005)
        assert streams(store)["output"].endswith(text), "durable without finish"
    recording.finish().result(10)


def test_bulk_frames(ledger: Ledger, store: Path) -> None:
    recording = begin(ledger, chunk_bytes=BULK_CHUNK)
    data = bytes(range(256)) * 12_000
    recording.write("output", data)
    summary = recording.finish().result(10)
    assert summary.chunks == 3
    assert streams(store)["output"] == data
    with Reader.open(store) as reader:
        assert max(len(frame.data) for frame in reader.frames("s-1")) == BULK_FRAME
    assert verify(store).verdict is Verdict.OK


WRITES = st.lists(
    st.tuples(st.sampled_from(["output", "input", "stderr", "resize", "marker"]), st.binary(max_size=3000)), max_size=60
)


@given(WRITES, st.sampled_from([4096, 65536]))
@settings(max_examples=25, deadline=None)
def test_any_writes_come_back_in_order(
    tmp_path_factory: pytest.TempPathFactory, writes: list[tuple[str, bytes]], chunk_bytes: int
) -> None:
    store = tmp_path_factory.mktemp("store")
    ledger = Ledger.create(store, host="h", key=LedgerKey.generate())
    recording = begin(ledger, chunk_bytes=chunk_bytes)
    for kind, data in writes:
        recording.write(kind, data)
    recording.finish().result(10)
    ledger.close()
    found = streams(store)
    for kind in {kind for kind, _ in writes}:
        assert found.get(kind, b"") == b"".join(data for each, data in writes if each == kind)
    assert verify(store).verdict is Verdict.OK


def test_several_sessions_share_a_pack(ledger: Ledger, store: Path) -> None:
    recordings_ = {f"s-{number}": begin(ledger, f"s-{number}", chunk_bytes=4096) for number in range(8)}
    for turn in range(50):
        for session, recording in recordings_.items():
            recording.write("output", f"{session} {turn}\n".encode() * 20)
    for recording in recordings_.values():
        recording.finish().result(10)
    for session in recordings_:
        assert streams(store, session)["output"] == b"".join(f"{session} {t}\n".encode() * 20 for t in range(50))
    assert [path.name for path in store.glob("*.pack")] == ["chunks-000001.pack"]
    assert verify(store).verdict is Verdict.OK


def test_packs_are_rotated(ledger: Ledger, store: Path, key: LedgerKey, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("recorder.store.PACK_LIMIT", 100_000)
    recording = begin(ledger, chunk_bytes=65536)
    import os

    data = os.urandom(700_000)
    recording.write("output", data)
    recording.finish().result(10)
    ledger.close()
    assert len(list(store.glob("*.pack"))) > 3
    assert streams(store)["output"] == data
    assert verify(store).verdict is Verdict.OK
    again = Ledger.open(store, key=key)
    later = begin(again, "s-2")
    later.write("output", b"more")
    later.finish().result(10)
    again.close()
    assert streams(store, "s-2")["output"] == b"more"
    assert verify(store).verdict is Verdict.OK


@pytest.mark.parametrize(
    ("size", "chunk_bytes", "largest"),
    [
        (BULK + 1000, BULK_CHUNK, BULK_FRAME),
        (BULK - 40_000, BULK_CHUNK, STREAM_FRAME),
        (BULK + 1000, TERMINAL_CHUNK, TERMINAL_FRAME),
    ],
)
def test_frames_of_bulk_are_larger(ledger: Ledger, store: Path, size: int, chunk_bytes: int, largest: int) -> None:
    """What a person may have to redact has small ones."""
    recording = begin(ledger, chunk_bytes=chunk_bytes)
    data = random.Random(1).randbytes(size)
    for at in range(0, size, 1000):
        recording.write("output", data[at : at + 1000])
    recording.finish().result(10)
    with Reader.open(store) as reader:
        frames = list(reader.frames("s-1"))
    assert b"".join(frame.data for frame in frames) == data
    assert largest // 2 < max(len(frame.data) for frame in frames) <= largest


def test_back_pressure(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    """Above the high mark write says False; nothing is dropped; notify comes once it is below the low mark."""
    held, told = threading.Event(), threading.Event()
    commit = ledger._store.commit

    def slow(group: object) -> object:
        held.wait(20)
        return commit(group)  # type: ignore[arg-type]

    monkeypatch.setattr(ledger._store, "commit", slow)
    recording = begin(ledger, chunk_bytes=BULK_CHUNK, notify=told.set)
    data, count = bytes(1 << 20), 0
    while recording.write("output", data):
        count += 1
    assert recording.backlog > HIGH_WATER >= recording.backlog - len(data) - WRITE_COST
    assert count == HIGH_WATER // (len(data) + WRITE_COST)
    assert not recording.write("output", b"kept all the same")
    assert not told.is_set()
    held.set()
    assert told.wait(20)
    assert recording.backlog <= LOW_WATER
    assert recording.write("output", b"!")
    assert recording.finish().result(20).bytes["output"] == (count + 1) * len(data) + 18


def test_single_bytes_count_for_what_they_cost(ledger: Ledger) -> None:
    recording = begin(ledger)
    recording.write("output", b"x")
    assert recording.backlog in (0, 1 + WRITE_COST)
    recording.finish().result(10)


def test_failure_ends_the_recording(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    told, failed = threading.Event(), list[StoreFailed]()
    ledger.on_failure = failed.append

    def broken(_: object) -> None:
        raise StoreFailed("no space left on device")

    monkeypatch.setattr(ledger._store, "commit", broken)
    recording = begin(ledger, notify=told.set)
    recording.write("output", b"x")
    with pytest.raises(StoreFailed):
        recording.finish().result(10)
    assert told.wait(10)
    assert isinstance(recording.failed, StoreFailed)
    assert len(failed) == 1
    with pytest.raises(StoreFailed):
        ledger.append(Draft("a.b", "x", {})).result(10)
    other = begin(ledger, "s-2")
    other.write("output", b"x")
    with pytest.raises(StoreFailed):
        other.finish().result(10)
    assert other.write is not None
    assert other.failed is not None


def test_a_failed_recording_says_so_and_drops(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    told = threading.Event()
    recording = begin(ledger, chunk_bytes=4096, notify=told.set)

    def broken(*_: object, **__: object) -> None:
        raise MemoryError("zstd")

    monkeypatch.setattr("recorder.chunks.seal", broken)
    recording.write("output", bytes(5000))
    assert told.wait(10)
    assert not recording.write("output", b"more")
    with pytest.raises(StoreFailed, match="zstd"):
        recording.finish().result(10)
    assert ledger.failed is None
    ledger.append(Draft("recording.failed", "bastion", {})).result(10)


def test_misuse(ledger: Ledger) -> None:
    recording = begin(ledger)
    with pytest.raises(RecorderError, match="already"):
        begin(ledger)
    with pytest.raises(ValueError, match="cannot record"):
        recording.write("video", b"")
    recording.write("marker", bytes(recordings.EVENT_LIMIT))
    with pytest.raises(ValueError, match="cannot record"):
        recording.write("marker", bytes(recordings.EVENT_LIMIT + 1))
    recording.finish().result(10)
    with pytest.raises(ValueError, match="cannot record"):
        recording.write("output", b"late")
    with pytest.raises(ValueError, match="finished"):
        recording.finish()
    for chunk_bytes in (4095, BULK_CHUNK + 1):
        with pytest.raises(ValueError, match="make sense"):
            begin(ledger, "s-2", chunk_bytes=chunk_bytes)


def test_close_keeps_what_was_written(ledger: Ledger, store: Path) -> None:
    recording = begin(ledger)
    recording.write("output", b"unfinished")
    ledger.close()
    assert streams(store)["output"] == b"unfinished"
    assert recording.failed is not None
    assert not recording.write("output", b"late")
    with pytest.raises(StoreFailed):
        recording.finish().result(10)
    assert verify(store).verdict is Verdict.OK


def test_what_its_owner_says_goes_with_the_last_chunk(
    ledger: Ledger, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One commit: there is no moment at which the recording is complete and the command did not end, or the reverse."""
    commits: list[list[str]] = []
    commit = ledger._store.commit

    def counted(group: Group) -> object:
        commits.append([entry.type for entry in group.entries])
        return commit(group)

    monkeypatch.setattr(ledger._store, "commit", counted)
    recording = begin(ledger)
    recording.write("output", b"out")

    def also(summary: recordings.Summary) -> list[Draft]:
        assert (summary.bytes["output"], len(summary.root)) == (3, 64)
        return [Draft("command.finished", "bastion", {"x": 1}), Draft("session.closed", "bastion", {})]

    summary = recording.finish(also).result(10)
    assert commits == [["recording.chunk", "command.finished", "session.closed"]]
    with Reader.open(store) as reader:
        assert next(reader.entries(types=("recording.chunk",))).leaf == summary.leaf
    begin(ledger, "s-2").finish(lambda _: [Draft("command.finished", "bastion", {})]).result(10)
    assert commits[1:] == [["command.finished"]], "nothing was recorded, and it ended all the same"


@pytest.mark.parametrize("bad", ["a float", "no draft at all"])
def test_nothing_of_what_its_owner_says_when_that_fails(ledger: Ledger, store: Path, bad: str) -> None:
    told = threading.Event()
    recording = begin(ledger, notify=told.set)
    recording.write("output", b"out")

    def also(_: recordings.Summary) -> list[Draft]:
        if bad == "a float":
            return [Draft("session.closed", "bastion", {}), Draft("command.finished", "bastion", {"x": 0.5})]
        raise ValueError

    with pytest.raises(RecorderError):
        recording.finish(also).result(10)
    assert told.wait(10)
    assert recording.failed is not None
    with Reader.open(store) as reader:
        assert not list(reader.entries(types=("session.closed", "command.finished", "recording.chunk")))
    ledger.append(Draft("session.closed", "bastion", {})).result(10)
    assert verify(store).verdict is Verdict.OK


def test_a_recording_that_failed_says_nothing_at_its_end(ledger: Ledger) -> None:
    recording = begin(ledger)
    recording.write("output", b"out")
    recording.fail(StoreFailed("broken"))
    with pytest.raises(StoreFailed):
        recording.finish(lambda _: pytest.fail("it was asked")).result(10)
