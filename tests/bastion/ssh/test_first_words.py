"""Who names algorithms first: OpenSSH's client does, when it is near, and gets what fits it."""

from __future__ import annotations

import asyncio
import math
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import asyncssh
import pytest
import uvloop

from bastion.ssh import algorithms, lean, nearness

GCM = "aes128-gcm@openssh.com"


class Server(asyncssh.SSHServer):
    """Lets anybody in."""

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        lean.lean(conn)

    def begin_auth(self, username: str) -> bool:
        return False


@asynccontextmanager
async def serving(**options: Any) -> AsyncIterator[int]:
    """A port."""
    server = await asyncssh.listen(
        "127.0.0.1", 0, server_factory=Server, server_host_keys=[asyncssh.generate_private_key("ssh-ed25519")],
        process_factory=lambda process: process.exit(0), encoding=None,
        encryption_algs=algorithms.offered(hardware=True), **options,
    )  # fmt: skip
    async with server:
        yield server.get_port()


async def negotiated(port: int, *options: str) -> list[str]:
    """What OpenSSH's client says was agreed on, from us and to us."""
    ssh = await asyncio.create_subprocess_exec(
        "ssh", "-F", "none", "-v", "-p", str(port), "-o", "StrictHostKeyChecking=no",
        "-o", "UserKnownHostsFile=/dev/null", *options, "anybody@127.0.0.1", "true",
        stdin=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    async with asyncio.timeout(30):
        _, said = await ssh.communicate()
    lines = [line for line in said.decode(errors="replace").splitlines() if "kex: " in line and "cipher: " in line]
    assert ssh.returncode == 0, said
    return [line.split("cipher: ")[1].split()[0] for line in lines]


@pytest.mark.parametrize(
    ("options", "cipher"),
    [
        ((), GCM),
        (("-c", "aes128-ctr"), "aes128-ctr"),
        (("-c", "aes256-ctr,aes256-gcm@openssh.com"), "aes256-gcm@openssh.com"),
        (("-c", "chacha20-poly1305@openssh.com,aes256-ctr"), "aes256-ctr"),
    ],
    ids=["default", "ctr only", "ctr first", "no gcm"],
)
@pytest.mark.parametrize("loop", [asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def test_openssh(options: tuple[str, ...], cipher: str, loop: Callable[[], asyncio.AbstractEventLoop]) -> None:
    async def ask() -> list[str]:
        async with serving() as port:
            return await negotiated(port, *options)

    with asyncio.Runner(loop_factory=loop) as runner:
        assert runner.run(ask()) == [cipher, cipher]


async def test_from_far_away_nobody_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Then both speak at once, and the client's order decides."""
    monkeypatch.setattr(lean, "round_trip", lambda _: 0.1)
    async with serving() as port:
        found = await negotiated(port, "-c", f"aes256-ctr,{GCM}")
    assert found == ["aes256-ctr", "aes256-ctr"]


async def test_keys_are_exchanged_anew() -> None:
    async with serving() as port:
        found = await negotiated(port, "-o", "RekeyLimit=16 1")
    assert len(found) > 2
    assert set(found) == {GCM}


async def test_another_client_is_not_waited_for() -> None:
    async with serving() as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"SSH-2.0-Else_1.0\r\n")
        assert (await reader.readline()).startswith(b"SSH-2.0-")
        async with asyncio.timeout(20):
            assert (await reader.readexactly(6))[5] == 20, "KEXINIT"
        writer.close()


async def test_one_that_says_nothing_is_not_waited_for_long() -> None:
    async with serving(login_timeout=1) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"SSH-2.0-OpenSSH_9.9\r\n")
        assert (await reader.readline()).startswith(b"SSH-2.0-")
        async with asyncio.timeout(20):
            await reader.read()
        writer.close()


async def test_how_far_away() -> None:
    async with serving() as port:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        assert 0 < nearness.round_trip(writer.transport) < 1
        writer.close()
    assert nearness.round_trip(None) == math.inf
    ours, theirs = socket.socketpair()
    with theirs:
        _, writer = await asyncio.open_connection(sock=ours)
        assert nearness.round_trip(writer.transport) == math.inf
        writer.close()
