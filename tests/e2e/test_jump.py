"""`ssh -J bastion web-1`: ends in the bastion, gated there, known by one line of known_hosts. Promises P2, P3, P5."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import asyncssh
import pytest

from bastion import host_authority
from bastion.control import wire
from bastion.control.client import Client
from bastion.model import Choice
from bastion.ssh.server import CHANNELS_PER_CONNECTION
from tests.support.house import House, Outcome
from tests.support.sshd import LOGIN, Sshd

pytestmark = pytest.mark.e2e


def trusting(house: House) -> Path:
    """A known_hosts with the one line, from the command that prints it."""
    done = subprocess.run(
        ["bastion", "host-ca", "--config", str(house.config.path)],
        capture_output=True, text=True, check=True, env={"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"},
    )  # fmt: skip
    path = house.work / "trusting"
    path.write_text(done.stdout)
    assert done.stdout.count("\n") == 1
    return path


def configuration(house: House, known: Path, *, inner: str = "agent-7", outer: str = "agent-7") -> Path:
    """An ssh_config as an agent would have it."""
    path = house.work / f"ssh_config-{outer}-{inner}"
    path.write_text(
        f"""\
Host bastion
  HostName 127.0.0.1
  Port {house.port}
  User jump
  IdentityFile {house.work / outer}
Host web-* db-*
  User {LOGIN}
  IdentityFile {house.work / inner}
  ProxyJump bastion
Host *
  IdentitiesOnly yes
  BatchMode yes
  StrictHostKeyChecking yes
  UserKnownHostsFile {known}
  GlobalKnownHostsFile none
  ConnectTimeout 20
"""
    )
    return path


async def start(config: Path, *words: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        "ssh", "-F", str(config), *words,
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        env={"PATH": os.environ["PATH"], "HOME": str(config.parent)},
    )  # fmt: skip


async def jump(house: House, *words: str, config: Path | None = None) -> Outcome:
    return await house.finish(await start(config or configuration(house, trusting(house)), *words))


async def test_held_approved_run(house: House, ana: Client, tmp_path: Path) -> None:
    config = configuration(house, trusting(house))
    command = f"touch {tmp_path}/canary; echo done"
    process = await start(config, "web-1", command)
    info = await house.held(ana, command.encode())
    assert (info.identity, info.target, info.login) == ("agent-7", "web-1", LOGIN)
    assert not (tmp_path / "canary").exists()
    await house.decide(ana, command=command.encode())
    outcome = await house.finish(process)
    assert (outcome.status, outcome.stdout) == (0, b"done\n")
    assert (tmp_path / "canary").exists()


async def test_denied(house: House, ana: Client) -> None:
    process = await start(configuration(house, trusting(house)), "web-1", "id -u")
    await house.decide(ana, Choice.DENY, "not today", command=b"id -u")
    outcome = await house.finish(process)
    assert (outcome.status, outcome.stdout) == (126, b"")
    assert "not today" in outcome.stderr


async def test_who_is_not_told_the_line_trusts_nothing(house: House) -> None:
    empty = house.work / "empty"
    empty.write_text(f"[127.0.0.1]:{house.port} {house.host_key}\n")
    outcome = await jump(house, "web-1", "true", config=configuration(house, empty))
    assert outcome.status == 255
    assert "ost key verification failed" in outcome.stderr


async def test_the_certificate_is_for_that_target_only(house: House) -> None:
    config = configuration(house, trusting(house))
    outcome = await jump(house, "-o", "HostKeyAlias=web-2", "web-1", "true", config=config)
    assert outcome.status == 255
    assert "Certificate invalid: name is not a listed principal" in outcome.stderr


async def test_another_identity_inside(house: House) -> None:
    outcome = await jump(house, "web-1", "true", config=configuration(house, trusting(house), inner="agent-8"))
    assert outcome.status == 255
    assert "one identity" in outcome.stderr
    assert "Permission denied" in outcome.stderr


async def test_an_approver_does_not_jump(house: House) -> None:
    config = configuration(house, trusting(house), outer="ana", inner="ana")
    outcome = await jump(house, "web-1", "true", config=config)
    assert outcome.status == 255
    assert "bastion:" in outcome.stderr


@pytest.mark.parametrize(
    "words",
    [("-W", "web-1:23"), ("-W", "127.0.0.1:22"), ("-W", "web-9:22"), ("-W", "localhost:22"), ("-W", "web-1.:22")],
    ids="".join,
)
async def test_elsewhere(house: House, words: Sequence[str]) -> None:
    outcome = await jump(house, *words, "bastion")
    assert outcome.status == 255
    assert (outcome.stdout, "prohibited: bastion:" in outcome.stderr) == (b"", True)


async def test_no_further_hop(house: House) -> None:
    outcome = await jump(house, "-J", f"bastion,{LOGIN}@web-1", "web-2", "true")
    assert outcome.status == 255
    assert "prohibited: bastion:" in outcome.stderr


async def test_a_login_that_the_target_has_not(house: House) -> None:
    outcome = await jump(house, "-l", "mallory", "web-1", "true")
    assert outcome.status == 126
    assert f"mallory is no login of web-1; logins: {LOGIN}" in outcome.stderr


async def test_much_through_it(house: House, ana: Client) -> None:
    command = b"head -c 33554432 /dev/zero"
    await house.whitelist(ana, command)
    outcome = await jump(house, "web-1", command.decode())
    assert (outcome.status, len(outcome.stdout), outcome.stdout.count(0)) == (0, 33554432, 33554432)


async def test_revoked_in_the_middle(house: House, ana: Client, sshd: Sshd) -> None:
    process = await start(configuration(house, trusting(house), inner="agent-8", outer="agent-8"), "web-1", "sleep 77")
    await house.held(ana, b"sleep 77")
    admin = await house.local()
    await admin.call(wire.RevokeIdentity, wire.IdentityInfo, name="agent-8", reason="test")
    await admin.close()
    outcome = await house.finish(process)
    assert outcome.status != 0


async def test_jumps_count_against_the_connection(house: House) -> None:
    async with asyncssh.connect(
        "127.0.0.1", house.port, username="x", client_keys=[str(house.work / "agent-7")], known_hosts=None, config=None
    ) as outer:
        opened = [await outer.open_connection("web-1", 22) for _ in range(CHANNELS_PER_CONNECTION)]
        with pytest.raises(asyncssh.ChannelOpenError, match="at most"):
            await outer.open_connection("web-1", 22)
        for _, writer in opened:
            writer.close()


def test_the_key_of_a_target_is_stable_and_its_own(tmp_path: Path) -> None:
    first = host_authority.load_or_make(tmp_path / "ca", "b")
    again = host_authority.load_or_make(tmp_path / "ca", "b")
    keys = [each.for_target(name, 1e9)[0].public_data for each in (first, again) for name in ("web-1", "web-2")]
    assert keys[:2] == keys[2:]
    assert keys[0] != keys[1]
    assert (tmp_path / "ca").stat().st_mode & 0o777 == 0o600
