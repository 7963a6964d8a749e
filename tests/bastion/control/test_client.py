"""The client over a unix socket and over real SSH: votes, pushes, host keys, and every way to lose a connection."""

from __future__ import annotations

import asyncio
import hashlib
import json
import shlex
import subprocess
from pathlib import Path
from typing import Any

import asyncssh
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bastion.control import conversation as module
from bastion.control import statements, wire
from bastion.control.client import Client
from bastion.control.endpoints import Local, Remote
from bastion.control.lines import LineReader
from bastion.control.signers import find, open_file
from bastion.control.signing import verify
from bastion.directory import parse_key
from bastion.errors import BastionError, Conflict, HostKeyMismatch, NotAllowed, Unreachable, UsageError
from bastion.model import Choice
from tests.bastion.control.conftest import CHECKPOINT, request_info, until


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    path = tmp_path / "id"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", path], check=True)
    return path


# --- votes -------------------------------------------------------------------------------------------------------


async def test_a_vote_states_what_was_displayed_and_is_signed(bastion: Any, socket_path: Path, key_file: Path) -> None:
    signer = open_file(key_file)
    info = request_info()
    async with await Client.open(Local(socket_path), signer=signer) as client:
        await client.vote(info, Choice.DENY, "not now — später")
    (call,) = bastion.calls
    assert isinstance(call, wire.CastVote)
    vote = statements.decode_vote(call.statement)
    assert vote == statements.VoteStatement(
        origin="bastion.example/00000000",
        proposal=info.proposal,
        request=info.id,
        digest=info.to_model().digest,
        choice=Choice.DENY,
        reason="not now — später",
        expires=info.expires,
        checkpoint=hashlib.sha256(CHECKPOINT.encode()).hexdigest(),
    )
    assert verify(call.statement, call.signature, wire.DECISION_NAMESPACE, [signer.key]) == signer.key
    assert verify(call.statement, call.signature, wire.WHITELIST_NAMESPACE, [signer.key]) is None


@pytest.mark.parametrize(
    "change",
    [
        {"command": b"true"},
        {"identity": "other"},
        {"login": "admin"},
        {"target": "db-1"},
        {"stdin_code": b"rm -rf /\n"},
        {"environment": [("LANG", "D")]},
        {"expires": 2},
        {"approvals": 0},
        {"digest": "00" * 32},
        {"proposal": ""},
        {"kind": "shell"},
    ],
    ids=lambda change: next(iter(change)),
)
async def test_nothing_is_signed_that_differs_from_its_digest(
    bastion: Any, socket_path: Path, key_file: Path, change: dict[str, object]
) -> None:
    async with await Client.open(Local(socket_path), signer=open_file(key_file)) as client:
        with pytest.raises(Conflict):
            await client.vote(request_info(**change), Choice.APPROVE, "")
    assert not bastion.calls


async def test_without_a_key_there_is_no_vote(bastion: Any, socket_path: Path) -> None:
    async with await Client.open(Local(socket_path)) as client:
        with pytest.raises(UsageError, match="no key"):
            await client.vote(request_info(), Choice.APPROVE, "")
        with pytest.raises(UsageError, match="no key"):
            await client.whitelist(b"id", "a", "t", "root", 0)
    assert not bastion.calls


async def test_a_whitelist_entry_is_signed_under_its_own_namespace(
    bastion: Any, socket_path: Path, key_file: Path
) -> None:
    signer = open_file(key_file)
    async with await Client.open(Local(socket_path), signer=signer) as client:
        info = await client.whitelist(b"id \xff", "a", "t", "root", 5)
    assert info.id == "w-00000000"
    call = bastion.calls[-1]
    stated = statements.decode_whitelist(call.statement)
    assert (stated.command, stated.identity, stated.target, stated.login, stated.expires) == (
        "aWQg/w==",
        "a",
        "t",
        "root",
        5,
    )
    assert verify(call.statement, call.signature, wire.WHITELIST_NAMESPACE, [signer.key]) == signer.key
    assert verify(call.statement, call.signature, wire.DECISION_NAMESPACE, [signer.key]) is None


async def test_what_cannot_be_sent_is_said_and_loses_nothing(bastion: Any, socket_path: Path, key_file: Path) -> None:
    async with await Client.open(Local(socket_path), signer=open_file(key_file)) as client:
        with pytest.raises(UsageError, match="UTF-8"):
            await client.vote(request_info(), Choice.DENY, "\udcfc")
        with pytest.raises(UsageError, match="cannot be sent"):
            await client.call(wire.ShowRequest, wire.RequestInfo, request="\udcfc")
        with pytest.raises(UsageError, match="cannot be sent"):
            await client.call(wire.ShowRequest, wire.RequestInfo, request="x" * wire.LINE_LIMIT)
        assert not bastion.calls
        assert await client.call(wire.ListTargets, list[wire.TargetInfo]) == []


async def test_pages_of_requests_are_put_together(bastion: Any, socket_path: Path) -> None:
    async with await Client.open(Local(socket_path)) as client:
        rows = await client.requests(state="held", limit=7)
    assert [row.id for row in rows] == ["r-1", "r-2", "r-3"]
    assert [(call.state, call.limit, call.after) for call in bastion.calls] == [
        ("held", 7, ""),
        ("held", 7, "r-2"),
        ("held", 7, "r-3"),
    ]


# --- losing it ---------------------------------------------------------------------------------------------------


async def test_nobody_there_is_unreachable_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(Unreachable, match="bastion serve"):
        await Client.open(Local(tmp_path / "none.sock"))


async def test_when_the_daemon_goes_everything_says_unreachable(bastion: Any, socket_path: Path) -> None:
    client = await Client.open(Local(socket_path))
    await client.call(wire.Subscribe, type(None))
    bastion.connections[0].push(wire.SessionOutput(session="s", frame=wire.FrameInfo(at=1, kind="output", data=b"")))
    await bastion.server.close()
    got: list[wire.Push] = []
    with pytest.raises(Unreachable, match="closed the connection"):
        await collect(client, got)
    assert len(got) <= 1
    with pytest.raises(Unreachable):
        await client.call(wire.ListTargets, list[wire.TargetInfo])
    with pytest.raises(Unreachable):
        await anext(client.pushes())
    await client.close()
    await client.close()


async def collect(client: Client, into: list[wire.Push]) -> None:
    async for each in client.pushes():
        into.append(each)


class Talker(asyncio.Protocol):
    """Says its lines once something has been said to it."""

    def __init__(self, lines: tuple[bytes, ...]) -> None:
        self.lines = lines

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.transport.writelines(self.lines)
        self.lines = ()


async def fake_daemon(path: Path, *lines: bytes) -> asyncio.Server:
    """Something that listens and says these lines after the hello."""
    return await asyncio.get_running_loop().create_unix_server(lambda: Talker(lines), str(path))


WELCOME = json.dumps(
    {"type": "welcome", "version": 1, "origin": "o", "identity": "i", "roles": [], "checkpoint": "c"}
).encode()


@pytest.mark.parametrize(
    ("line", "error"),
    [
        (b"SSH-2.0-OpenSSH\r\n", Unreachable),
        (b'{"type":"reply","id":1,"result":null}\n', Unreachable),
        (WELCOME.replace(b'"version": 1', b'"version": 2') + b"\n", Unreachable),
        (b'{"type":"failed","id":null,"error":"Conflict","message":"m","hint":""}\n', Conflict),
        (b'{"type":"failed","id":null,"error":"SystemExit","message":"m","hint":""}\n', BastionError),
    ],
)
async def test_a_bad_greeting_is_one_clear_failure(tmp_path: Path, line: bytes, error: type[Exception]) -> None:
    server = await fake_daemon(tmp_path / "s", line)
    with pytest.raises(error) as caught:
        await Client.open(Local(tmp_path / "s"))
    assert type(caught.value) is error
    server.close()


@pytest.mark.parametrize(
    "line", [b"\xff\xff\n", WELCOME + b"\n", b'{"type":"failed","id":null,"error":"","message":"m","hint":""}\n']
)
async def test_what_is_no_answer_ends_the_connection(tmp_path: Path, line: bytes) -> None:
    server = await fake_daemon(tmp_path / "s", WELCOME + b"\n", line)
    async with await Client.open(Local(tmp_path / "s")) as client:
        with pytest.raises(Unreachable):
            await anext(client.pushes())
    server.close()


async def test_a_daemon_that_does_not_answer_is_given_up(tmp_path: Path) -> None:
    server = await fake_daemon(tmp_path / "s", WELCOME + b"\n")
    async with await Client.open(Local(tmp_path / "s")) as client:
        with pytest.raises(Unreachable, match="within 0 s"):
            await client.call(wire.ListTargets, list[wire.TargetInfo], seconds=0.01)
        assert not client._waiting
    server.close()


async def test_an_answer_of_another_type_is_unreachable_not_a_crash(tmp_path: Path) -> None:
    server = await fake_daemon(tmp_path / "s", WELCOME + b"\n", b'{"type":"reply","id":1,"result":[{"a":1}]}\n')
    async with await Client.open(Local(tmp_path / "s")) as client:
        with pytest.raises(Unreachable, match=r"something else|lost"):
            await client.call(wire.ListTargets, list[wire.TargetInfo])
    server.close()


async def test_pushes_that_nobody_takes_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PUSH_LIMIT", 3)
    line = wire.encode(wire.SessionOutput(session="s", frame=wire.FrameInfo(at=1, kind="output", data=b"")))
    server = await fake_daemon(tmp_path / "s", WELCOME + b"\n", line * 4)
    async with await Client.open(Local(tmp_path / "s")) as client:
        await until(lambda: client._lost)
        got: list[wire.Push] = []
        with pytest.raises(Unreachable, match="does not keep up"):
            await collect(client, got)
        assert len(got) == 3
    server.close()


@given(st.lists(st.binary(max_size=40), max_size=6))
def test_lines_come_out_as_they_went_in_however_they_are_cut(chunks: list[bytes]) -> None:
    data = b"".join(chunks)

    async def main() -> list[bytes]:
        left = [chunk for chunk in chunks if chunk]

        class Reader:
            async def read(self, n: int = -1, /) -> bytes:
                return left.pop(0) if left else b""

        lines = LineReader(Reader(), limit=1000)
        got = []
        while (line := await lines.next()) is not None:
            got.append(line)
        return got

    assert asyncio.run(main()) == data.split(b"\n")[:-1]


@given(size=st.integers(1, 40), limit=st.integers(2, 20), step=st.integers(1, 7))
def test_the_limit_of_a_line_counts_its_newline(size: int, limit: int, step: int) -> None:
    data = b"x" * (size - 1) + b"\n"
    left = [data[at : at + step] for at in range(0, len(data), step)]

    class Reader:
        async def read(self, n: int = -1, /) -> bytes:
            return left.pop(0) if left else b""

    async def main() -> bytes | None:
        return await LineReader(Reader(), limit=limit).next()

    if size <= limit:
        assert asyncio.run(main()) == data[:-1]
    else:
        with pytest.raises(wire.WireError):
            asyncio.run(main())


# --- over SSH ----------------------------------------------------------------------------------------------------


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
