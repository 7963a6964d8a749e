"""P1: kill -9 at each step between proposal and execution. No command ran without a committed entry; the store reopens
and verifies; the next start says in the ledger how everything ended."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path

import pytest

from bastion.errors import BastionError
from bastion.model import Choice
from recorder.verify import Verdict, verify
from tests.support.house import ROOT, House

pytestmark = pytest.mark.e2e

STEPS = {
    # step: may the command have run?
    "before request.proposed": False,
    "after request.proposed": False,
    "before request.decided": False,
    "after request.decided": False,
    "before command.started": False,
    "after command.started": False,
    "before dial": False,
    "before exec": False,
    "after exec": True,
    "before command.finished": True,
    "after command.finished": True,
}


@pytest.mark.parametrize("whitelisted", [False, True], ids=["held", "whitelisted"])
@pytest.mark.parametrize(("step", "may_run"), STEPS.items(), ids=STEPS)
async def test_no_command_without_its_entry(
    house: House, tmp_path: Path, step: str, may_run: bool, whitelisted: bool
) -> None:
    if whitelisted and step.endswith("request.decided"):
        return  # nobody decides
    marker = tmp_path / "marker"
    command = f"touch {marker}"
    if whitelisted:
        house.start()
        root = await house.local()
        await house.whitelist(root, command.encode())
        await root.close()
        house.stop()
    house.start(
        program=(sys.executable, str(ROOT / "tests/crash/dying.py")), env={"DIE_AT": step, "PYTHONPATH": str(ROOT)}
    )
    ssh = await house.ssh("web-1", command)
    with contextlib.suppress(BastionError):
        if not whitelisted and step not in ("before request.proposed", "after request.proposed"):
            root = await house.local()
            await house.decide(root, Choice.APPROVE)
    outcome = await house.finish(ssh)
    assert outcome.status != 0 or step.endswith("command.finished")  # of the end it hears while that is committed
    assert house.stop() == -9

    with house.recorded() as reader:
        started = list(reader.entries(types=("command.started",)))
        assert len(started) <= 1
    assert not marker.exists() or started
    if not may_run:
        assert not marker.exists()
    assert verify(house.config.store).verdict in (Verdict.OK, Verdict.TORN)

    house.start()
    assert (await house.run("web-1", "true", options=("-o", "SetEnv=BASTION_WAIT=no"))).status in (0, 75)
    house.stop()
    report = verify(house.config.store)
    assert report.verdict is Verdict.OK, report
    with house.recorded() as reader:
        entries = list(reader.entries())
    for opens, closes in (
        ("session.opened", ("session.closed", "session.interrupted")),
        ("command.started", ("command.finished",)),
    ):
        opened = [e.session for e in entries if e.type == opens]
        closed = [e.session for e in entries if e.type in closes]
        assert sorted(opened) == sorted(closed), opens
    assert marker.exists() is False or may_run
