"""P1, P4: kill -9 while a transfer is staged, decided or applied. Nothing half-written stands under the file's name,
what was staged is gone at the next start, and the ledger says how everything ended."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from bastion.errors import BastionError
from bastion.model import Choice
from recorder.reader import Reader
from recorder.verify import Verdict, verify
from tests.support.house import ROOT, House
from tests.support.sftp import READS_FLOW, far, scp
from tests.support.sshd import Sshd

pytestmark = pytest.mark.e2e

STEPS = {
    # step: may the new content be there?
    "after request.decided": False,
    "before write": False,
    "before rename": False,
    "after rename": True,
}

OLD, NEW = b"as it was\n", b"mine\n" * 1000


@pytest.fixture
def house(tmp_path: Path, target: Sshd) -> Iterator[House]:
    made = House(tmp_path / "house", READS_FLOW)
    made.add_target("web-1", target)
    yield made
    made.stop()


@pytest.mark.parametrize(("step", "may_be_there"), STEPS.items(), ids=STEPS)
async def test_a_file_is_whole_or_as_it_was(house: House, tmp_path: Path, step: str, may_be_there: bool) -> None:
    there, mine = tmp_path / "file", tmp_path / "mine"
    there.write_bytes(OLD)
    mine.write_bytes(NEW)
    house.start(
        program=(sys.executable, str(ROOT / "tests/crash/dying.py")), env={"DIE_AT": step, "PYTHONPATH": str(ROOT)}
    )
    client = await scp(house, mine, far(there))
    with contextlib.suppress(BastionError):
        root = await house.local()
        await house.decide(root, Choice.APPROVE)
    assert (await house.finish(client)).status != 0
    assert house.stop() == -9
    assert there.read_bytes() == (NEW if may_be_there else OLD)
    assert verify(house.config.store).verdict in (Verdict.OK, Verdict.TORN)

    house.start()
    assert list(house.config.staging.iterdir()) == []
    house.stop()
    report = verify(house.config.store)
    assert report.verdict is Verdict.OK, report
    with Reader.open(house.config.store) as reader:
        started = [entry.request for entry in reader.entries(types=("command.started",))]
        finished = {entry.request: entry for entry in reader.entries(types=("command.finished",))}
    assert sorted(started) == sorted(finished)
    if step in ("before write", "before rename", "after rename"):
        assert len(started) == 2  # to look, and to write
        assert all("its end is unknown" in entry.body["note"] for entry in finished.values())
