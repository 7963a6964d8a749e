"""Keys change, each bound to its range of sizes; stock tools follow."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from recorder import export
from recorder.errors import StoreDamaged, StoreFailed
from recorder.flatfiles import write_missing
from recorder.keyring import NAMESPACE, Keyring, RotationError, statement
from recorder.keys import LedgerKey
from recorder.ledger import Draft, Ledger
from recorder.reader import Reader
from recorder.recovery import recover
from recorder.verify import Verdict, verify
from tests.recorder.attacks import database
from tests.recorder.stories import HOST, Story, ledger_key

OLD, NEW, THIRD = ledger_key(), ledger_key(8), ledger_key(9)


def body(old: LedgerKey = OLD, new: LedgerKey = NEW, origin: str = "h/00000000", by: LedgerKey | None = None) -> dict:  # type: ignore[type-arg]
    said = statement(origin, old.line, new.line)
    proof = (by or new).sshsig(hashlib.sha512(said).digest(), NAMESPACE)
    return {"log_key": new.line, "previous": old.line, "proof": proof}


def test_each_key_has_its_range() -> None:
    keys = Keyring(OLD.public)
    keys.rotate(9, "h/00000000", body())
    assert [keys.at(size) for size in (0, 1, 10)] == [OLD.public] * 3
    assert [keys.at(size) for size in (11, 99)] == [NEW.public] * 2
    assert (keys.current, keys.rotations) == (NEW.public, [10])
    assert OLD.public in keys
    assert THIRD.public not in keys


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        body(by=OLD),  # the old key may not speak for the new one
        body(old=THIRD),
        body(new=OLD),
        body(origin="h/11111111"),
        {**body(), "log_key": "ssh-ed25519 AAAA"},
        {**body(), "proof": 7},
    ],
)
def test_what_is_no_change_of_keys(wrong: dict[str, object]) -> None:
    with pytest.raises(RotationError):
        Keyring(OLD.public).rotate(9, "h/00000000", wrong)


@pytest.fixture
def rotated(store: Path) -> Path:
    """A ledger under three keys, with a few entries under each."""
    ledger = Ledger.create(store, host=HOST, key=OLD)
    Story(ledger).everything()
    ledger.rotate(NEW, actor="local:0")
    ledger.append(*(Draft("a.b", "x", {"n": n}) for n in range(1500))).result(30)
    ledger.close()
    ledger = Ledger.open(store, key=NEW)
    ledger.rotate(THIRD, actor="local:0")
    ledger.append(Draft("a.b", "x", {})).result(30)
    ledger.close()
    return store


def test_a_ledger_under_three_keys(rotated: Path) -> None:
    report = verify(rotated)
    assert (report.verdict, report.problems, report.key) == (Verdict.OK, (), THIRD.line)
    for key in (OLD, NEW, THIRD):
        assert verify(rotated, key=key.line).verdict is Verdict.OK
    assert verify(rotated, key=ledger_key(10).line).verdict is Verdict.TAMPER
    for key in (OLD, NEW):
        with pytest.raises(StoreFailed, match="not the one of this store"):
            Ledger.open(rotated, key=key)
    with Reader.open(rotated) as reader:
        assert reader.checkpoint().size == reader.size()
    ledger = Ledger.open(rotated, key=THIRD)
    ledger.append(Draft("a.b", "x", {})).result(30)
    ledger.close()
    assert verify(rotated).verdict is Verdict.OK


def test_an_old_key_on_new_entries(rotated: Path) -> None:
    """The newest head and segment signed again by the key before."""
    standing = recover(rotated, THIRD.public)
    head = OLD.seal(standing.head.origin, standing.head.size, standing.head.root)
    with database(rotated) as db:
        db.execute("UPDATE checkpoints SET note = ?, sshsig = ? WHERE size = ?", (head.note, head.sshsig, head.size))
    report = verify(rotated)
    assert (report.verdict, report.seq) == (Verdict.TAMPER, head.size - 1)
    with pytest.raises(StoreDamaged):
        Ledger.open(rotated, key=THIRD)


def test_the_last_head_of_a_key_is_kept_and_missed(rotated: Path) -> None:
    with database(rotated) as db:
        sizes = [size for (size,) in db.execute("SELECT size FROM checkpoints ORDER BY size")]
        with Reader.open(rotated) as reader:
            turns = [size for size in sizes if reader.entry(size - 1).type == "key.rotated"]
            assert turns == reader.keys().rotations
        assert len(turns) == 2
        db.execute("DELETE FROM checkpoints WHERE size = ?", (turns[0],))
    report = verify(rotated)
    assert (report.verdict, report.seq) == (Verdict.TAMPER, turns[0] - 1)


@pytest.mark.parametrize("shell", [["dash"], ["busybox", "sh"]], ids=["dash", "busybox"])
def test_stock_tools_follow(shell: list[str], rotated: Path, tmp_path: Path) -> None:
    if not shutil.which(shell[0]):
        pytest.skip(f"{shell[0]} is not installed")
    bundle = tmp_path / "bundle"
    export.bundle(rotated, bundle)
    assert verify(bundle).verdict is Verdict.OK

    def run(key: LedgerKey) -> subprocess.CompletedProcess[str]:
        (tmp_path / "key.pub").write_text(key.line + "\n")
        command = [*shell, str(bundle / "verify.sh"), str(tmp_path / "key.pub")]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    for key in (OLD, NEW, THIRD):
        assert (run(key).returncode, run(key).stderr) == (0, "")
    assert run(ledger_key(10)).returncode == 1
    # the last segment signed by the key before the last
    last = max(bundle.glob("seg-*.jsonl"))
    armour = NEW.sshsig(hashlib.sha512(last.read_bytes()).digest(), "segment@agent-bastion")
    last.with_name(f"{last.name}.sig").write_text(armour)
    (bundle / "SHA256SUMS").unlink()
    subprocess.run("sha256sum seg* checkpoint* > SHA256SUMS", shell=True, cwd=bundle, check=True)  # noqa: S602
    assert run(THIRD).returncode == 1
    assert verify(bundle).verdict is Verdict.TAMPER


def test_a_change_of_keys_in_the_middle_of_a_segment(story: Story, store: Path) -> None:
    """Written by somebody who holds the key and not this program."""
    origin = story.ledger.origin
    story.write(Draft("key.rotated", "x", body(origin=origin)))
    story.write(Draft("a.b", "x", {}))
    story.ledger.close()
    assert verify(store).verdict is Verdict.TAMPER


def test_sealed_segments_are_files(told: Callable[[Callable[[Story], object]], Path], key: LedgerKey) -> None:
    def tell(story: Story) -> None:
        story.everything()
        story.ledger.seal_segment().result(10)
        story.ledger.seal_segment().result(10)  # nothing is open: nothing happens
        story.ledger.append(*(Draft("a.b", "x", {"n": n}) for n in range(1030))).result(30)

    store = told(tell)
    assert write_missing(store) == 2
    assert write_missing(store) == 0
    names = sorted(path.name for path in (store / "segments").iterdir())
    assert names == [f"seg-{number:06d}.jsonl{end}" for number in (0, 1) for end in ("", ".sig")]
    assert json.loads((store / "segments" / names[2]).read_bytes().splitlines()[0])["first"] == 17
    assert verify(store).verdict is Verdict.OK
    Ledger.open(store, key=key).close()
    path = store / "segments" / names[0]
    path.write_bytes(path.read_bytes().replace(b'"name":"ana"', b'"name":"eve"'))
    report = verify(store)
    assert (report.verdict, "its file" in report.message) == (Verdict.TAMPER, True)


def test_a_segment_is_sealed_after_an_hour(store: Path, key: LedgerKey) -> None:
    class Clock:
        boot, now = "0", 10**18

        def wall(self) -> int:
            return self.now

        def monotonic(self) -> int:
            return self.now

    clock = Clock()
    ledger = Ledger.create(store, host=HOST, key=key, clock=clock)
    for minutes in (1, 58, 1, 30, 29, 5):
        clock.now += minutes * 60 * 10**9
        ledger.append(Draft("a.b", "x", {})).result(10)
    ledger.close()
    ledger = Ledger.open(store, key=key, clock=clock)  # it remembers when the open one began
    clock.now += 57 * 60 * 10**9
    ledger.append(Draft("a.b", "x", {})).result(10)
    ledger.close()
    with database(store) as db:
        assert list(db.execute("SELECT entries, sealed FROM segments")) == [(4, 1), (4, 1)]
    assert verify(store).verdict is Verdict.OK
