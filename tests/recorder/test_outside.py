"""What vouches from outside: anchors, copies, a witness; and every verdict that follows."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from recorder import cosignature
from recorder.cosignature import Witness
from recorder.errors import NoteError, StoreFailed
from recorder.flatfiles import write_missing
from recorder.ledger import Draft, Ledger
from recorder.verify import Verdict, verify
from tests.recorder.attacks import rechain
from tests.recorder.stories import HOST, Story, ledger_key

WITNESS_KEY = ledger_key(3)
WITNESS = Witness("witness.example/w1", WITNESS_KEY.public)


def anchored(ledger: Ledger, *, by: Witness = WITNESS, seconds: int = 5, kind: str = "witness") -> None:
    head = ledger.head()
    line = cosignature.cosign(by, WITNESS_KEY.sign, head.text, seconds)
    body = {"anchor": head.anchor, "kind": kind, "where": "http://w", "cosignature": line}
    ledger.append(Draft("checkpoint.anchored", "bastion", body)).result(10)


def copy(ledger: Ledger, directory: Path) -> None:
    head = ledger.head()
    place = directory / head.origin.replace("/", "-")
    place.mkdir(parents=True, exist_ok=True)
    (place / f"checkpoint-{head.size:012d}.note").write_text(head.note)


@pytest.fixture
def made(store: Path, tmp_path: Path) -> Path:
    """Seventeen entries, witnessed and copied at 17, copied at 19, twenty in all."""
    ledger = Ledger.create(store, host=HOST, key=ledger_key())
    Story(ledger).everything()
    copy(ledger, tmp_path / "copies")
    anchored(ledger)
    ledger.append(Draft("a.b", "x", {})).result(10)
    copy(ledger, tmp_path / "copies")
    ledger.append(Draft("a.b", "x", {})).result(10)
    ledger.close()
    return store


def test_a_witness_vouches(made: Path) -> None:
    report = verify(made, witness=WITNESS.verifier_key)
    assert (report.verdict, report.anchored, report.entries) == (Verdict.OK, 17, 20)
    assert report.notes == ("3 entries since the last anchor, of which nothing from elsewhere knows",)
    for fresh, verdict in ((3, Verdict.OK), (2, Verdict.UNANCHORED)):
        assert verify(made, witness=WITNESS.verifier_key, fresh=fresh).verdict is verdict
    other = Witness("witness.example/w1", ledger_key(4).public).verifier_key
    report = verify(made, witness=other)
    assert (report.verdict, report.seq, report.good) == (Verdict.UNANCHORED, 0, False)
    with pytest.raises(NoteError):
        verify(made, witness="x")


def test_copies_vouch(made: Path, tmp_path: Path) -> None:
    report = verify(made, copies=tmp_path / "copies")
    assert (report.verdict, report.anchored) == (Verdict.OK, 19)
    assert verify(made, copies=tmp_path / "copies", fresh=0).verdict is Verdict.UNANCHORED
    with pytest.raises(StoreFailed, match="no copies"):
        verify(made, copies=tmp_path)


def test_nothing_is_asked_of_nobody(made: Path) -> None:
    report = verify(made)
    assert (report.verdict, report.anchored) == (Verdict.OK, None)
    assert verify(made, fresh=19).verdict is Verdict.UNANCHORED
    assert verify(made, fresh=20).verdict is Verdict.OK


def test_a_ledger_put_back_behind_its_copies(made: Path, tmp_path: Path) -> None:
    rechain(made, lambda entries: entries[:18], ledger_key())  # with the stolen key
    for name in ("segments",):
        shutil.rmtree(made / name, ignore_errors=True)
    assert verify(made).verdict is Verdict.OK
    report = verify(made, copies=tmp_path / "copies")
    assert (report.verdict, report.seq, report.anchored) == (Verdict.ROLLBACK, 18, 17)


def test_a_ledger_written_again_behind_its_witness(made: Path, tmp_path: Path) -> None:
    def change(entries: list[dict[str, object]]) -> list[dict[str, object]]:
        entries[18]["body"] = {"n": "other"}
        return entries

    rechain(made, change, ledger_key())
    report = verify(made, copies=tmp_path / "copies")
    assert (report.verdict, report.seq) == (Verdict.FORK, 17), "the head at 17 still holds, the one at 19 does not"

    def earlier(entries: list[dict[str, object]]) -> list[dict[str, object]]:
        entries[16]["body"] = {"end": "other"}
        return entries

    rechain(made, earlier, ledger_key())
    report = verify(made)
    assert (report.verdict, report.seq) == (Verdict.TAMPER, 17), "what was anchored contradicts what is there"


def test_a_copy_that_others_made_vouches_for_nothing(made: Path, tmp_path: Path) -> None:
    (place,) = (tmp_path / "copies").iterdir()
    (place / "checkpoint-000000000099.note").write_text(ledger_key(9).seal("bastion.example/0", 99, bytes(32)).note)
    (place / "checkpoint-000000000098.note").write_bytes(b"\xff")
    report = verify(made, copies=tmp_path / "copies")
    assert (report.verdict, report.anchored) == (Verdict.OK, 19)
    assert sum("vouches for nothing" in note for note in report.notes) == 2


def test_copied_segments(made: Path, tmp_path: Path) -> None:
    ledger = Ledger.open(made, key=ledger_key())
    ledger.seal_segment().result(10)
    ledger.close()
    write_missing(made)
    (place,) = (tmp_path / "copies").iterdir()
    for path in (made / "segments").iterdir():
        shutil.copy(path, place)
    assert verify(made, copies=tmp_path / "copies").verdict is Verdict.OK
    (place / "seg-000000.jsonl").write_text("other")
    report = verify(made, copies=tmp_path / "copies")
    assert (report.verdict, report.seq) == (Verdict.FORK, 0)


@pytest.mark.parametrize("anchor", ["", "x", f"99:{'0' * 64}", f"0:{'0' * 64}"])
def test_an_anchor_that_cannot_be(anchor: str, made: Path) -> None:
    body = {"anchor": anchor, "cosignature": ""} if anchor else {}
    ledger = Ledger.open(made, key=ledger_key())
    ledger.append(Draft("checkpoint.anchored", "bastion", body)).result(10)
    ledger.close()
    report = verify(made)
    assert (report.verdict, report.seq) == (Verdict.TAMPER, 20)
