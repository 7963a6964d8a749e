"""A channel that is older than a revocation, or than the removal of its target, starts nothing any more."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import asyncssh
import pytest
from asyncssh.packet import String

from bastion.control import wire
from bastion.control.client import Client
from tests.support.house import House
from tests.support.keys import make_key
from tests.support.sshd import LOGIN, Sshd

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory, sshd: Sshd) -> Iterator[House]:
    made = House(tmp_path_factory.mktemp("house"))
    for name in ("web-1", "web-2"):
        made.add_target(name, sshd)
    made.start()
    yield made
    made.stop()


@pytest.fixture
async def root(house: House) -> AsyncIterator[Client]:
    client = await house.local()
    yield client
    await client.close()


class Session(asyncssh.SSHClientSession[bytes]):
    pass


async def channel_of(house: House, target: str, who: str) -> Any:
    """An open channel; nothing was asked for on it yet."""
    connection = await asyncssh.connect(
        "127.0.0.1",
        house.port,
        username=target,
        client_keys=[str(house.work / who)],
        known_hosts=str(house.work / "known_hosts"),
        config=None,
    )
    channel: Any = asyncssh.SSHClientChannel(
        connection, asyncio.get_running_loop(), "strict", None, "strict", 1 << 20, 32768
    )
    await channel._open(b"session")
    channel._session = Session()
    channel.resume_reading()
    channel.connection = connection
    return channel


async def test_a_revoked_identity_that_is_not_cut_yet(house: House, root: Client, tmp_path: Path) -> None:
    key = make_key(house.work / "shortlived")
    await root.call(wire.AddIdentity, wire.IdentityInfo, name="shortlived", kind="agent", roles=[], key=key)
    marker = tmp_path / "marker"
    command = f"touch {marker}"
    await house.whitelist(root, command.encode(), identity="shortlived")
    await house.whitelist(root, b"true")
    assert (await house.run("web-1", "true")).status == 0  # from now on the target is one packet away
    channel = await channel_of(house, "web-1", "shortlived")
    await root.call(wire.RevokeIdentity, wire.IdentityInfo, name="shortlived", reason="gone rogue")
    channel._send_request(b"exec", String(command))
    await channel.wait_closed()
    await asyncio.sleep(0.5)
    channel.connection.abort()
    assert not marker.exists()


async def test_a_target_that_was_removed(house: House, root: Client) -> None:
    channel = await channel_of(house, "web-2", "agent-7")
    await root.call(wire.RemoveTarget, wire.TargetInfo, name="web-2")
    channel._send_request(b"exec", String("true"))
    async with asyncio.timeout(5):
        await channel.wait_closed()
    assert channel.get_exit_status() == 125
    channel.connection.abort()
    assert await root.call(wire.ListRequests, list[wire.RequestInfo], state="held") == []


async def test_a_target_that_took_its_name(house: House, sshd: Sshd, root: Client, tmp_path: Path) -> None:
    """Another machine under the same name is another target: what was opened for the one does not go to the other."""
    add: dict[str, Any] = {
        "logins": [LOGIN],
        "env": "test",
        "host_keys": [sshd.host_key],
        "credential": f"key:{sshd.credential}",
    }
    await root.call(wire.AddTarget, wire.TargetInfo, name="web-3", address="127.0.0.1:1", **add)
    channel = await channel_of(house, "web-3", "agent-7")
    await root.call(wire.RemoveTarget, wire.TargetInfo, name="web-3")
    await root.call(wire.AddTarget, wire.TargetInfo, name="web-3", address=f"127.0.0.1:{sshd.port}", **add)
    channel._send_request(b"exec", String(f"touch {tmp_path / 'marker'}"))
    async with asyncio.timeout(5):
        await channel.wait_closed()
    assert channel.get_exit_status() == 125
    channel.connection.abort()
