"""Ending what runs: by kill, by revocation, by the agent's leaving; and by a target that does not play along.

sshd passes signals on to the commands of every login but root's, so the target here is used with an unprivileged one.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from bastion.admin import administering
from bastion.control import wire
from bastion.control.client import Client
from tests.support.house import House
from tests.support.ports import until
from tests.support.sshd import LOGIN, Sshd

pytestmark = pytest.mark.e2e

SOON = 9.0
"""Seconds. On an idle machine it is a tenth of one (`./dev bench` measures it); what would end it by itself, keepalives
and the daemon's patience with sessions that do not end, takes 10 and more."""


@pytest.fixture(scope="module")
def login() -> Iterator[str]:
    """An account without privileges: our own, or, for root, one that is made for these tests."""
    if os.geteuid() != 0:
        yield LOGIN
        return
    name = f"bastion-e2e-{os.getpid()}"
    subprocess.run(
        ["useradd", "--system", "--no-create-home", "--shell", "/bin/sh", "--password", "*", name], check=True
    )
    try:
        yield name
    finally:
        subprocess.run(["userdel", "--force", name], check=True, capture_output=True)


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory, sshd: Sshd, login: str) -> Iterator[House]:
    made = House(tmp_path_factory.mktemp("house"))
    made.add_target("web-1", sshd)
    with administering(made.config, "local:0") as admin:
        address, key = f"127.0.0.1:{sshd.port}", f"key:{sshd.credential}"
        admin.add_target("plain", address, [login], "test", [sshd.host_key], key)
    made.start()
    yield made
    made.stop()


@pytest.fixture
async def ana(house: House) -> AsyncIterator[Client]:
    client = await house.remote("ana")
    yield client
    await client.close()


async def started(
    house: House, ana: Client, target: str, **more: object
) -> tuple[asyncio.subprocess.Process, Path, wire.RequestInfo]:
    """A command that waits for ever: its ssh, its /proc entry on the target, its request."""
    ssh = await house.ssh(target, "echo $$; sleep 1000", **more)  # type: ignore[arg-type]
    info = await house.decide(ana)
    assert ssh.stdout is not None
    number = (await ssh.stdout.readline()).decode().strip()
    assert number.isdigit()
    process = Path("/proc") / number
    assert process.exists()
    return ssh, process, info


def connections(port: int) -> int:
    """Established ones to that port of this host (proc(5), /proc/net/tcp)."""
    lines = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return sum(remote.endswith(f":{port:04X}") and state == "01" for _, _, remote, state, *_ in lines)


async def ended_as(client: Client, request: str) -> str:
    """What the request says of its command, once it has ended."""
    async with asyncio.timeout(20):
        while (status := (await client.call(wire.ShowRequest, wire.RequestInfo, request=request)).status) == "running":  # noqa: ASYNC110
            await asyncio.sleep(0.02)
    return status


@pytest.mark.parametrize("stdin", [None, b""], ids=["stdin ended", "stdin open"])
async def test_a_killed_session_ends_and_so_does_its_command(house: House, ana: Client, stdin: bytes | None) -> None:
    ssh, process, info = await started(house, ana, "plain", stdin=stdin)
    begun = time.monotonic()
    await ana.call(wire.KillSession, wire.SessionInfo, session=info.session, reason="enough")
    outcome = await house.finish(ssh)
    assert outcome.status == 125
    assert "bastion: ended: killed by ana: enough" in outcome.stderr
    await until(lambda: not process.exists(), "the command itself is dead")
    assert time.monotonic() - begun < SOON
    assert await ended_as(ana, info.id) == "killed by ana: enough"


async def test_an_agent_that_leaves_takes_its_running_command_along(house: House, ana: Client) -> None:
    ssh, process, info = await started(house, ana, "plain")
    ssh.terminate()
    await ssh.wait()
    await until(lambda: not process.exists(), "the command itself is dead")
    assert await ended_as(ana, info.id) == "the agent left"


async def test_revoking_an_identity_cuts_it_at_once(house: House, ana: Client) -> None:
    from tests.support.keys import make_key

    root = await house.local()
    key = make_key(house.work / "shortlived")
    await root.call(wire.AddIdentity, wire.IdentityInfo, name="shortlived", kind="agent", roles=[], key=key)
    ssh, process, _ = await started(house, ana, "plain", who="shortlived")
    begun = time.monotonic()
    await root.call(wire.RevokeIdentity, wire.IdentityInfo, name="shortlived", reason="gone rogue")
    outcome = await house.finish(ssh)
    assert time.monotonic() - begun < SOON
    assert outcome.status != 0
    await until(lambda: not process.exists(), "the command itself is dead")
    outcome = await house.run("plain", "true", who="shortlived")
    assert outcome.status == 255
    assert "was revoked" in outcome.stderr
    await root.close()


@pytest.mark.skipif(os.geteuid() != 0, reason="needs a login as root")
async def test_a_target_that_does_not_end_the_command_is_not_believed_to_have(
    house: House, ana: Client, sshd: Sshd
) -> None:
    """Nor is its connection kept for as long as that command goes on."""
    ssh, process, info = await started(house, ana, "web-1")
    connected = connections(sshd.port)
    await ana.call(wire.KillSession, wire.SessionInfo, session=info.session)
    assert (await house.finish(ssh)).status == 125
    said = await ended_as(ana, info.id)
    await until(lambda: connections(sshd.port) < connected, "the connection is closed")
    try:
        os.kill(int(process.name), 9)
    except ProcessLookupError:  # Debian 13's OpenSSH signals root's commands, too
        assert said == "killed by ana"
    else:
        assert "may still run" in said


async def test_stopping_the_daemon_ends_everything_and_says_so(house: House, ana: Client) -> None:
    ssh, process, info = await started(house, ana, "plain")
    held = await house.ssh("plain", "echo never")
    await house.held(ana)
    begun = time.monotonic()
    assert await asyncio.to_thread(house.stop) == 0
    assert time.monotonic() - begun < SOON
    for each in (ssh, held):
        outcome = await house.finish(each)
        assert outcome.status != 0
        assert "the bastion is stopping" in outcome.stderr
        assert b"never" not in outcome.stdout
    await until(lambda: not process.exists(), "the command itself is dead")
    house.start()
    root = await house.local()
    shown = await root.call(wire.ShowRequest, wire.RequestInfo, request=info.id)
    assert (shown.state, shown.status) == ("approved", "the bastion is stopping")
    (kept,) = await root.call(wire.ListRequests, list[wire.RequestInfo], state="held")
    assert (kept.command, kept.attached) == (b"echo never", False)
    await root.close()
