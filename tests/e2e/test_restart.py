"""The bastion restarts while a request is held: it is at the desk again, and its client comes back to it. P1, P7."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from bastion.control import wire
from bastion.model import Choice
from tests.support.house import ROOT, House, make_house
from tests.support.sshd import Sshd

pytestmark = pytest.mark.e2e


@pytest.fixture
def house(tmp_path: Path, sshd: Sshd) -> Iterator[House]:
    made = make_house(tmp_path, sshd)
    made.start()
    yield made
    made.stop()


async def restart(house: House, number: signal.Signals) -> None:
    await asyncio.to_thread(house.stop, number)
    await asyncio.to_thread(house.start)


def verified(house: House) -> bool:
    command = [sys.executable, "-m", "bastion", "--config", str(house.config.path), "ledger", "verify"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return True


@pytest.mark.parametrize(
    ("number", "options"), [(signal.SIGTERM, ()), (signal.SIGKILL, ()), (signal.SIGTERM, ("-tt",))]
)
async def test_held_across_a_restart(
    house: House, tmp_path: Path, number: signal.Signals, options: tuple[str, ...]
) -> None:
    command = f"touch {tmp_path}/canary"
    ana = await house.local()
    first = await house.ssh("web-1", command, options=options)
    before = await house.held(ana, command.encode())
    await ana.close()
    await restart(house, number)
    outcome = await house.finish(first)
    assert outcome.status != 0
    if number is signal.SIGTERM:
        assert "stays held" in outcome.stderr
    ana = await house.local()
    (after,) = await ana.call(wire.ListRequests, list[wire.RequestInfo], state="held")
    assert (after.id, after.digest, after.expires, after.attached) == (before.id, before.digest, before.expires, False)
    again = await house.ssh("web-1", command, options=options)
    assert (await house.held(ana)).id == before.id
    assert not (tmp_path / "canary").exists()
    await house.decide(ana)
    assert (await house.finish(again)).status == 0
    assert (tmp_path / "canary").exists()
    await ana.close()
    assert await asyncio.to_thread(verified, house)


async def test_approved_after_the_restart_and_used_once_after_another(house: House, tmp_path: Path) -> None:
    command = f"echo x >> {tmp_path}/canary"
    ana = await house.local()
    first = await house.ssh("web-1", command)
    await house.held(ana, command.encode())
    await ana.close()
    await restart(house, signal.SIGKILL)
    await house.finish(first)
    ana = await house.local()
    (info,) = await ana.call(wire.ListRequests, list[wire.RequestInfo], state="held")
    assert (await ana.vote(info, Choice.APPROVE, "")).state == "approved"
    await ana.close()
    await restart(house, signal.SIGKILL)
    assert (await house.run("web-1", command)).status == 0
    assert (tmp_path / "canary").read_text() == "x\n"
    waiting = await house.ssh("web-1", command)
    ana = await house.local()
    assert (await house.held(ana)).id != info.id
    await house.decide(ana, Choice.DENY, "once is enough")
    assert (await house.finish(waiting)).status == 126
    await ana.close()
    assert (tmp_path / "canary").read_text() == "x\n"
    assert await asyncio.to_thread(verified, house)


async def test_another_agent_does_not_get_it(house: House, tmp_path: Path) -> None:
    command = f"touch {tmp_path}/canary"
    ana = await house.local()
    first = await house.ssh("web-1", command)
    before = await house.held(ana, command.encode())
    await ana.close()
    await restart(house, signal.SIGKILL)
    await house.finish(first)
    other = await house.ssh("web-1", command, who="agent-8")
    ana = await house.local()
    mine = await house.held(ana)
    assert (mine.identity, mine.id != before.id) == ("agent-8", True)
    await house.decide(ana, Choice.DENY, "no")
    await house.finish(other)
    await ana.close()
