"""What a channel sends without copies: as asyncssh sends it, whatever the window, the packets and the keys are."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncssh
import pytest

from bastion.ssh.lean import lean
from bastion.ssh.streams import Streams, TargetChannel, streamed

GCM, CTR = "aes128-gcm@openssh.com", "aes128-ctr"
STDERR = asyncssh.EXTENDED_DATA_STDERR
Pieces = list[tuple[bytes, int | None]]


class Channel(Streams[bytes], asyncssh.SSHServerChannel[bytes]):
    """A server's, as AgentChannel is one."""


class Session(asyncssh.SSHServerSession[bytes]):
    """Keeps what comes."""

    channel: Any
    started = False

    def __init__(self) -> None:
        self.got = bytearray()
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, chan: Any) -> None:
        self.channel = chan

    def exec_requested(self, command: str) -> bool:
        return True

    def data_received(self, data: bytes, datatype: asyncssh.DataType) -> None:
        self.got += data

    def eof_received(self) -> bool:
        self.ended.set_result(None)
        return True


class Server(asyncssh.SSHServer):
    """Lets anybody in; a lean one, whose reads are cut anywhere."""

    def __init__(self, sessions: asyncio.Queue[Session], cut: int) -> None:
        self._sessions, self._cut = sessions, cut

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        lean(conn)
        self._made: Any = conn
        if self._cut:
            dealt(conn, self._cut)

    def begin_auth(self, username: str) -> bool:
        return False

    def session_requested(self) -> Any:
        loop = asyncio.get_running_loop()
        channel = Channel(self._made, loop, False, False, False, 0, 0, None, "strict", 1 << 20, 1 << 17)
        session = Session()
        self._sessions.put_nowait(session)
        return channel, session


def dealt(connection: Any, most: int) -> None:
    """What comes from the network comes in pieces of 1 to `most` bytes."""
    plain, some = connection.data_received, random.Random(most)

    def data_received(data: bytes, datatype: Any = None) -> None:
        at = 0
        while at < len(data):
            size = some.randint(1, most)
            plain(data[at : at + size])
            at += size

    connection.data_received = data_received


class Taking(asyncssh.SSHClientSession[bytes]):
    """The client's side: what comes, in order."""

    def __init__(self) -> None:
        self.pieces: Pieces = []
        self.over: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def data_received(self, data: bytes, datatype: asyncssh.DataType) -> None:
        self.pieces.append((data, datatype))

    def eof_received(self) -> bool:
        self.over.set_result(None)
        return True


@asynccontextmanager
async def pair(
    *, cut: int = 0, rekey: int = 1 << 30, cipher: str = GCM
) -> AsyncIterator[tuple[Any, asyncio.Queue[Session]]]:
    """A client's connection, and the server's sessions."""
    sessions: asyncio.Queue[Session] = asyncio.Queue()
    key = asyncssh.generate_private_key("ssh-ed25519")
    server = await asyncssh.listen(
        "127.0.0.1", 0, server_factory=lambda: Server(sessions, cut), server_host_keys=[key], encoding=None,
        rekey_bytes=rekey, encryption_algs=[cipher],
    )  # fmt: skip
    client = await asyncssh.connect("127.0.0.1", server.get_port(), known_hosts=None, config=None, client_keys=None)
    lean(client)
    if cut:
        dealt(client, cut)
    try:
        async with asyncio.timeout(60):
            yield client, sessions
    finally:
        client.abort()
        server.close()


def merged(pieces: Pieces) -> Pieces:
    """Neighbours of one kind are one."""
    found: Pieces = []
    for data, kind in pieces:
        if found and found[-1][1] == kind:
            found[-1] = found[-1][0] + data, kind
        else:
            found.append((data, kind))
    return found


@pytest.mark.parametrize("packet", [1024, 32 << 10, 128 << 10])
@pytest.mark.parametrize("window", [1024, 200_000, 1 << 30])
@pytest.mark.parametrize(
    ("cipher", "cut", "rekey"),
    [(GCM, 0, 1 << 30), (GCM, 0, 100_000), (GCM, 70_000, 300_000), (GCM, 300_000, 1 << 30), (CTR, 70_000, 300_000)],
)
async def test_both_streams_come_in_order(packet: int, window: int, cipher: str, cut: int, rekey: int) -> None:
    """Written as fast as one likes: the window closes and opens, keys are exchanged, reads end anywhere."""
    some = random.Random(packet + window + cut)
    total = 300_000 if window < packet or packet < 32 << 10 else 3 << 20
    sent: Pieces = []
    while sum(len(data) for data, _ in sent) < total:
        size = some.choice([1, 17, 1023, 5_000, 70_000, 260_000])
        sent.append((some.randbytes(size), some.choice([None, None, STDERR])))
    async with pair(cut=cut, rekey=rekey, cipher=cipher) as (client, sessions):
        channel, taking = await client.create_session(
            Taking, "x", encoding=None, window=window, max_pktsize=packet
        )  # fmt: skip
        session = await sessions.get()
        for data, kind in sent:
            session.channel.write(data, kind)
        session.channel.write_eof()
        await taking.over
        assert merged(taking.pieces) == merged(sent)
        assert max(len(data) for data, _ in taking.pieces) <= packet
        assert session.channel.get_write_buffer_size() == 0
        with pytest.raises(BrokenPipeError):
            session.channel.write(b"more")
        channel.close()
        await session.channel.wait_closed()
        with pytest.raises(BrokenPipeError):
            session.channel.write(b"more")


async def test_single_bytes_that_wait_take_little_memory() -> None:
    """Of whoever writes them, for somebody who does not read; in order, and no two streams in one."""
    sent: Pieces = [(bytes((at & 0xFF,)), STDERR if at % 10_000 < 100 else None) for at in range(50_000)]
    async with pair() as (client, sessions):
        channel, taking = await client.create_session(Taking, "x", encoding=None, window=1000)
        streamed(channel)
        channel.pause_reading()
        session = await sessions.get()
        session.channel.pause_reading()
        for data, kind in sent:
            session.channel.write(data, kind)
            channel.write(data)
        assert len(session.channel._send_buf) < 50
        assert session.channel.get_write_buffer_size() > 48_000
        while channel.get_write_buffer_size() or session.channel.get_write_buffer_size() > 49_000:  # noqa: ASYNC110 -- turns
            await asyncio.sleep(0)
        while sum(len(data) for data, _ in session.channel._recv_buf) < len(sent):  # noqa: ASYNC110 -- turns of the loop
            await asyncio.sleep(0)
        assert len(session.channel._recv_buf) < 50
        channel.resume_reading()
        session.channel.resume_reading()
        assert session.got == b"".join(data for data, _ in sent)
        session.channel.write_eof()
        await taking.over
        assert merged(taking.pieces) == merged(sent)


@pytest.mark.parametrize("cut", [0, 1, 90_000])
async def test_a_targets_channel_sends_so_too(cut: int) -> None:
    sent = random.Random(cut).randbytes(20_000 if cut == 1 else 2 << 20)
    async with pair(cut=cut) as (client, sessions):
        channel, _ = await client.create_session(Taking, "x", encoding=None)
        streamed(channel)
        assert type(channel) is TargetChannel
        session = await sessions.get()
        for at in range(0, len(sent), 100_000):
            channel.write(sent[at : at + 100_000])
        channel.write_eof()
        await session.ended
        assert session.got == sent


async def test_many_channels_beside_a_transfer_have_their_turns() -> None:
    """Whoever asks gets an answer while much is on its way, and each channel its own bytes in order."""
    async with pair() as (client, sessions):
        _, taking = await client.create_session(Taking, "bulk", encoding=None, window=1 << 30)
        big = await sessions.get()
        block = random.Random(1).randbytes(1 << 18)
        small = []
        for _ in range(8):
            _, takes = await client.create_session(Taking, "x", encoding=None)
            small.append((await sessions.get(), takes))
        for number in range(32):
            big.channel.write(block)
            for each, _ in small:
                each.channel.write(b"%d " % number)
        while not all(takes.pieces for _, takes in small):  # noqa: ASYNC110 -- a turn of the loop each
            await asyncio.sleep(0)
        assert sum(len(data) for data, _ in taking.pieces) < 32 * len(block)
        for each, takes in small:
            each.channel.write_eof()
            await takes.over
            assert merged(takes.pieces) == [(b"".join(b"%d " % number for number in range(32)), None)]
        big.channel.write_eof()
        await taking.over
        assert merged(taking.pieces) == [(block * 32, None)]


@pytest.mark.parametrize("end", ["abort", "close", "channel abort", "other end"])
async def test_an_end_while_much_is_gathered(end: str) -> None:
    """Nothing is left behind, and nothing raises in the loop."""
    raised: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: raised.append(context))
    async with pair(cut=100_000) as (client, sessions):
        channel, taking = await client.create_session(Taking, "x", encoding=None, window=1 << 30)
        session = await sessions.get()
        connection = session.channel.get_connection()
        while not taking.pieces:
            session.channel.write(bytes(1 << 18))
            await asyncio.sleep(0)
        session.channel.write(bytes(1 << 18))
        match end:
            case "abort":
                connection.abort()
            case "close":
                connection.close()
            case "channel abort":
                session.channel.abort()
            case "other end":
                client.abort()
        await session.channel.wait_closed()
        session_channel: Any = session.channel
        assert not session_channel._send_buf
        if end != "channel abort":
            await connection.wait_closed()
            await client.wait_closed()
        else:
            await channel.wait_closed()
            assert set(b"".join(data for data, _ in taking.pieces)) == {0}
    assert not raised
