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
from recorder.verify import Verdict, verify
from tests.support.house import ROOT, House
from tests.support.ports import until
from tests.support.relay import Relay
from tests.support.sftp import READS_FLOW, far, scp, start
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

    ours = [path.name for path in tmp_path.glob(".bastion-*")]
    assert len(ours) == (step in ("before write", "before rename"))
    (tmp_path / ".bastion-r-00000000-1").write_text("somebody else's")
    house.start()
    assert list(house.config.staging.iterdir()) == []
    down = await scp(house, far(there), tmp_path / "down")
    assert (await house.finish(down)).status == 0
    assert [path.name for path in tmp_path.glob(".bastion-*")] == [".bastion-r-00000000-1"]
    assert list((house.config.state / "leftovers").iterdir()) == []
    house.stop()
    report = verify(house.config.store)
    assert report.verdict is Verdict.OK, report
    with house.recorded() as reader:
        started = [entry.request for entry in reader.entries(types=("command.started",))]
        finished = {entry.request: entry for entry in reader.entries(types=("command.finished",))}
    assert sorted(started) == sorted(finished)
    if step in ("before write", "before rename", "after rename"):
        assert len(started) == 2 + 2  # to look, and to write; and those of the next transfer
        assert all("its end is unknown" in finished[request].body["note"] for request in started[:2])


async def test_what_stays_on_a_target_that_is_gone_goes_at_the_next_contact(
    house: House, target: Sshd, tmp_path: Path
) -> None:
    """The network goes while a large file is written beside its place: nobody is there to take it away again."""
    there, mine = tmp_path / "file", tmp_path / "mine"
    there.write_bytes(OLD)
    mine.write_bytes(bytes(64 << 20))
    async with Relay(target.port) as relay:
        house.add_target("far", target, port=relay.port)
        house.start()
        root = await house.local()
        client = await start(house, "scp", mine, far(there).replace("web-1", "far"))
        await house.decide(root, Choice.APPROVE)
        await until(lambda: list(tmp_path.glob(".bastion-*")), "it is written")
        relay.cut()
        assert (await house.finish(client)).status != 0
        assert there.read_bytes() == OLD
        assert len(list(tmp_path.glob(".bastion-*"))) == 1
        down = await start(house, "scp", far(there).replace("web-1", "far"), tmp_path / "down")
        assert (await house.finish(down)).status == 0
        assert list(tmp_path.glob(".bastion-*")) == []
        await root.close()
        assert house.stop() == 0
    assert verify(house.config.store).verdict is Verdict.OK
