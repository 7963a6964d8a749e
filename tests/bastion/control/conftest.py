"""A control server with a small handler, on a real unix socket and behind a real SSH server."""

from __future__ import annotations

import asyncio
import os
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import replace
from pathlib import Path

import asyncssh
import pytest

from bastion.control import wire
from bastion.control.connection import Caller, Connection
from bastion.control.server import ControlServer
from bastion.errors import ConfigError, Conflict
from bastion.model import Assessment, Request, Role, StdinMode, Tier
from tests.support import fixtures
from tests.support.requests import REQUEST

house, sshd = fixtures.house, fixtures.sshd


async def until(condition: Callable[[], object]) -> None:
    """Wait for a condition by letting the loop run."""
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.001)


CHECKPOINT = "bastion.example/00000000\n1\nAAAA\n\n— bastion.example AAAA\n"


class Bastion:
    """What the tests ask the server side about, and a handler that shows each of its ways."""

    def __init__(self) -> None:
        self.calls: list[wire.AnyCall] = []
        self.connections: list[Connection] = []
        self.closed: list[str] = []
        self.gate = asyncio.Event()
        self.running = 0
        self.most_running = 0
        self.finished = 0
        self.server = ControlServer(self.handle, self.welcome)

    def welcome(self, caller: Caller) -> wire.Welcome:
        return wire.Welcome(
            version=wire.VERSION,
            origin="bastion.example/00000000",
            identity=caller.name,
            roles=sorted(caller.roles),
            checkpoint=CHECKPOINT,
        )

    async def handle(self, call: wire.AnyCall, connection: Connection) -> object:
        self.calls.append(call)
        match call:
            case wire.Subscribe():
                self.connections.append(connection)
                connection.on_close(lambda: self.closed.append(connection.caller.name))
                return None
            case wire.ShowRequest(request="missing"):
                raise Conflict("not now", "try later")
            case wire.ShowRequest(request="config"):
                raise ConfigError("f.toml", "bad", line=1, column=2)
            case wire.ShowRequest(request="broken"):
                raise KeyError("a bug")
            case wire.ShowSession():
                self.running += 1
                self.most_running = max(self.most_running, self.running)
                await self.gate.wait()
                self.running -= 1
                self.finished += 1
                return session_info(call.session)
            case wire.ListRequests(after=after):
                pages = {"": ["r-1", "r-2"], "r-2": ["r-3"]}
                return [request_info(id=name) for name in pages.get(after, [])]
            case wire.LedgerHead():
                return "x" * wire.LINE_LIMIT
            case wire.CastVote() | wire.ShowRequest():
                return request_info()
            case wire.ProposeWhitelist():
                return wire.ProposalInfo(
                    refused="", command=call.command, identity=call.identity, target=call.target, env="e",
                    login=call.login, code="", tier="low", until=0, candidates=[],
                )  # fmt: skip
            case wire.AddWhitelist():
                return wire.WhitelistInfo(
                    id="w-00000000", command=b"id", identity="a", target="t", login="root", by="ana", expires=0
                )
            case _:
                return []


def session_info(name: str) -> wire.SessionInfo:
    return wire.SessionInfo(
        id=name,
        identity="agent",
        key="SHA256:x",
        target="web-1",
        login="root",
        client="::1:1",
        state="open",
        opened=1,
        closed=0,
        end="",
        requests=[],
        output_bytes=0,
    )


def request() -> Request:
    return replace(
        REQUEST,
        identity="agent",
        session="s-0000000000000001",
        login="root",
        command=b"systemctl restart nginx \xff\x00",
        environment=(("LANG", "C"),),
        stdin=StdinMode.BUNDLED,
        stdin_code=b"echo hi\n",
        reason="r",
        assessment=Assessment(46, Tier.MEDIUM, ("restarts a service",)),
        created=1,
        expires=1 << 60,
        env="production",
    )


def request_info(**changes: object) -> wire.RequestInfo:
    made = request()
    fields: dict[str, object] = {
        "id": made.id,
        "state": "held",
        "kind": made.kind.value,
        "identity": made.identity,
        "key": made.key,
        "session": made.session,
        "target": made.target,
        "env": made.env,
        "host_keys": list(made.host_keys),
        "login": made.login,
        "command": made.command,
        "environment": list(made.environment),
        "stdin": made.stdin.value,
        "stdin_code": made.stdin_code,
        "reason": made.reason,
        "rollback": made.rollback,
        "task": made.task,
        "tier": made.assessment.tier.value,
        "score": made.assessment.score,
        "reasons": list(made.assessment.reasons),
        "approvals": made.approvals,
        "created": made.created,
        "expires": made.expires,
        "digest": made.digest,
        "proposal": "ab" * 32,
    }
    return wire.RequestInfo(**{**fields, **changes})  # type: ignore[arg-type]


@pytest.fixture
async def bastion() -> AsyncIterator[Bastion]:
    made = Bastion()
    yield made
    made.gate.set()
    await made.server.close()


@pytest.fixture
def state(tmp_path: Path) -> Path:
    path = tmp_path / "state"
    path.mkdir(mode=0o700)
    return path


@pytest.fixture
async def socket_path(bastion: Bastion, state: Path) -> Path:
    """The bastion's unix socket, listening."""
    await bastion.server.listen(state / "control.sock")
    return state / "control.sock"


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    """A key without a passphrase, made by ssh-keygen."""
    path = tmp_path / "id"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", path], check=True)
    return path


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[str]:
    """A real ssh-agent, empty."""
    path = str(tmp_path / "agent.sock")
    with subprocess.Popen(["ssh-agent", "-D", "-a", path], stdout=subprocess.DEVNULL) as process:
        while (
            subprocess.run(
                ["ssh-add", "-l"], env={**os.environ, "SSH_AUTH_SOCK": path}, capture_output=True, check=False
            ).returncode
            == 2
        ):
            assert process.poll() is None
        yield path
        process.terminate()


class SshDoor(asyncssh.SSHServer):
    """Lets the keys in `known` in, as `bastion`."""

    def __init__(self, known: dict[str, str], connections: list[asyncssh.SSHServerConnection]) -> None:
        self.known = known
        self.connections = connections
        self.name = ""

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        self.connections.append(conn)

    def begin_auth(self, username: str) -> bool:
        assert username == "bastion"
        return True

    def public_key_auth_supported(self) -> bool:
        return True

    def validate_public_key(self, username: str, key: asyncssh.SSHKey) -> bool:
        self.name = self.known.get(key.get_fingerprint(), "")
        return bool(self.name)


class SshBastion:
    """The same server behind SSH, its subsystem served as ssh/session.py serves it."""

    def __init__(self, bastion: Bastion, host_key: asyncssh.SSHKey) -> None:
        self.bastion = bastion
        self.host_key = host_key
        self.known: dict[str, str] = {}
        self.connections: list[asyncssh.SSHServerConnection] = []
        self.acceptor: asyncssh.SSHAcceptor | None = None
        self.port = 0

    async def start(self) -> None:
        self.acceptor = await asyncssh.create_server(
            lambda: SshDoor(self.known, self.connections),
            "127.0.0.1",
            0,
            server_host_keys=[self.host_key],
            process_factory=self.serve,
            encoding=None,
        )
        self.port = self.acceptor.get_port()

    async def serve(self, process: asyncssh.SSHServerProcess[bytes]) -> None:
        if process.subsystem != wire.SUBSYSTEM:
            process.exit(1)
            return
        door = process.get_extra_info("connection").get_owner()
        caller = Caller(door.name, frozenset({Role.APPROVER}))
        await self.bastion.server.serve(process.stdin, process.stdout, caller)
        process.exit(0)


@pytest.fixture
async def ssh_bastion(bastion: Bastion) -> AsyncIterator[SshBastion]:
    made = SshBastion(bastion, asyncssh.generate_private_key("ssh-ed25519"))
    await made.start()
    yield made
    assert made.acceptor is not None
    made.acceptor.close()
    await made.acceptor.wait_closed()
