"""Killed at any step, out of space, out of luck: what was acknowledged is there, and nobody is accused of tampering."""

from __future__ import annotations

import os
import random
import resource
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from recorder.errors import NotAStore, RecorderError, StoreFailed
from recorder.keys import LedgerKey
from recorder.ledger import Draft, Ledger
from recorder.reader import Reader
from recorder.verify import Verdict, verify
from tests.recorder.stories import HOST, ledger_key
from tests.recorder.writer import STEPS

ROOT = Path(__file__).parents[2]


def writer(store: Path, step: str, count: int) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tests.recorder.writer", str(store), step, str(count)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)


def check(store: Path, told: list[str]) -> None:
    """All that was told is there, verify has no complaint, and the store goes on."""
    report = verify(store)
    assert report.good, report.problems
    with Reader.open(store) as reader:
        for line in told:
            match line.split():
                case ["entry", seq, leaf]:
                    assert reader.entry(int(seq)).leaf == leaf
                case ["recording", session]:
                    data = b"".join(frame.data for frame in reader.frames(session))
                    number = session.rpartition("-")[2]
                    assert data == f"output of {number}\n".encode() * 300
    ledger = Ledger.open(store, key=ledger_key())
    ledger.append(Draft("session.opened", "x", {})).result(10)
    anchor = ledger.head().anchor
    ledger.close()
    assert verify(store, head=anchor).verdict is Verdict.OK


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("count", [1, 2, 7])
def test_killed_at_a_step(store: Path, step: str, count: int) -> None:
    process = writer(store, step, count)
    told = process.communicate(timeout=60)[0].splitlines()
    assert process.returncode == -signal.SIGKILL
    if step == "after COMMIT":
        assert verify(store).verdict is Verdict.TORN, "the head file is one group behind"
    if not told and count == 1 and not step.startswith(("before the pack", "half of the pack", "after the pack")):
        try:
            check(store, told)  # in the very first commit, of `create`: either it is a store, or it says it is none
        except NotAStore:
            assert step in ("after BEGIN", "after the entries", "before COMMIT")
    else:
        check(store, told)


def test_killed_at_any_time_again_and_again(store: Path) -> None:
    chance = random.Random(5)
    told: list[str] = []
    for _ in range(12):
        process = writer(store, "never", 1)
        assert process.stdout is not None
        for _ in range(chance.randint(1, 40)):
            told.append(process.stdout.readline())
        process.send_signal(signal.SIGKILL)
        told += process.stdout.read().splitlines()
        process.wait()
        process.stdout.close()
        report = verify(store)
        assert report.good, report.problems
    check(store, [line for line in told if not line.startswith("created")])


@pytest.mark.parametrize("place", ["pack", "head"])
def test_a_failed_sync_is_never_tried_again(
    store: Path, key: LedgerKey, place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After it the kernel may have dropped the page, and the next sync says ok (the "fsyncgate" of 2018)."""
    ledger = Ledger.create(store, host=HOST, key=key)
    failures: list[StoreFailed] = []
    ledger.on_failure = failures.append
    (before,) = ledger.append(Draft("session.opened", "x", {})).result(10)
    real, calls = os.fdatasync, list[int]()

    def broken(fd: int) -> None:
        is_head = os.fstat(fd).st_size == 8192
        if is_head == (place == "head"):
            calls.append(fd)
            raise OSError(5, "Input/output error")
        real(fd)

    monkeypatch.setattr(os, "fdatasync", broken)
    recording = ledger.recording("s-1", actor="x", notify=lambda: None)
    recording.write("output", b"x" * 1000)
    with pytest.raises(StoreFailed, match="Input/output"):
        recording.finish().result(10)
    for _ in range(3):
        with pytest.raises(StoreFailed):
            ledger.append(Draft("session.opened", "x", {})).result(10)
    assert (len(calls), len(failures)) == (1, 1)
    assert ledger.failed is failures[0]
    ledger.close()
    monkeypatch.undo()
    report = verify(store)
    assert report.good
    with Reader.open(store) as reader:
        assert reader.entry(before.seq) == before
    Ledger.open(store, key=key).close()
    assert verify(store).verdict is Verdict.OK


def test_a_failing_callback_does_not_matter(store: Path, key: LedgerKey, monkeypatch: pytest.MonkeyPatch) -> None:
    ledger = Ledger.create(store, host=HOST, key=key)

    def callback(_: StoreFailed) -> None:
        raise RuntimeError("callback")

    ledger.on_failure = callback
    monkeypatch.setattr(os, "fdatasync", lambda fd: (_ for _ in ()).throw(OSError(5, "Input/output error")))
    for _ in range(2):
        with pytest.raises(StoreFailed):
            ledger.append(Draft("session.opened", "x", {})).result(10)
    ledger.close()


FILL = """
import sys
from pathlib import Path
from recorder.errors import RecorderError, StoreFailed
from recorder.ledger import Draft, Ledger
from recorder.verify import verify
from tests.recorder.stories import HOST, ledger_key
from tests.recorder.test_crash import check, fill

directory, ballast = Path(sys.argv[1]) / "store", Path(sys.argv[1]) / "ballast"
ballast.write_bytes(bytes(1 << 20))
ledger = Ledger.create(directory, host=HOST, key=ledger_key())
told, error = fill(ledger, sys.argv[2])
print(error)
report = verify(directory)
assert report.good, report.problems
try:
    Ledger.open(directory, key=ledger_key()).close()
except StoreFailed as refused:
    print(refused)
ballast.unlink()
check(directory, told)
print(len(told), "acknowledged")
"""


def fill(ledger: Ledger, what: str) -> tuple[list[str], RecorderError]:
    """Write until it fails; what was acknowledged, and the failure."""
    told: list[str] = []
    number = 0
    try:
        while True:
            if what == "entries":
                (made,) = ledger.append(Draft("a.b", "x", {"pad": "x" * 5000})).result(10)
                told.append(f"entry {made.seq} {made.leaf}")
            else:
                recording = ledger.recording(f"s-{number}", actor="x", notify=lambda: None)
                recording.write("output", os.urandom(60_000))
                recording.finish().result(10)
                told.append(f"entry {ledger.head().size - 1} {_leaf(ledger)}")
            number += 1
            assert number < 5000
    except RecorderError as error:
        return told, error
    finally:
        ledger.close()


def _leaf(ledger: Ledger) -> str:
    with Reader.open(ledger._store.directory) as reader:
        return reader.entry(ledger.head().size - 1).leaf


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small tmpfs needs root")
@pytest.mark.parametrize("what", ["entries", "recordings"])
def test_a_full_disk(tmp_path: Path, what: str) -> None:
    script = (
        f"mount -t tmpfs -o size=4m,mode=700 tmpfs {tmp_path} && exec {sys.executable} -c '{FILL}' {tmp_path} {what}"
    )
    done = subprocess.run(["unshare", "-m", "sh", "-c", script], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "full" in done.stdout or "No space" in done.stdout
    assert "0 acknowledged" not in done.stdout.splitlines()


@pytest.mark.parametrize("what", ["entries", "recordings"])
def test_a_file_that_may_not_grow(store: Path, what: str) -> None:
    """RLIMIT_FSIZE: the write itself fails, or is short, in SQLite and in the pack; needs no root."""
    ledger = Ledger.create(store, host=HOST, key=ledger_key())
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, hard))
    try:
        told, error = fill(ledger, what)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert isinstance(error, StoreFailed)
    assert len(told) > 5
    check(store, told)


@pytest.mark.parametrize("limit", [0, 5_000, 40_000])
def test_a_store_that_cannot_be_made_leaves_nothing(store: Path, key: LedgerKey, limit: int) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
    try:
        with pytest.raises(StoreFailed):
            Ledger.create(store, host=HOST, key=key)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert list(store.iterdir()) == []
    Ledger.create(store, host=HOST, key=key).close()
    assert verify(store).verdict is Verdict.OK


# --- below SQLite -----------------------------------------------------------------------------------------------------


def wal_frames(wal: bytes) -> list[int]:
    """Where the frames of a WAL end (sqlite.org/fileformat2: a header of 32 bytes, frames of 24 and a page)."""
    page = int.from_bytes(wal[8:12], "big")
    return list(range(32, len(wal) + 1, 24 + page))


def test_a_wal_cut_at_every_frame(store: Path, tmp_path: Path) -> None:
    """SQLite alone would say that all is well: whatever was acknowledged and is gone is named, and nothing else is."""
    process = writer(store, "after the head's sync", 6)
    told = [line.split() for line in process.communicate(timeout=60)[0].splitlines()]
    acknowledged = max(int(seq) for word, seq, *_ in told if word == "entry")
    wal = (store / "ledger.sqlite3-wal").read_bytes()
    whole = verify(store)
    assert whole.good
    size = whole.entries
    seen = set()
    for number, end in enumerate(wal_frames(wal)):
        copy = tmp_path / f"cut-{number}"
        shutil.copytree(store, copy)
        with (copy / "ledger.sqlite3-wal").open("r+b") as file:
            file.truncate(end)
        try:
            report = verify(copy)
        except RecorderError:
            assert end < len(wal)
            continue  # not even its tables are there
        seen.add(report.verdict)
        if report.good:
            assert report.entries == size, "something acknowledged is missing, and it says good"
        else:
            assert report.verdict is Verdict.TAMPER
            assert report.seq is None or report.seq <= acknowledged + 1
            assert end < len(wal)
        shutil.rmtree(copy)
    assert Verdict.TAMPER in seen
    assert seen & {Verdict.OK, Verdict.TORN}


def test_a_wal_with_a_flipped_bit(store: Path, tmp_path: Path) -> None:
    """SQLite ends the WAL at the first frame whose checksum is wrong, without a word."""
    writer(store, "after the head's sync", 6).communicate(timeout=60)
    wal = (store / "ledger.sqlite3-wal").read_bytes()
    size = verify(store).entries
    for at in random.Random(3).sample(range(32, len(wal)), 25):
        copy = tmp_path / "flipped"
        shutil.copytree(store, copy)
        with (copy / "ledger.sqlite3-wal").open("r+b") as file:
            file.seek(at)
            file.write(bytes([wal[at] ^ 1]))
        try:
            report = verify(copy)
            assert not report.good or report.entries == size, at
        except RecorderError:
            pass
        shutil.rmtree(copy)


def can_inject() -> bool:
    """Is there a strace that may trace?"""
    command = ["strace", "-o", "/dev/null", "-e", "inject=fsync:error=EIO:when=99", "true"]
    try:
        return subprocess.run(command, capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        return False


@pytest.mark.skipif(not can_inject(), reason="needs strace, and leave to trace")
@pytest.mark.parametrize("when", ["1", "3", "4", "5", "8", "12", "2+", "6+"])
def test_a_failed_sync_below_sqlite(store: Path, key: LedgerKey, when: str) -> None:
    """The WHENth fsync or fdatasync of the process fails with EIO, SQLite's own among them: what was acknowledged is
    there, the store goes on afterwards, and nobody is accused.

    The second alone is that of the directory of a new WAL, which SQLite ignores; the store syncs it again by itself.
    """
    Ledger.create(store, host=HOST, key=key).close()
    inject = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", f"inject=fsync,fdatasync:error=EIO:when={when}"]
    command = [*inject, sys.executable, "-m", "tests.recorder.writer", str(store), "never", "1"]
    process = subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    out, errors = process.communicate(timeout=60)
    assert "StoreFailed" in errors, errors
    check(store, [line for line in out.splitlines() if not line.startswith("created")])
