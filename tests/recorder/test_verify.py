"""Every change that somebody can make to a store without the key is named; with the key, an anchor names it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from recorder.errors import KeyFileError, NotAStore, NoteError, RecorderError, StoreDamaged
from recorder.keys import LedgerKey
from recorder.ledger import Draft, Ledger
from recorder.reader import Reader
from recorder.source import PAGE
from recorder.verify import Report, Verdict, exit_status, verify
from tests.recorder.attacks import Entry, database, rechain, sign
from tests.recorder.forgeries import (
    ATTACKS,
    content,
    last,
    mutations,
    seq_of,
)
from tests.recorder.stories import HOST, Story, ledger_key

Tell = Callable[[Callable[[Story], object]], Path]


@pytest.fixture(scope="module")
def master(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with something of everything; tests work on copies."""
    directory = tmp_path_factory.mktemp("master") / "store"
    ledger = Ledger.create(directory, host=HOST, key=ledger_key())
    Story(ledger).everything()
    ledger.close()
    return directory


@pytest.fixture
def copy(master: Path, tmp_path: Path) -> Path:
    shutil.copytree(master, tmp_path / "copy")
    (tmp_path / "copy").chmod(0o700)
    return tmp_path / "copy"


def test_the_master_is_good(master: Path) -> None:
    report = verify(master)
    assert (report.verdict, report.problems, exit_status(report)) == (Verdict.OK, (), 0)
    assert report.sessions == 2
    assert report.origin.startswith(HOST + "/")


# --- without the key ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ATTACKS)
def test_attack_without_the_key(name: str, copy: Path) -> None:
    attack, place = ATTACKS[name]
    where = seq_of(copy, place) if isinstance(place, str) else place
    if where in (-1, -2):
        where = last(copy) + 2 + where  # type: ignore[operator]  # -1: behind the last; -2: the last
    attack(copy)
    report = verify(copy)
    assert report.verdict is Verdict.TAMPER
    assert report.seq == where, report.problems
    assert exit_status(report) == 1


@pytest.mark.parametrize("name", [name for name in ATTACKS if not name.startswith(("payload", "salt", "chunk key"))])
def test_no_daemon_starts_on_it(name: str, copy: Path) -> None:
    """Opening checks the chain and what it is about to sign; payloads, single chunks and causes are for `verify`."""
    ATTACKS[name][0](copy)
    unseen = {
        "columns that lie",
        "session column that lies",
        "chunks swapped between sessions",
        "ciphertext changed",
        "chunk row added",
        "SSHSIG under another namespace",
    }
    try:
        Ledger.open(copy, key=ledger_key()).close()
        opened = True
    except StoreDamaged:
        opened = False
    assert opened == (name in unseen)


# --- with the key, or with everything -------------------------------------------------------------------------


def test_with_the_stolen_key_only_an_anchor_tells(copy: Path, master: Path) -> None:
    anchor = verify(master).head

    def change(entries: list[Entry]) -> list[Entry]:
        entries[-1]["body"] = {"end": "nothing happened"}
        return entries

    rechain(copy, change, ledger_key())
    report = verify(copy)
    assert report.verdict is Verdict.OK, "as the header of verify.py says"
    assert any("itself only" in note for note in report.notes)
    assert verify(copy, head=anchor).verdict is Verdict.FORK


def test_a_whole_new_ledger_under_the_attackers_key(copy: Path, master: Path) -> None:
    def change(entries: list[Entry]) -> list[Entry]:
        entries[0]["body"]["log_key"] = ledger_key(99).line
        return [entry for entry in entries if entry["type"] in ("store.created", "session.opened", "identity.added")]

    rechain(copy, change, ledger_key(99))
    with database(copy) as db:
        db.execute("DELETE FROM chunks")
        db.execute("DELETE FROM payloads")
    (copy / "chunks-000001.pack").unlink()
    assert verify(copy).verdict is Verdict.OK
    assert verify(copy, key=ledger_key(99).line).notes == ()
    report = verify(copy, key=ledger_key().line)
    assert (report.verdict, report.seq) == (Verdict.TAMPER, 0)
    assert verify(copy, head=verify(master).head).verdict is Verdict.ROLLBACK


def test_an_old_backup(copy: Path, tmp_path: Path) -> None:
    shutil.copytree(copy, tmp_path / "backup")
    ledger = Ledger.open(copy, key=ledger_key())
    ledger.append(Draft("session.closed", "x", {})).result(10)
    anchor = ledger.head().anchor
    ledger.close()
    assert verify(copy, head=anchor).verdict is Verdict.OK
    assert verify(tmp_path / "backup").verdict is Verdict.OK
    report = verify(tmp_path / "backup", head=anchor)
    assert (report.verdict, exit_status(report)) == (Verdict.ROLLBACK, 1)


def test_an_old_database_under_a_newer_head_file(copy: Path, tmp_path: Path) -> None:
    old = (copy / "ledger.sqlite3").read_bytes()
    size = last(copy) + 1
    ledger = Ledger.open(copy, key=ledger_key())
    ledger.append(Draft("session.closed", "x", {})).result(10)
    ledger.close()
    (copy / "ledger.sqlite3").write_bytes(old)
    report = verify(copy)
    assert (report.verdict, report.seq) == (Verdict.TAMPER, size)


def test_an_anchor_of_every_size_holds(copy: Path) -> None:
    anchors = []
    ledger = Ledger.open(copy, key=ledger_key())
    for number in range(20):
        anchors.append(ledger.head().anchor)
        ledger.append(Draft("session.closed", "x", {"n": number})).result(10)
    ledger.close()
    for anchor in anchors:
        assert verify(copy, head=anchor).verdict is Verdict.OK
        size, root = anchor.split(":")
        assert verify(copy, head=f"{size}:{root[:-1]}{'0' if root[-1] != '0' else '1'}").verdict is Verdict.FORK
    assert verify(copy, head="0:" + "0" * 64).verdict is Verdict.OK, "nothing is a prefix of everything"


def test_malformed_arguments(copy: Path) -> None:
    for head in ("x", "1:", "-1:" + "0" * 64, "01:" + "0" * 64, "5:" + "0" * 63):
        with pytest.raises(NoteError):
            verify(copy, head=head)
    with pytest.raises(KeyFileError):
        verify(copy, key="ssh-rsa AAAA")
    with pytest.raises(NotAStore):
        verify(copy.parent)


# --- random changes -------------------------------------------------------------------------------------------


def judged(store: Path) -> Report | None:
    """None: it is no store any more, which nobody takes for a good one."""
    try:
        return verify(store)
    except RecorderError:
        return None


def test_no_random_change_is_missed(copy: Path) -> None:
    """What verify calls good reads the same as before: the change was in bytes that hold nothing.

    A database has such bytes (free space in pages); that most changes are caught is asserted too, so that a verify
    that says OK to everything fails here.
    """
    good, caught, rounds = content(copy), 0, int(os.environ.get("BASTION_MUTATIONS", "400"))
    for seed in range(rounds):
        for _ in mutations(copy, seed):
            report = judged(copy)
            if report is not None and report.good:
                assert content(copy) == good, f"seed {seed}"
            else:
                caught += 1
    assert judged(copy).good  # type: ignore[union-attr]
    assert caught > rounds // 4


def test_beside_a_running_daemon(ledger: Ledger, store: Path) -> None:
    """No false alarm while entries and chunks come in."""
    import threading

    stop = threading.Event()

    def write() -> None:
        number = 0
        while not stop.is_set():
            recording = ledger.recording(f"s-{number}", actor="x", notify=lambda: None)
            recording.write("output", b"x" * 5000)
            recording.finish().result(20)
            ledger.append(Draft("a.b", "x", {}, payloads={"p": b"x"})).result(20)
            number += 1

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for _ in range(30):
            report = verify(store)
            assert report.verdict is Verdict.OK, report
    finally:
        stop.set()
        writer.join()


def test_on_a_medium_that_cannot_be_written(copy: Path) -> None:
    """No -wal can be made beside the database; nothing is pending in one, so it is whole."""
    verify_it = f"exec {sys.executable} -m recorder verify {copy}"
    if os.geteuid() == 0:  # root ignores modes: a read-only mount, in a namespace that goes with the process
        mount = f"mount --bind {copy} {copy} && mount -o remount,bind,ro {copy}"
        command = ["unshare", "-m", "sh", "-c", f"{mount} && {verify_it}"]
    else:
        copy.chmod(0o500)
        command = ["sh", "-c", verify_it]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    finally:
        copy.chmod(0o700)
    assert (done.returncode, done.stdout[:3], done.stderr) == (0, "OK:", "")
    assert sorted(path.name for path in copy.iterdir()) == ["chunks-000001.pack", "head", "ledger.sqlite3", "lock"]


def test_progress(told: Tell) -> None:
    store = told(lambda story: story.ledger.append(*(Draft("a.b", "x", {}) for _ in range(9000))).result(30))
    seen: list[int] = []
    assert verify(store, progress=seen.append).verdict is Verdict.OK
    assert seen == [*range(PAGE, 9001, PAGE), 9001]


def test_signing_helper_signs_as_the_ledger_does(copy: Path) -> None:
    """The attacks above that use the key must fail for no other reason than the one under test."""
    with database(copy) as db:
        data = [row[0] for row in db.execute("SELECT bytes FROM entries ORDER BY seq")]
        with Reader.open(copy) as reader:
            origin = reader.checkpoint().origin
        sign(copy, db, data, origin, LedgerKey(ledger_key()._private))
    assert verify(copy).verdict is Verdict.OK
