"""How often a client may have what is dear to do; and one that wants more, against a real listener."""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import Any

import asyncssh
import pytest

from bastion.ssh import floods
from bastion.ssh.algorithms import PACKET_LEAST
from bastion.ssh.floods import EXCHANGE_BYTES, EXCHANGES, REFUSALS, KeyExchanges, Refusals
from bastion.ssh.lean import lean
from tests.bastion.ssh.echoing import echo


def test_so_many_at_once_and_then_one_a_second() -> None:
    keys = KeyExchanges()
    assert [keys.begin(5.0, 0) for _ in range(EXCHANGES + 1)] == [True] * EXCHANGES + [False]
    assert not keys.begin(5.9, 0)
    assert keys.begin(6.1, 0)
    assert not keys.begin(6.2, 0)
    assert [keys.begin(1000.0, 0) for _ in range(EXCHANGES + 1)].count(True) == EXCHANGES


def test_who_moves_bytes_exchanges_keys_as_often_as_it_likes() -> None:
    keys = KeyExchanges()
    assert all(keys.begin(0.0, EXCHANGE_BYTES) for _ in range(10 * EXCHANGES))
    assert [keys.begin(0.0, EXCHANGE_BYTES - 1) for _ in range(EXCHANGES + 1)].count(True) == EXCHANGES


def test_refusals_that_are_not_written_are_counted() -> None:
    refusals = Refusals()
    said = [refusals.words("agent-7", "x", 0.0) for _ in range(REFUSALS + 9)]
    assert said == ["x"] * REFUSALS + [""] * 9
    assert refusals.words("agent-8", "y", 0.0) == "y"
    assert refusals.words("agent-7", "x", 1.0) == "x; before it 9 more, not written"
    assert refusals.words("agent-7", "x", 2.0) == "x"


def test_few_identities_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(floods, "IDENTITIES", 2)
    refusals = Refusals()
    for name in ("a", "b", "c"):
        for _ in range(REFUSALS):
            refusals.words(name, "x", 0.0)
    assert refusals.words("c", "x", 0.0) == ""
    assert refusals.words("a", "x", 0.0) == "x"


# --- a real listener --------------------------------------------------------------------------------------------------


class Server(asyncssh.SSHServer):
    """Lets anybody in."""

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        lean(conn)

    def begin_auth(self, username: str) -> bool:
        return False


async def connected(server: asyncssh.SSHAcceptor) -> Any:
    return await asyncssh.connect("127.0.0.1", server.get_port(), known_hosts=None, config=None, client_keys=None)


async def exchange(connection: Any) -> None:
    """One key exchange, begun by the client, to its end."""
    connection._send_kexinit()
    connection._kexinit_sent = True
    async with asyncio.timeout(20):
        while connection._kexinit_sent or not connection._kex_complete:
            if connection.is_closed():
                raise asyncssh.ConnectionLost("closed")
            await asyncio.sleep(0.001)


@pytest.fixture
async def server() -> Any:
    made = await asyncssh.listen(
        "127.0.0.1",
        0,
        server_factory=Server,
        server_host_keys=[asyncssh.generate_private_key("ssh-ed25519")],
        process_factory=echo,
        encoding=None,
    )
    yield made
    made.close()


async def test_a_storm_of_key_exchanges_ends_the_connection(server: asyncssh.SSHAcceptor) -> None:
    reasons: list[Exception | None] = []

    class Client(asyncssh.SSHClient):
        def connection_lost(self, exc: Exception | None) -> None:
            reasons.append(exc)

    connection, _ = await asyncssh.create_connection(
        Client, "127.0.0.1", server.get_port(), known_hosts=None, config=None, client_keys=None
    )
    begun, done = time.monotonic(), 0
    while not reasons:
        with contextlib.suppress(asyncssh.ConnectionLost):
            await exchange(connection)
            done += 1
    assert EXCHANGES - 1 <= done <= EXCHANGES + time.monotonic() - begun  # the first was that of the login
    assert "too many key exchanges" in str(reasons[0])


@pytest.mark.parametrize("size", [PACKET_LEAST - 1, PACKET_LEAST])
async def test_a_target_that_takes_too_little_at_once_is_left(size: int) -> None:
    """Who uploads to it would keep the daemon busy with packets of single bytes."""

    class Target(Server):
        def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
            self._made = conn

        def session_requested(self) -> Any:
            loop = asyncio.get_running_loop()
            channel = asyncssh.SSHServerChannel(
                self._made, loop, False, False, False, 0, 0, None, "strict", 1 << 20, size
            )  # fmt: skip
            return channel, asyncssh.SSHServerSession()

    key = asyncssh.generate_private_key("ssh-ed25519")
    made = await asyncssh.listen("127.0.0.1", 0, server_factory=Target, server_host_keys=[key])
    async with asyncio.timeout(20), made, await connected(made) as connection:
        lean(connection)
        opening = connection.create_session(asyncssh.SSHClientSession, encoding=None)
        if size < PACKET_LEAST:
            with pytest.raises(asyncssh.ChannelOpenError, match="packets of at least"):
                await opening
            await connection.wait_closed()
        else:
            with pytest.raises(asyncssh.ChannelOpenError, match="failed"):
                await opening  # it is open, and the target starts nothing there
            assert not connection.is_closed()


async def test_what_moves_much_may_exchange_keys_often(server: asyncssh.SSHAcceptor) -> None:
    """In either direction."""
    async with await connected(server) as connection:
        process = await connection.create_process("x", encoding=None)
        block = bytes(EXCHANGE_BYTES)
        for _ in range(2 * EXCHANGES):
            process.stdin.write(block)
            assert await process.stdout.readexactly(len(block)) == block
            await exchange(connection)
