"""An agent hears of its command's end while that is committed; nobody else does before, and nothing new starts."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import pytest

from bastion.control import wire
from bastion.errors import BastionError
from recorder.reader import Reader
from tests.support.house import ROOT, House

pytestmark = pytest.mark.e2e


async def test_an_end_that_is_committed_late(house: House, tmp_path: Path) -> None:
    release, marker = tmp_path / "release", tmp_path / "marker"
    late = (sys.executable, str(ROOT / "tests/crash/late.py"))
    house.start(program=late, env={"LATE_UNTIL": str(release), "PYTHONPATH": str(ROOT)})
    root = await house.local()
    for command in ("echo out", f"touch {marker}"):
        await house.whitelist(root, command.encode())

    outcome = await house.run("web-1", "echo out")  # 1. the agent has everything
    assert (outcome.status, outcome.stdout) == (0, b"out\n")
    with Reader.open(house.config.store) as reader:
        assert not list(reader.entries(types=("command.finished", "session.closed")))

    following = await house.ssh("web-1", f"touch {marker}")  # 2. what follows it waits for the same ledger
    asked = asyncio.create_task(root.call(wire.ListRequests, list[wire.RequestInfo]))  # 3. so does who asks for it
    with pytest.raises(BastionError):  # 4. who ends something does not
        await root.call(wire.KillSession, None, session="s-00000000", reason="now")
    assert not asked.done()
    assert following.returncode is None
    assert not marker.exists()

    release.touch()
    assert (await house.finish(following)).status == 0
    assert [info.status for info in await asked if info.command == b"echo out"] == ["exit 0"]
    await root.close()
    assert house.stop() == 0
