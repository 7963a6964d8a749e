"""The channel table (P3), asked by real clients: whatever is not exec on a known target is refused with a reason, is in
the ledger, and has no effect on the target."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import subprocess
from pathlib import Path

import asyncssh
import pytest

from bastion.control import wire
from bastion.control.client import Client
from bastion.gate.channels import TABLE, Treatment, look_up
from bastion.model import Choice
from tests.support.house import House
from tests.support.ports import free_port, until
from tests.support.sshd import Sshd

# ruff: noqa: ASYNC221 -- short commands of set-up; nothing else runs in the loop meanwhile

pytestmark = pytest.mark.e2e


def refusals(house: House) -> list[str]:
    with house.recorded() as reader:
        return [str(entry.body["what"]) for entry in reader.entries(types=("channel.refused",))]


async def test_a_shell_runs_nothing_by_itself(house: House, ana: Client, tmp_path: Path) -> None:
    """What it is fed is held, and denied."""
    marker = tmp_path / "marker"
    for flag in ("-T", "-tt"):
        ssh = await house.ssh("web-1", options=(flag,), stdin=b"")
        assert ssh.stdin is not None
        ssh.stdin.write(f"touch {marker}\n".encode())
        info = await house.held(ana)
        assert (info.kind, info.command) == ("line", f"touch {marker}".encode())
        assert not marker.exists()
        await ana.vote(info, Choice.DENY, "no")
        outcome = await house.finish(ssh, b"")
        assert "bastion: denied by ana: no" in outcome.stderr + outcome.stdout.decode()
        assert outcome.status == (126 if flag == "-T" else 0)
    assert not marker.exists()


async def test_a_terminal_for_a_command(house: House, ana: Client, tmp_path: Path) -> None:
    """`ssh -t` is held as the exec that it is, with its terminal, and what is typed meanwhile goes nowhere."""
    marker = tmp_path / "marker"
    ssh = await house.ssh("web-1", f"touch {marker}", options=("-tt",), stdin=b"")
    assert ssh.stdin is not None
    ssh.stdin.write(f"touch {marker}\n".encode())
    info = await house.held(ana, f"touch {marker}".encode())
    assert (info.kind, info.mode) == ("exec", "none")
    assert info.terminal
    await ana.vote(info, Choice.DENY, "no")
    outcome = await house.finish(ssh, b"")
    assert (outcome.status, outcome.stdout) == (126, b"")
    assert "bastion: denied by ana: no" in outcome.stderr
    assert not marker.exists()
    assert await ana.call(wire.ListRequests, list[wire.RequestInfo], state="held") == []


async def test_agent_forwarding_hands_over_no_agent(house: House, ana: Client) -> None:
    agent = subprocess.run(["ssh-agent", "-s"], capture_output=True, text=True, check=True).stdout
    values = dict(re.findall(r"(SSH_\w+)=([^;]+);", agent))
    try:
        command = house.ssh_command("web-1", "echo agent=$SSH_AUTH_SOCK", options=("-A",))
        ssh = await asyncio.create_subprocess_exec(
            *command, stdin=asyncio.subprocess.DEVNULL, stdout=-1, stderr=-1, env={**os.environ, **values}
        )
        await house.decide(ana)
        outcome = await house.finish(ssh)
    finally:
        subprocess.run(["kill", values["SSH_AGENT_PID"]], check=True)
    assert outcome.stdout == b"agent=\n"
    assert "auth-agent-req@openssh.com" in outcome.stderr


async def test_refused_requests_get_their_reply(house: House) -> None:
    """A client that waits for it must not hang: asyncssh's does, for a subsystem and for a shell."""
    async with asyncio.timeout(20):
        for destination in ("web-1", "web-9"):
            async with connect(house, destination) as connection:
                for more in ({"subsystem": "sftp"}, {}) if destination == "web-9" else ({"subsystem": "netconf"},):
                    result = await connection.run(check=False, **more)
                    assert result.exit_status == 126
        async with connect(house, "bastion", who="ana") as connection:
            result = await connection.run("true", check=False)
            assert result.exit_status == 126
            assert "never reaches a target" in str(result.stderr)


@pytest.mark.parametrize("subsystem", ["sftp ", "SFTP", "netconf", "control@agent-bastion ", "\x1b[31m"])
async def test_subsystems(house: House, subsystem: str) -> None:
    outcome = await house.run("web-1", subsystem, options=("-s",))
    assert outcome.status == 126
    assert "of subsystems, only sftp is open" in outcome.stderr
    assert "\x1b" not in outcome.stderr


@pytest.mark.parametrize("kind", ["-L", "-R"])
async def test_forwards(house: House, sshd: Sshd, kind: str) -> None:
    port = free_port()
    ssh = await house.ssh(
        "web-1", options=("-N", "-o", "ExitOnForwardFailure=yes", kind, f"{port}:127.0.0.1:{sshd.port}")
    )
    if kind == "-R":
        assert (await house.finish(ssh)).status == 255
    else:
        greeting = await _greeting(port)
        ssh.terminate()
        outcome = await house.finish(ssh)
        assert b"SSH" not in greeting
        assert "a forward leads to the SSH port of a registered target" in outcome.stderr


async def _greeting(port: int) -> bytes:
    """What answers on a forwarded port, once somebody listens there."""
    async with asyncio.timeout(20):
        while True:
            try:
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
                break
            except OSError:
                await asyncio.sleep(0.02)
        data = await reader.read(64)
        writer.close()
        return data


async def test_a_jump_through_the_bastion(house: House, sshd: Sshd) -> None:
    outcome = await house.run("web-1", options=("-W", f"127.0.0.1:{sshd.port}"), stdin=b"")
    assert outcome.status == 255
    assert "a forward leads to the SSH port of a registered target" in outcome.stderr
    assert b"SSH-2.0" not in outcome.stdout


async def test_unix_socket_forwards_and_tunnels(house: House) -> None:
    async with connect(house) as connection:
        with pytest.raises(asyncssh.ChannelOpenError, match="not governed"):
            await connection.open_unix_connection("/run/systemd/private")
        with pytest.raises((asyncssh.ChannelListenError, asyncssh.ChannelOpenError)):
            await connection.forward_remote_path_to_port("/tmp/bastion-test.sock", "127.0.0.1", 1)
        with pytest.raises(asyncssh.ChannelOpenError, match="cannot be governed"):
            await connection.create_tun(asyncssh.SSHTunTapSession, None)
    await until(lambda: "channel direct-streamlocal@openssh.com" in refusals(house), "the refusal is in the ledger")


async def test_environment_is_an_allow_list(house: House, ana: Client) -> None:
    wanted = "LD_PRELOAD=/x PATH=/evil BASH_ENV=/evil LC_EVIL=x LANG=C.UTF-8 LC_TIME=$(id)"
    ssh = await house.ssh("web-1", "env", options=("-o", f"SetEnv={wanted}"))
    info = await house.held(ana)
    assert info.environment == [("LANG", "C.UTF-8")]
    await ana.vote(info, Choice.APPROVE, "")
    outcome = await house.finish(ssh)
    assert b"LANG=C.UTF-8\n" in outcome.stdout
    for name in (b"LD_PRELOAD", b"/evil", b"LC_EVIL", b"$(id)"):
        assert name not in outcome.stdout
    assert {"env LD_PRELOAD", "env PATH", "env BASH_ENV", "env LC_EVIL", "env LC_TIME"} <= set(refusals(house))


async def test_a_second_exec_on_the_same_channel_and_env_after_exec_do_nothing(house: House, ana: Client) -> None:
    class Session(asyncssh.SSHClientSession[bytes]):
        pass

    async with connect(house) as connection:
        channel, _ = await connection.create_session(Session, "echo one", encoding=None)
        info = await house.held(ana, b"echo one")
        assert not await channel._make_request(b"exec", asyncssh.packet.String(b"echo two"))
        assert not await channel._make_request(b"env", asyncssh.packet.String(b"LANG"), asyncssh.packet.String(b"C"))
        for unknown in (b"eleven@example.org", b"x11-req", b"break", b"window-change", b"exit-status"):
            assert not await channel._make_request(unknown)
        await ana.vote(info, Choice.DENY, "no")
        await channel.wait_closed()
        assert channel.get_exit_status() == 126


async def test_every_channel_of_a_connection_has_its_own_gate(house: House, ana: Client, tmp_path: Path) -> None:
    """ControlMaster: an approval on one channel is none on another."""
    control = tmp_path / "c"
    share = ("-o", "ControlMaster=auto", "-o", f"ControlPath={control}", "-o", "ControlPersist=30")
    first = await house.ssh("web-1", "echo same", options=share)
    await house.decide(ana, command=b"echo same")
    assert (await house.finish(first)).stdout == b"same\n"
    second = await house.ssh("web-1", "echo same", options=share)
    await house.decide(ana, Choice.DENY, "not again", b"echo same")
    assert (await house.finish(second)).status == 126
    subprocess.run(
        house.ssh_command("web-1", options=(*share, "-O", "exit")), capture_output=True, check=False, timeout=20
    )


@pytest.mark.parametrize("client", ["dbclient", "plink"])
async def test_other_clients_are_held_too(house: House, ana: Client, tmp_path: Path, client: str) -> None:
    if shutil.which(client) is None:
        pytest.fail(f"{client} is missing: `./dev test` installs it")
    marker = tmp_path / "marker"
    command = f"touch {marker}; echo ran"
    key = str(house.work / "agent-7")
    converted = str(tmp_path / "key")
    if client == "dbclient":
        subprocess.run(["dropbearconvert", "openssh", "dropbear", key, converted], check=True, capture_output=True)
        words = ["dbclient", "-y", "-y", "-i", converted, "-p", str(house.port), "web-1@127.0.0.1", command]
    else:
        subprocess.run(["puttygen", key, "-O", "private", "-o", converted], check=True, capture_output=True)
        fingerprint = subprocess.run(
            ["ssh-keygen", "-lf", str(house.config.state / "host_key.pub")], capture_output=True, text=True, check=True
        ).stdout.split()[1]
        words = ["plink", "-batch", "-ssh", "-hostkey", fingerprint, "-i", converted, "-P", str(house.port)]
        words += ["web-1@127.0.0.1", command]
    process = await asyncio.create_subprocess_exec(
        *words, stdin=asyncio.subprocess.DEVNULL, stdout=-1, stderr=-1, env={**os.environ, "HOME": str(tmp_path)}
    )
    info = await house.held(ana, command.encode())
    assert not marker.exists()
    await ana.vote(info, Choice.APPROVE, "")
    outcome = await house.finish(process)
    assert (outcome.status, outcome.stdout) == (0, b"ran\n")
    assert marker.exists()


def test_what_has_no_row_is_refused() -> None:
    assert look_up("request never-heard-of").treatment is Treatment.REFUSED
    for name, row in TABLE.items():
        assert (row.treatment is Treatment.REFUSED) is bool(row.reason), name


def connect(house: House, destination: str = "web-1", who: str = "agent-7"):  # type: ignore[no-untyped-def]  # asyncssh's context manager has no public type
    return asyncssh.connect(
        "127.0.0.1",
        house.port,
        username=destination,
        client_keys=[str(house.work / who)],
        known_hosts=str(house.work / "known_hosts"),
        config=None,
    )
