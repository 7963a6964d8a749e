"""The bastion restarts while a transfer is held: whoever sends the same again comes back to it. P1, P7."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from bastion.control import wire
from bastion.model import Choice
from recorder.verify import Verdict, verify
from tests.support.house import House
from tests.support.ports import wait_until
from tests.support.sftp import READS_FLOW, far, scp, sftp
from tests.support.sshd import Sshd, descendants

pytestmark = pytest.mark.e2e


@pytest.fixture
def house(tmp_path: Path, sshd: Sshd) -> Iterator[House]:
    made = House(tmp_path / "house", READS_FLOW)
    made.add_target("web-1", sshd)
    made.start()
    yield made
    made.stop()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
async def test_held_across_a_restart(house: House, tmp_path: Path, number: signal.Signals) -> None:
    (tmp_path / "mine").write_text("mine")
    ana = await house.local()
    first = await scp(house, tmp_path / "mine", far(tmp_path / "there"))
    before = await house.held(ana)
    await ana.close()
    await asyncio.to_thread(house.stop, number)
    await asyncio.to_thread(house.start)
    outcome = await house.finish(first)
    assert outcome.status != 0
    if number is signal.SIGTERM:
        assert "stays held" in outcome.stderr
    assert list(house.config.staging.iterdir()) == []
    ana = await house.local()
    (after,) = await ana.call(wire.ListRequests, list[wire.RequestInfo], state="held")
    assert (after.id, after.digest, after.attached) == (before.id, before.digest, False)
    again = await scp(house, tmp_path / "mine", far(tmp_path / "there"))
    assert (await house.held(ana)).id == before.id
    assert not (tmp_path / "there").exists()
    await house.decide(ana, Choice.APPROVE)
    done = await house.finish(again)
    assert done.status == 0, done.stderr
    assert (tmp_path / "there").read_text() == "mine"
    await ana.close()


@pytest.mark.parametrize("program", ["scp", "sftp"])
async def test_a_session_that_is_killed_leaves_nothing(house: House, tmp_path: Path, program: str) -> None:
    (tmp_path / "mine").write_text("mine")
    ana = await house.local()
    if program == "scp":
        client = await scp(house, tmp_path / "mine", far(tmp_path / "there"))
    else:
        client = await sftp(house, f"put {tmp_path}/mine {tmp_path}/there")
    held = await house.held(ana)
    await ana.call(wire.KillSession, object, session=held.session, reason="enough")
    done = await house.finish(client)
    assert done.status != 0
    assert "enough" in done.stderr
    (info,) = [each for each in await ana.call(wire.ListRequests, list[wire.RequestInfo]) if each.id == held.id]
    assert info.state == "withdrawn"
    assert list(house.config.staging.iterdir()) == []
    assert not (tmp_path / "there").exists()
    await ana.close()
    await asyncio.to_thread(house.stop)
    assert verify(house.config.store).verdict is Verdict.OK


async def test_a_client_that_is_killed_while_it_is_held_at_close(house: House, tmp_path: Path) -> None:
    """sftp is answered at `close`: its request stays, and sending the same again takes it up."""
    (tmp_path / "mine").write_text("mine")
    ana = await house.local()
    line = f"put {tmp_path}/mine {tmp_path}/there"
    client = await sftp(house, line)
    held = await house.held(ana)
    for pid in [*descendants(client.pid), client.pid]:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    await client.wait()
    await asyncio.to_thread(wait_until, lambda: list(house.config.staging.iterdir()) == [], "nothing is staged")
    assert (await house.held(ana, held.command)).id == held.id
    await ana.vote(held, Choice.APPROVE, "fine")
    again = await house.finish(await sftp(house, line))
    assert again.status == 0, again.stderr
    assert (tmp_path / "there").read_text() == "mine"
    await ana.close()
    await asyncio.to_thread(house.stop)
    assert verify(house.config.store).verdict is Verdict.OK
