"""What a connection leaves out: the packets that say nothing, and the copies; never a byte."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

import asyncssh
import pytest
from asyncssh.constants import MSG_CHANNEL_DATA, MSG_GLOBAL_REQUEST, MSG_IGNORE

from bastion.ssh import algorithms
from bastion.ssh.lean import lean
from tests.bastion.ssh.echoing import echo, returned

SIZE = 4 << 20


class Server(asyncssh.SSHServer):
    """Lets anybody in."""

    def __init__(self, leanly: bool) -> None:
        self._leanly = leanly

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        if self._leanly:
            lean(conn)

    def begin_auth(self, username: str) -> bool:
        return False


def counted(connection: asyncssh.SSHClientConnection) -> Counter[int]:
    """Counts what comes, from now on."""
    counts: Counter[int] = Counter()
    plain = connection.log_received_packet

    def log(pkttype: int, *args: Any, **more: Any) -> None:
        counts[pkttype] += 1
        plain(pkttype, *args, **more)

    connection.log_received_packet = log  # type: ignore[method-assign]
    return counts


async def transfer(leanly: bool, cipher: str, *, both: bool = False) -> tuple[Counter[int], Counter[int], bool]:
    """Packets that the client got outside of channels, and on its channel; whether all came back as it was. `both`: the
    client is one of ours, too, and counts nothing."""
    server = await asyncssh.listen(
        "127.0.0.1",
        0,
        server_factory=lambda: Server(leanly),
        server_host_keys=[asyncssh.generate_private_key("ssh-ed25519")],
        process_factory=echo,
        encoding=None,
        encryption_algs=[cipher],
    )
    async with server, asyncssh.connect("127.0.0.1", server.get_port(), known_hosts=None, config=None) as client:
        if both:
            lean(client)
        alone = counted(client)
        process = await client.create_process(encoding=None)
        inside: Counter[int] = Counter()
        channel: Any = process.channel
        plain = channel.log_received_packet

        def log(pkttype: int, *args: Any, **more: Any) -> None:
            inside[pkttype] += 1
            plain(pkttype, *args, **more)

        channel.log_received_packet = log
        equal = await returned(process, SIZE)
    return alone, inside, equal


@pytest.mark.parametrize("cipher", algorithms.ENCRYPTION)
def test_no_empty_packets_and_no_byte_less(cipher: str) -> None:
    alone, inside, equal = asyncio.run(transfer(True, cipher))
    assert equal
    assert alone[MSG_IGNORE] == 0
    assert inside[MSG_CHANNEL_DATA] >= SIZE // (32 << 10)
    *_, equal = asyncio.run(transfer(True, cipher, both=True))
    assert equal


def test_asyncssh_by_itself_sends_one_before_each_packet() -> None:
    """The day that it does not, this part can go."""
    alone, inside, equal = asyncio.run(transfer(False, algorithms.ENCRYPTION[0]))
    assert equal
    assert alone[MSG_IGNORE] >= inside[MSG_CHANNEL_DATA]


def test_none_of_our_ciphers_needs_them() -> None:
    assert not any("cbc" in name for name in algorithms.ENCRYPTION)


class Deaf(asyncssh.SSHServer):
    """Lets anybody in, and asks after them; never answers what they ask."""

    def __init__(self, lost: asyncio.Event) -> None:
        self._lost = lost

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        conn._process_global_request = lambda *_: True  # type: ignore[assignment, method-assign]
        lean(conn)

    def connection_lost(self, exc: Exception | None) -> None:
        if isinstance(exc, asyncssh.ConnectionLost):
            self._lost.set()

    def begin_auth(self, username: str) -> bool:
        return False


async def test_who_falls_silent_is_asked_and_given_up() -> None:
    """The timer is not set anew for each packet: who talks is not asked, and who is silent is lost all the same."""
    lost = asyncio.Event()
    server = await asyncssh.listen(
        "127.0.0.1",
        0,
        server_factory=lambda: Deaf(lost),
        server_host_keys=[asyncssh.generate_private_key("ssh-ed25519")],
        process_factory=echo,
        encoding=None,
        keepalive_interval=0.3,
        keepalive_count_max=2,
    )
    client = await asyncssh.connect("127.0.0.1", server.get_port(), known_hosts=None, username="x", config=None)
    asked = 0
    plain = client._process_global_request

    def process(*args: Any) -> Any:
        nonlocal asked
        asked += 1
        return plain(*args)

    client._packet_handlers = {**client._packet_handlers, MSG_GLOBAL_REQUEST: lambda _, *args: process(*args)}  # type: ignore[misc]
    process_ = await client.create_process(encoding=None)
    loop = asyncio.get_running_loop()
    end = loop.time() + 1.2
    while loop.time() < end:
        process_.stdin.write(b"x")
        assert await process_.stdout.read(1) == b"x"
    assert asked == 0, "somebody who talks was asked"
    client._transport.pause_reading()  # type: ignore[union-attr]
    async with asyncio.timeout(20):
        await lost.wait()
    client.abort()
    server.close()
