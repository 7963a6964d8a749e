"""The client over real SSH: the key that logged in signs, host keys are pinned, and every end is said."""

from __future__ import annotations

import asyncio
import shlex
from pathlib import Path
from typing import Any

import asyncssh
import pytest

from bastion.control import wire
from bastion.control.client import Client
from bastion.control.endpoints import Remote
from bastion.control.signers import find, open_file
from bastion.control.signing import verify
from bastion.errors import BastionError, HostKeyMismatch, NotAllowed, Unreachable, UsageError
from bastion.model import Choice
from bastion.publickey import parse_key
from tests.bastion.control.conftest import request_info, until


def remote(ssh_bastion: Any, *keys: Path, **fields: Any) -> Remote:
    signers = [open_file(key) for key in keys]
    pinned = ssh_bastion.host_key.export_public_key().decode()
    return Remote("127.0.0.1", ssh_bastion.port, signers, **{"host_key": pinned, **fields})


def admit(ssh_bastion: Any, key: Path, name: str) -> None:
    ssh_bastion.known[parse_key(key.with_suffix(".pub").read_text()).fingerprint] = name


async def test_over_ssh_the_key_that_logged_in_signs(
    bastion: Any, ssh_bastion: Any, key_file: Path, tmp_path: Path
) -> None:
    second = asyncssh.generate_private_key("ssh-rsa", key_size=2048)
    second.write_private_key(tmp_path / "second")
    (tmp_path / "second").chmod(0o600)
    ssh_bastion.known[second.get_fingerprint()] = "ana"
    async with await Client.open(remote(ssh_bastion, key_file, tmp_path / "second")) as client:
        assert client.welcome.identity == "ana"
        assert client.signer is not None
        assert client.signer.key.fingerprint == second.get_fingerprint()
        await client.vote(request_info(), Choice.APPROVE, "ok")
        (call,) = bastion.calls
        assert verify(call.statement, call.signature, wire.DECISION_NAMESPACE, [client.signer.key])
        await client.call(wire.Subscribe, type(None))
        bastion.connections[0].push(wire.RequestChanged(request=request_info()))
        assert await anext(client.pushes()) == wire.RequestChanged(request=request_info())


@pytest.mark.parametrize("kind", [("ssh-ed25519", {}), ("ssh-rsa", {"key_size": 2048})], ids=lambda kind: kind[0])
async def test_a_key_in_an_agent_logs_in_and_signs_more_than_once(
    bastion: Any, ssh_bastion: Any, agent: str, kind: tuple[str, dict[str, int]], tmp_path: Path
) -> None:
    private = asyncssh.generate_private_key(kind[0], **kind[1])
    async with asyncssh.SSHAgentClient(agent) as holder:
        await holder.add_keys([private])
    ssh_bastion.known[private.get_fingerprint()] = "ana"
    (signer,) = await find(None, agent=agent, home=tmp_path)
    pinned = ssh_bastion.host_key.export_public_key().decode()
    for _ in range(2):
        async with await Client.open(Remote("127.0.0.1", ssh_bastion.port, [signer], pinned)) as client:
            for _ in range(2):
                await client.vote(request_info(), Choice.APPROVE, "ok")
    for call in bastion.calls:
        assert verify(call.statement, call.signature, wire.DECISION_NAMESPACE, [signer.key]) == signer.key
    assert len(bastion.calls) == 4


async def test_a_large_message_passes_over_ssh_both_ways(bastion: Any, ssh_bastion: Any, key_file: Path) -> None:
    admit(ssh_bastion, key_file, "ana")
    async with await Client.open(remote(ssh_bastion, key_file)) as client:
        await client.call(wire.CastVote, wire.RequestInfo, request="r", statement=b"x" * (2 << 20), signature="")
        assert len(bastion.calls[0].statement) == 2 << 20
        await client.call(wire.Subscribe, type(None))
        big = wire.SessionOutput(session="s", frame=wire.FrameInfo(at=1, kind="output", data=b"y" * (2 << 20)))
        bastion.connections[0].push(big)
        assert await anext(client.pushes()) == big


async def test_a_key_that_is_not_known_is_refused(ssh_bastion: Any, key_file: Path) -> None:
    with pytest.raises(NotAllowed, match="SHA256:"):
        await Client.open(remote(ssh_bastion, key_file))


async def test_a_passphrase_that_nobody_knows_is_said_rather_than_no_key(ssh_bastion: Any, key_file: Path) -> None:
    admit(ssh_bastion, key_file, "ana")
    private = asyncssh.import_private_key(key_file.read_bytes())
    key_file.write_bytes(private.export_private_key("pkcs8-pem", passphrase="right"))
    with pytest.raises(UsageError, match="has a passphrase"):
        await Client.open(remote(ssh_bastion, key_file))


async def test_another_host_key_than_the_pinned_one_is_refused(ssh_bastion: Any, key_file: Path) -> None:
    admit(ssh_bastion, key_file, "ana")
    other = asyncssh.generate_private_key("ssh-ed25519")
    shown = ssh_bastion.host_key.get_fingerprint()
    with pytest.raises(HostKeyMismatch) as caught:
        await Client.open(remote(ssh_bastion, key_file, host_key=other.export_public_key().decode()))
    assert shown in str(caught.value)
    assert other.get_fingerprint() in str(caught.value)
    ecdsa = asyncssh.generate_private_key("ecdsa-sha2-nistp256").export_public_key().decode()
    with pytest.raises(BastionError):  # of another algorithm: there is no common one
        await Client.open(remote(ssh_bastion, key_file, host_key=ecdsa))


@pytest.mark.parametrize("content", [None, "", "# nothing\n", "other.example ssh-ed25519 AAAA\n"])
async def test_an_unknown_host_key_is_never_trusted(
    ssh_bastion: Any, key_file: Path, tmp_path: Path, content: str | None
) -> None:
    """And the message holds the fingerprint and a --host-key that works as it stands."""
    admit(ssh_bastion, key_file, "ana")
    known = tmp_path / "known_hosts"
    if content is not None:
        known.write_text(content)
    with pytest.raises(HostKeyMismatch) as caught:
        await Client.open(remote(ssh_bastion, key_file, host_key="", known_hosts=known))
    assert ssh_bastion.host_key.get_fingerprint() in caught.value.message
    words = shlex.split(caught.value.hint)
    pin = words[words.index("--host-key") + 1]
    async with await Client.open(remote(ssh_bastion, key_file, host_key=pin)):
        pass


async def test_known_hosts_is_good_enough_and_its_revocations_count(
    ssh_bastion: Any, key_file: Path, tmp_path: Path
) -> None:
    admit(ssh_bastion, key_file, "ana")
    known = tmp_path / "known_hosts"
    line = f"[127.0.0.1]:{ssh_bastion.port} {ssh_bastion.host_key.export_public_key().decode()}"
    known.write_text(line)
    async with await Client.open(remote(ssh_bastion, key_file, host_key="", known_hosts=known)):
        pass
    known.write_text(line + f"@revoked * {ssh_bastion.host_key.export_public_key().decode()}")
    with pytest.raises(HostKeyMismatch, match="revoked"):
        await Client.open(remote(ssh_bastion, key_file, host_key="", known_hosts=known))


async def test_nothing_of_the_users_ssh_config_is_read(
    ssh_bastion: Any, key_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It could switch the check of the host key off, lead through another host, or run a program."""
    admit(ssh_bastion, key_file, "ana")
    (tmp_path / ".ssh").mkdir()
    (tmp_path / ".ssh" / "config").write_text(
        f"Host *\n  UserKnownHostsFile none\n  User somebody\n  ProxyCommand touch {tmp_path / 'ran'}\n"
    )
    monkeypatch.setenv("HOME", str(tmp_path))
    async with await Client.open(remote(ssh_bastion, key_file)):
        pass
    with pytest.raises(HostKeyMismatch):
        await Client.open(remote(ssh_bastion, key_file, host_key="", known_hosts=tmp_path / "none"))
    assert not (tmp_path / "ran").exists()


async def test_when_ssh_is_cut_everything_says_unreachable(bastion: Any, ssh_bastion: Any, key_file: Path) -> None:
    admit(ssh_bastion, key_file, "ana")
    client = await Client.open(remote(ssh_bastion, key_file))
    await client.call(wire.Subscribe, type(None))
    call = asyncio.get_running_loop().create_task(client.call(wire.ShowSession, wire.SessionInfo, session="s-1"))
    await until(lambda: bastion.running)
    for connection in ssh_bastion.connections:
        connection.abort()
    with pytest.raises(Unreachable):
        await call
    with pytest.raises(Unreachable):
        await anext(client.pushes())
    await client.close()
    await until(lambda: bastion.closed)


async def test_nobody_at_the_address_is_unreachable(key_file: Path) -> None:
    import socket

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound, not listening: refused
        with pytest.raises(Unreachable, match="cannot reach"):
            await Client.open(Remote("127.0.0.1", taken.getsockname()[1], [open_file(key_file)]))
    with pytest.raises(Unreachable, match="cannot reach"):
        await Client.open(Remote("no-such-host.invalid", 22, [open_file(key_file)]))


async def test_a_server_without_the_subsystem_is_said(ssh_bastion: Any, key_file: Path, monkeypatch: Any) -> None:
    from bastion.control import endpoints

    admit(ssh_bastion, key_file, "ana")
    monkeypatch.setattr(endpoints, "SUBSYSTEM", "other")
    with pytest.raises(Unreachable, match=r"did not greet|closed the connection"):
        await Client.open(remote(ssh_bastion, key_file))


async def test_a_server_that_closes_instead_of_answering_is_not_waited_for(key_file: Path) -> None:
    class Rude(asyncssh.SSHServerSession[bytes]):
        def connection_made(self, chan: asyncssh.SSHServerChannel[bytes]) -> None:
            self.chan = chan

        def subsystem_requested(self, subsystem: str) -> bool:
            self.chan.write(b"no, because\n", asyncssh.EXTENDED_DATA_STDERR)
            self.chan.exit(126)  # before the answer, which then is never sent
            return True

    class Server(asyncssh.SSHServer):
        def begin_auth(self, username: str) -> bool:
            return False

        def session_requested(self) -> asyncssh.SSHServerSession[bytes]:
            return Rude()

    host_key = asyncssh.generate_private_key("ssh-ed25519")
    acceptor = await asyncssh.create_server(Server, "127.0.0.1", 0, server_host_keys=[host_key], encoding=None)
    pinned = host_key.export_public_key().decode()
    async with asyncio.timeout(5):
        with pytest.raises(NotAllowed, match="control side"):
            await Client.open(Remote("127.0.0.1", acceptor.get_port(), [open_file(key_file)], pinned))
    acceptor.close()
    await acceptor.wait_closed()
