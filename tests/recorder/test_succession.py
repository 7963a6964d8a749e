"""The key changes while others append: every entry is there once, each head is signed by the key of its size."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from recorder.errors import RecorderError
from recorder.keys import LedgerKey
from recorder.ledger import Draft, Ledger
from recorder.reader import Reader
from recorder.signerprocess import SignerProcess
from recorder.verify import Verdict, verify
from tests.recorder.stories import HOST

WRITERS, EACH = 4, 150


def begin(tmp_path: Path) -> tuple[Ledger, Path]:
    store, key = tmp_path / "store", tmp_path / "key"
    Ledger.create(store, host=HOST, key=LedgerKey.create(key)).close()
    return Ledger.open(store, key=SignerProcess(key, tmp_path / "memory")), store


def test_keys_change_under_concurrent_appends(tmp_path: Path) -> None:
    ledger, store = begin(tmp_path)
    failed: list[BaseException] = []

    def write(number: int) -> None:
        try:
            for count in range(EACH):
                ledger.append(Draft("test.written", f"w{number}", {"count": count})).result(60)
        except BaseException as error:  # noqa: BLE001 - the test says which
            failed.append(error)

    writers = [threading.Thread(target=write, args=(number,)) for number in range(WRITERS)]
    for each in writers:
        each.start()
    made = []
    for number in range(3):
        entry = ledger.succeed(SignerProcess(tmp_path / f"key{number}", tmp_path / "memory", make=True), actor="a")
        made.append(entry.seq)
    for each in writers:
        each.join()
    last = ledger.append(Draft("test.written", "z", {})).result(30)[0]
    ledger.close()
    assert not failed
    report = verify(store)
    assert (report.verdict, report.problems, report.entries) == (Verdict.OK, (), last.seq + 1)
    assert report.entries == 1 + WRITERS * EACH + len(made) + 1
    with Reader.open(store) as reader:
        sizes = {size for size, _, _ in reader.checkpoints()}
        assert {seq + 1 for seq in made} <= sizes  # the last head of each key is kept
        assert reader.keys().rotations == [seq + 1 for seq in made]
    with pytest.raises(RecorderError):  # an old key signs nothing any more
        Ledger.open(store, key=SignerProcess(tmp_path / "key1", tmp_path / "other"))
    Ledger.open(store, key=SignerProcess(tmp_path / "key2", tmp_path / "memory")).close()
    assert verify(store).verdict is Verdict.OK


def test_a_successor_that_cannot_be_made_changes_nothing(tmp_path: Path) -> None:
    ledger, store = begin(tmp_path)
    (tmp_path / "taken").write_text("x")
    with pytest.raises(RecorderError, match="exists"):
        ledger.succeed(SignerProcess(tmp_path / "taken", tmp_path / "memory", make=True), actor="a")
    ledger.append(Draft("test.written", "z", {})).result(30)
    ledger.close()
    assert verify(store).verdict is Verdict.OK


def test_a_successor_that_dies_ends_the_ledger_and_the_next_start_goes_on(tmp_path: Path) -> None:
    """Its key is announced by then: whoever has the file can go on."""

    class Dying(SignerProcess):
        def resume(self, *_: object) -> None:
            raise RecorderError("dead")

    ledger, store = begin(tmp_path)
    ledger.succeed(Dying(tmp_path / "next", tmp_path / "memory", make=True), actor="a")
    with pytest.raises(RecorderError, match="cannot go on"):
        ledger.append(Draft("test.written", "z", {})).result(30)
    ledger.close()
    assert verify(store).verdict is Verdict.OK
    again = Ledger.open(store, key=SignerProcess(tmp_path / "next", tmp_path / "memory"))
    again.append(Draft("test.written", "z", {})).result(30)
    again.close()
    assert verify(store).verdict is Verdict.OK
