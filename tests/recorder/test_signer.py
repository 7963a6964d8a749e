"""The key's own process: it signs what extends what it signed, outlives crashes of the daemon, gives nothing away."""

from __future__ import annotations

import os
import random
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from recorder import signerprocess
from recorder.errors import KeyFileError, RecorderError, StoreFailed
from recorder.keys import LedgerKey
from recorder.ledger import Draft, Ledger
from recorder.signer import Memory, Signer
from recorder.signerprocess import SignerProcess
from recorder.signerwire import Refused, Resume, Seal
from recorder.verify import Verdict, verify
from tests.recorder.attacks import rechain
from tests.recorder.stories import HOST, Story
from tests.support.ports import wait_until


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    LedgerKey.create(tmp_path / "key")
    return tmp_path / "key"


@pytest.fixture
def open_signed(tmp_path: Path, key_file: Path, store: Path) -> Callable[[], Ledger]:
    """The store, made when it is not there, under a signer process."""
    if not store.exists():
        Ledger.create(store, host=HOST, key=LedgerKey.load(key_file)).close()
    return lambda: Ledger.open(store, key=SignerProcess(key_file, tmp_path / "memory"))


def add(ledger: Ledger, count: int = 3) -> None:
    ledger.append(*(Draft("a.b", "x", {"n": n}) for n in range(count))).result(20)


def test_a_ledger_under_a_signer(open_signed: Callable[[], Ledger], store: Path, key_file: Path) -> None:
    for count in (3, 1100, 1):
        ledger = open_signed()
        add(ledger, count)
        Story(ledger).record("s-1" + str(count), ("output", b"x"))
        ledger.seal_segment().result(10)
        ledger.close()
    assert verify(store, key=LedgerKey.load(key_file).line).verdict is Verdict.OK
    Ledger.open(store, key=LedgerKey.load(key_file)).close()


def test_a_store_that_was_put_back(open_signed: Callable[[], Ledger], store: Path, tmp_path: Path) -> None:
    ledger = open_signed()
    add(ledger)
    ledger.close()
    shutil.copytree(store, tmp_path / "backup")
    ledger = open_signed()
    add(ledger)
    ledger.close()
    shutil.rmtree(store)
    shutil.copytree(tmp_path / "backup", store)
    for _ in range(2):
        with pytest.raises(StoreFailed, match=r"has signed 7 entries .* was put back"):
            open_signed()


def test_a_history_written_again(open_signed: Callable[[], Ledger], store: Path, key_file: Path) -> None:
    """With the stolen key, under the same origin."""
    ledger = open_signed()
    add(ledger)
    ledger.close()
    rechain(store, lambda entries: [entries[0], entries[2], entries[3], entries[3]], LedgerKey.load(key_file))
    assert verify(store).verdict is Verdict.OK
    with pytest.raises(StoreFailed, match="another history"):
        open_signed()


def test_a_group_that_was_never_committed(
    open_signed: Callable[[], Ledger], store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Signed, and then COMMIT failed: the store goes on from where it is, once with and once without a signer."""
    for again in range(3):
        ledger = open_signed()
        add(ledger)
        monkeypatch.setattr(ledger._store, "commit", lambda _: (_ for _ in ()).throw(OSError(5, "disk")))
        with pytest.raises(StoreFailed):
            add(ledger, again + 1)
        if again == 1:
            os.kill(ledger._notary.pid, signal.SIGKILL)  # type: ignore[attr-defined]
        ledger.close()
    ledger = open_signed()
    add(ledger)
    ledger.close()
    assert verify(store).verdict is Verdict.OK


def test_no_further_back_than_the_newest_group(open_signed: Callable[[], Ledger], store: Path, tmp_path: Path) -> None:
    ledger = open_signed()
    copies = []
    for number in range(3):
        add(ledger)
        shutil.copytree(store, tmp_path / f"copy-{number}")
        copies.append(tmp_path / f"copy-{number}")
    os.kill(ledger._notary.pid, signal.SIGKILL)  # type: ignore[attr-defined]
    ledger.close()
    memory = (tmp_path / "memory").read_bytes()
    for copy, fine in ((copies[0], False), (copies[1], True), (copies[2], True)):
        (tmp_path / "memory").write_bytes(memory)
        shutil.rmtree(store)
        shutil.copytree(copy, store)
        try:
            open_signed().close()
            opened = True
        except StoreFailed:
            opened = False
        assert opened == fine, copy


def test_a_signer_that_dies_stops_the_ledger(open_signed: Callable[[], Ledger], store: Path) -> None:
    ledger = open_signed()
    failures: list[StoreFailed] = []
    ledger.on_failure = failures.append
    os.kill(ledger._notary.pid, signal.SIGKILL)  # type: ignore[attr-defined]
    with pytest.raises(StoreFailed, match="signer"):
        add(ledger)
    with pytest.raises(StoreFailed):
        add(ledger)
    assert len(failures) == 1
    ledger.close()
    assert verify(store).verdict is Verdict.OK
    again = open_signed()
    add(again)
    again.close()


def test_a_signer_that_hangs_stops_the_ledger(
    open_signed: Callable[[], Ledger], store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger = open_signed()
    pid = ledger._notary.pid  # type: ignore[attr-defined]
    ledger._notary._link.settimeout(0.5)  # type: ignore[attr-defined]
    monkeypatch.setattr(signerprocess, "SECONDS", 1000)
    os.kill(pid, signal.SIGSTOP)
    with pytest.raises(StoreFailed, match="does not answer"):
        add(ledger)
    ledger.close()  # within the test's own patience
    assert not Path(f"/proc/{pid}").exists()
    assert verify(store).verdict is Verdict.OK
    again = open_signed()
    add(again)
    again.close()


def test_it_ends_with_the_daemon(open_signed: Callable[[], Ledger]) -> None:
    ledger = open_signed()
    process = ledger._notary._process  # type: ignore[attr-defined]
    ledger._notary._link.close()  # type: ignore[attr-defined] # as when the daemon is killed
    wait_until(lambda: process.poll() is not None, "the signer ends")
    ledger.close()


def test_nobody_looks_into_it(open_signed: Callable[[], Ledger]) -> None:
    ledger = open_signed()
    pid = ledger._notary.pid  # type: ignore[attr-defined]
    status = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    assert status["NoNewPrivs"].strip() == "1"
    limits = Path(f"/proc/{pid}/limits").read_text() if os.geteuid() == 0 else "Max core file size 0 0"
    assert next(line for line in limits.splitlines() if "core" in line).split()[4:6] == ["0", "0"]
    if os.geteuid() == 0:
        assert status["Uid"].split() == ["65534"] * 4
        assert status["Groups"].split() == []
    assert Path(f"/proc/{pid}/mem").stat().st_uid == 0, "it cannot be traced"
    ledger.close()


@pytest.mark.parametrize("wrong", ["absent", "open", "none"])
def test_a_key_that_cannot_be_used(wrong: str, key_file: Path, tmp_path: Path) -> None:
    match wrong:
        case "absent":
            key_file.unlink()
        case "open":
            key_file.chmod(0o644)
        case _:
            key_file.write_text("x")
    signer = SignerProcess(key_file, tmp_path / "memory")
    with pytest.raises(KeyFileError):
        _ = signer.public
    signer.close()


def test_a_change_of_keys_between_two_daemons(open_signed: Callable[[], Ledger], store: Path, key_file: Path) -> None:
    ledger = open_signed()
    add(ledger)
    ledger.close()
    offline = Ledger.open(store, key=LedgerKey.load(key_file))
    add(offline)
    key_file.rename(key_file.with_name("old"))
    offline.rotate(LedgerKey.create(key_file), actor="x")
    offline.close()
    for _ in range(2):
        ledger = open_signed()
        add(ledger)
        ledger.close()
    assert verify(store).verdict is Verdict.OK


# --- what it is asked, out of order or made up ------------------------------------------------------------------------


@pytest.fixture
def signer(key_file: Path, tmp_path: Path) -> Signer:
    return Signer(LedgerKey.load(key_file), Memory(tmp_path / "memory"))


def test_nothing_before_a_store(signer: Signer) -> None:
    assert isinstance(signer.seal(Seal([b"{}"], False)), Refused)


def test_a_head_that_others_signed(signer: Signer, key_file: Path) -> None:
    for key in (LedgerKey.generate(), LedgerKey.load(key_file)):
        head = key.seal("h/00000000", 1, bytes(32))  # by us, but over other entries
        said = Resume("h/00000000", 0, 0, "", [], [b"{}"], False, head.note, [])
        assert isinstance(signer.resume(said), Refused)
    said = Resume("h/00000000", 0, 5, "", [], [], False, "x", [])
    assert isinstance(signer.resume(said), Refused)


def test_a_damaged_memory_is_as_none(key_file: Path, tmp_path: Path) -> None:
    (tmp_path / "memory").write_bytes(random.Random(1).randbytes(9000))
    assert Signer(LedgerKey.load(key_file), Memory(tmp_path / "memory")).hello().size == 0
    with pytest.raises(OSError, match=r"denied|directory"):
        Memory(tmp_path)
    assert issubclass(KeyFileError, RecorderError)
