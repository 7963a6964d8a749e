"""kill -9 while requests are held: who was told is not told again, what came due meanwhile is told, and who put a
request aside is still not reminded of it."""

from __future__ import annotations

import asyncio
import json
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from bastion.control import wire
from bastion.model import Choice
from tests.support.house import House
from tests.support.ports import until
from tests.support.sinks import Web
from tests.support.sshd import Sshd

pytestmark = pytest.mark.e2e

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
POLICY = """policy "tests" {
  version 1
  group second "ben"
  escalate after 4s to second
}
"""


@pytest.fixture
def web() -> Iterator[Web]:
    with Web() as made:
        yield made


@pytest.fixture
def house(tmp_path: Path, sshd: Sshd, web: Web) -> Iterator[House]:
    made = House(tmp_path / "house", POLICY)
    made.add_target("web-1", sshd)
    secret = made.config.path.parent / "hook.secret"
    secret.write_text(SECRET)
    secret.chmod(0o600)
    made.configure(f'[[notify]]\nname = "hook"\nkind = "webhook"\nurl = "{web.url}"\nsecret_file = "hook.secret"\n')
    made.start()
    yield made
    made.stop()


def told(web: Web) -> list[tuple[str, str]]:
    """(what, about which request), in the order in which it came."""
    found = [json.loads(got.body) for got in list(web.got)]
    return [(each["type"].removeprefix("bastion."), each["data"]["request"]) for each in found]


async def test_alerts_of_what_was_held(house: House, web: Web) -> None:
    ana = await house.remote("ana")
    ssh = await house.ssh("web-1", "echo held for long")
    info = await house.held(ana, b"echo held for long")
    until_when = info.expires - 1_000_000
    await ana.call(wire.SnoozeRequest, wire.RequestInfo, request=info.id, until=until_when)
    await until(lambda: ("held", info.id) in told(web), "people are told")
    await until(lambda: '"told": true' in (house.config.state / "notifications").read_text(), "it is noted")
    await ana.close()
    house.stop(signal.SIGKILL)
    await house.finish(ssh)
    due = info.created / 1e6 + 4
    await until(lambda: time.time() > due, "the time to hand it on comes while nobody runs")
    await asyncio.to_thread(house.start)
    ana = await house.remote("ana")
    await until(lambda: ("escalated", info.id) in told(web), "what came due is told")  # or was, on a slow machine
    await ana.call(wire.TryChannels, list[wire.ChannelInfo], names=["hook"])  # all before it went out before it
    assert told(web) == [("held", info.id), ("escalated", info.id), ("test", "")]
    after = await ana.call(wire.ShowRequest, wire.RequestInfo, request=info.id)
    assert (after.state, after.escalated, after.snoozed) == ("held", ["second"], [("ana", until_when)])
    await ana.close()
    house.stop(signal.SIGKILL)
    await asyncio.to_thread(house.start)
    ana = await house.remote("ana")
    await ana.call(wire.TryChannels, list[wire.ChannelInfo], names=["hook"])
    assert told(web)[2:] == [("test", ""), ("test", "")]
    after = await ana.call(wire.ShowRequest, wire.RequestInfo, request=info.id)
    await ana.vote(after, Choice.DENY, "enough")
    await ana.close()
