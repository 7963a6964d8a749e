"""Packets that the bastion takes apart itself: as asyncssh does, whoever takes the next one; and broken ones end it."""

from __future__ import annotations

import asyncio
import itertools
import logging
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import asyncssh
import pytest
from asyncssh.constants import (
    MSG_CHANNEL_DATA,
    MSG_CHANNEL_EXTENDED_DATA,
    MSG_KEX_FIRST,
    MSG_UNIMPLEMENTED,
    MSG_USERAUTH_FIRST,
    MSG_USERAUTH_REQUEST,
)
from asyncssh.packet import PacketDecodeError, SSHPacket, String, UInt32
from hypothesis import given
from hypothesis import strategies as st

from bastion.ssh.lean import lean
from bastion.ssh.packets import PACKETS, TAG, Packet, Packets, Quiet, following
from tests.bastion.ssh.echoing import echo, returned
from tests.support.sshd import Sshd

GCM = "aes128-gcm@openssh.com"
SIZE = 3 << 20


class Server(asyncssh.SSHServer):
    """Lets anybody in; a lean one."""

    def __init__(self, ends: asyncio.Queue[Exception | None]) -> None:
        self._ends = ends

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        lean(conn)

    def connection_lost(self, exc: Exception | None) -> None:
        self._ends.put_nowait(exc)

    def begin_auth(self, username: str) -> bool:
        return False


@asynccontextmanager
async def pair(
    *, both: bool = False, process: Any = echo, **options: Any
) -> AsyncIterator[tuple[Any, asyncio.Queue[Exception | None]]]:
    """A client, and how the lean server's connection ends."""
    ends: asyncio.Queue[Exception | None] = asyncio.Queue()
    server = await asyncssh.listen(
        "127.0.0.1",
        0,
        server_factory=lambda: Server(ends),
        server_host_keys=[asyncssh.generate_private_key("ssh-ed25519")],
        process_factory=process,
        encoding=None,
        encryption_algs=[GCM],
        **options,
    )
    client = await asyncssh.connect(
        "127.0.0.1", server.get_port(), known_hosts=None, config=None, client_keys=None, **options
    )
    if both:
        lean(client)
    try:
        yield client, ends
    finally:
        client.abort()
        server.close()


@pytest.mark.parametrize("both", [False, True], ids=["one end", "both ends"])
async def test_keys_are_exchanged_anew_in_the_middle_of_a_transfer(both: bool) -> None:
    """Then asyncssh takes over, and gives back: under new keys, and its sequence numbers."""
    exchanged = 0
    plain = asyncssh.SSHServerConnection._send_kexinit

    def counting(self: Any) -> None:
        nonlocal exchanged
        exchanged += 1
        plain(self)

    asyncssh.SSHServerConnection._send_kexinit = counting  # type: ignore[method-assign]
    try:
        async with asyncio.timeout(60), pair(both=both, rekey_bytes=1 << 20) as (client, _):
            assert await returned(await client.create_process(encoding=None), SIZE)
    finally:
        asyncssh.SSHServerConnection._send_kexinit = plain  # type: ignore[method-assign]
    assert exchanged >= 3


@pytest.mark.e2e
async def test_openssh_exchanges_keys_anew(tmp_path: Any) -> None:
    sshd = Sshd(tmp_path, extra="RekeyLimit 1M\n")
    sshd.start()
    try:
        async with asyncssh.connect(
            "127.0.0.1",
            sshd.port,
            client_keys=[str(sshd.credential)],
            known_hosts=None,
            config=None,
            agent_path=None,
            encryption_algs=[GCM],
        ) as made:
            lean(made)
            sent = os.urandom(SIZE)
            done = await made.run("cat", input=sent, encoding=None, check=True)
            assert done.stdout == sent
    finally:
        sshd.stop()


async def ended(ends: asyncio.Queue[Exception | None]) -> Exception | None:
    """How the server's connection ended."""
    async with asyncio.timeout(20):
        return await ends.get()


async def test_a_changed_bit_ends_the_connection() -> None:
    async with pair() as (client, ends):
        process = await client.create_process(encoding=None)
        plain = client._send
        client._send = lambda data: plain(data[:-1] + bytes([data[-1] ^ 1]))
        process.stdin.write(b"x")
        assert isinstance(await ended(ends), asyncssh.MACError)


async def test_a_length_that_is_too_large_ends_the_connection() -> None:
    async with pair() as (client, ends):
        await client.create_process(encoding=None)
        client._send(b"\x7f\xff\xff\xff" + bytes(64))
        assert isinstance(await ended(ends), asyncssh.ProtocolError)


async def test_a_packet_of_nothing_ends_the_connection() -> None:
    async with pair() as (client, ends):
        await client.create_process(encoding=None)
        header = bytes(4)
        client._send(b"".join(client._send_encryption.encrypt_packet(0, header, b"")))
        assert isinstance(await ended(ends), asyncssh.MACError)


DATA = bytes((MSG_CHANNEL_DATA,)) + UInt32(0)
PLAIN = {
    "nothing but how much padding": b"\0",
    "no padding": b"\0" + DATA + String(b"x"),
    "all padding": b"\xff" + DATA + String(b"x") + bytes(100),
    "padding where data is": b"\x08" + DATA + String(b"x") + bytes(4),
    "padding where the kind is": b"\x04" + bytes((MSG_CHANNEL_DATA,)) + bytes(3),
    "data longer than the packet": b"\x04" + DATA + UInt32(5) + b"x" + bytes(4),
    "data of 4 GiB": b"\x04" + DATA + UInt32(0xFFFFFFFF) + bytes(4),
    "data behind data": b"\x04" + DATA + String(b"x") + b"y" + bytes(4),
    "half a length": b"\x04" + DATA + b"\0\0" + bytes(4),
    "no such stream": b"\x04" + bytes((MSG_CHANNEL_EXTENDED_DATA,)) + UInt32(0) + UInt32(9) + String(b"x") + bytes(4),
    "half a stream": b"\x04" + bytes((MSG_CHANNEL_EXTENDED_DATA,)) + UInt32(0) + b"\0" + bytes(4),
    "beyond the window": b"\x04" + DATA + String(bytes(90_000)) + bytes(4),
}
"""What is properly sealed, and no packet."""


@pytest.mark.parametrize("what", PLAIN)
@pytest.mark.parametrize("split", [0, 1, 3, 5], ids=lambda at: f"cut at {at}")
async def test_a_sealed_packet_that_is_none_ends_the_connection(what: str, split: int) -> None:
    """No padding is given to anybody as data; nothing else is raised than what the protocol has."""
    got = bytearray()

    async def keep(process: asyncssh.SSHServerProcess[bytes]) -> None:
        while data := await process.stdin.read(1 << 16):
            got.extend(data)

    async with asyncio.timeout(20), pair(process=keep, window=80_000) as (client, ends):
        await client.create_process(encoding=None)
        plain = PLAIN[what]
        sealed = b"".join(client._send_encryption.encrypt_packet(0, UInt32(len(plain)), plain))
        client._send(sealed[:split])
        await asyncio.sleep(0)
        client._send(sealed[split:])
        assert isinstance(await ended(ends), asyncssh.ProtocolError)
    assert not got


OUT_OF_TURN: dict[str, Callable[[Any], None]] = {
    "no such channel": lambda client: client.send_packet(MSG_CHANNEL_DATA, UInt32(77), String(b"x")),
    "half a channel": lambda client: client.send_packet(MSG_CHANNEL_DATA, b"\0\0"),
    "key exchange": lambda client: client.send_packet(MSG_KEX_FIRST, String(b"x")),
    "login": lambda client: client.send_packet(MSG_USERAUTH_FIRST, String(b"x")),
}


@pytest.mark.parametrize("what", OUT_OF_TURN)
async def test_a_packet_out_of_turn_ends_the_connection(what: str) -> None:
    async with pair() as (client, ends):
        await client.create_process(encoding=None)
        OUT_OF_TURN[what](client)
        assert isinstance(await ended(ends), asyncssh.ProtocolError)


async def test_who_is_logged_in_and_asks_again_is_not_heard() -> None:
    """RFC 4252 section 5.1."""
    async with asyncio.timeout(20), pair() as (client, _):
        client.send_packet(MSG_USERAUTH_REQUEST, String(b"x"), String(b"ssh-connection"), String(b"none"))
        assert await returned(await client.create_process(encoding=None), SIZE)


async def test_a_packet_of_an_unknown_kind_is_said_to_be_one() -> None:
    """RFC 4253 section 11.4."""
    async with asyncio.timeout(20), pair() as (client, _):
        told = asyncio.Event()
        client._packet_handlers = {**client._packet_handlers, MSG_UNIMPLEMENTED: lambda *_: told.set() or True}
        client.send_packet(199, b"x")
        await told.wait()
        assert await returned(await client.create_process(encoding=None), SIZE)


async def test_what_is_at_rest_is_taken_here() -> None:
    """Otherwise none of the above says anything."""
    taken = 0
    plain = Packets._received_packet

    def counting(self: Any, packet: Any) -> bool:
        nonlocal taken
        taken += 1
        return plain(self, packet)

    Packets._received_packet = counting  # type: ignore[method-assign]
    try:
        async with pair() as (client, _):
            assert await returned(await client.create_process(encoding=None), SIZE)
    finally:
        Packets._received_packet = plain  # type: ignore[method-assign]
    assert taken > SIZE // (32 << 10)


async def test_a_channels_end_is_one_write() -> None:
    """End of output, status and close."""
    written: list[bytes] = []
    plain = asyncssh.SSHServerConnection._send

    def counting(self: Any, data: bytes) -> None:
        written.append(data)
        plain(self, data)

    async def over(process: asyncssh.SSHServerProcess[bytes]) -> None:
        await process.stdin.read()
        process.stdout.write_eof()
        process.exit(7)

    async with asyncio.timeout(20), pair(process=over) as (client, _):
        process = await client.create_process(encoding=None)
        asyncssh.SSHServerConnection._send = counting  # type: ignore[method-assign]
        try:
            process.stdin.write_eof()
            done = await process.wait()
        finally:
            asyncssh.SSHServerConnection._send = plain  # type: ignore[method-assign]
        assert done.exit_status == 7
    assert len(written) == 1, list(map(len, written))


@pytest.mark.parametrize("close", [False, True], ids=["goes on", "is closed by force"])
async def test_an_end_of_output_that_nothing_follows_goes_out(close: bool) -> None:
    ended_: asyncio.Event = asyncio.Event()

    class Reader(asyncssh.SSHClientSession[bytes]):
        def eof_received(self) -> bool:
            ended_.set()
            return True

    async def half(process: asyncssh.SSHServerProcess[bytes]) -> None:
        process.stdout.write_eof()
        if close:
            process.channel.get_connection()._force_close(None)
        await process.stdin.read(1)

    async with asyncio.timeout(20), pair(process=half) as (client, _):
        await client.create_session(Reader, encoding=None)
        await ended_.wait()


@given(st.binary(max_size=24), st.lists(st.sampled_from(["get_uint32", "get_string", "get_byte", "get_boolean"])))
def test_values_are_cut_out_as_asyncssh_does(data: bytes, calls: list[str]) -> None:
    """The same values, and the same end; a failed one ends the connection, so what comes after it is of no interest."""

    def taken(packet: SSHPacket) -> list[object]:
        found: list[object] = []
        for call in calls:
            try:
                found.append(getattr(packet, call)())
            except PacketDecodeError as error:
                return [*found, str(error)]
        return [*found, packet.get_remaining_payload()]

    assert taken(Packet(data)) == taken(SSHPacket(data))


@given(
    st.sampled_from([MSG_CHANNEL_DATA, MSG_CHANNEL_DATA + 1, MSG_CHANNEL_DATA - 1]),
    st.binary(max_size=24),
    st.integers(0, 40),
    st.lists(st.sampled_from(["get_uint32", "get_string", "get_byte"])),
)
def test_padding_is_no_part_of_a_packet(kind: int, data: bytes, padding: int, calls: list[str]) -> None:
    """However much there is said to be: the values, and the end, are those of the packet without it."""

    def taken(packet: SSHPacket) -> list[object]:
        found: list[object] = []
        try:
            found += [getattr(packet, call)() for call in ("get_byte", *calls)]
            packet.check_end()
        except PacketDecodeError as error:
            return [str(error)]
        return found

    plain = bytes((padding, kind)) + data
    assert taken(Packet.of(plain)) == taken(SSHPacket(plain[1:-padding]))


class _AtRest(Packets):
    """What `whole` looks at."""

    def __init__(self, rest: bytes) -> None:
        self._inpbuf = rest
        self._opened_by = self._recv_encryption = object()
        self._recv_handler = self._recv_pkthdr


@given(st.lists(st.integers(0, 3000), max_size=200), st.integers(0, 200), st.integers(0, 200), st.integers(1, 9000))
def test_pieces_end_where_packets_do(sizes: list[int], before: int, behind: int, most: int) -> None:
    """Of what has come, some with the last read and cut anywhere: no packet is put together twice, and pieces are no
    larger than they should be, or one packet."""
    stream = b"".join(size.to_bytes(4, "big") + bytes(size + TAG) for size in sizes)
    ends = list(itertools.accumulate((4 + size + TAG for size in sizes), initial=0))
    before = min(before, 4 + sizes[0] + TAG - 1 if sizes else 0)
    data = memoryview(stream[before : len(stream) - behind])
    piece = _AtRest(stream[:before]).whole(data, most)
    assert 0 < piece <= len(data) or not data
    if piece < len(data):
        assert before + piece in ends
        assert ends.index(before + piece) <= PACKETS
        assert piece <= most or ends.index(before + piece) == 1
    elif before + piece in ends:
        assert ends.index(before + piece) <= PACKETS or ends[1:] == [ends[-1]]


def test_the_nonce_counts() -> None:
    """RFC 5647 section 7.1: the last eight bytes, around their end."""
    assert following(b"abcd" + bytes(8)) == b"abcd" + bytes(7) + b"\1"
    assert following(b"abcd" + b"\xff" * 8) == b"abcd" + bytes(8)


def test_lines_of_log_that_are_wanted_are_made(caplog: pytest.LogCaptureFixture) -> None:
    quiet = Quiet(logging.getLogger("asyncssh.test"), context="conn=1")
    caplog.set_level(logging.WARNING)
    quiet.info("not %s", b"this")
    quiet.debug1("nor %s", b"this")
    quiet.get_child(context="chan=2").warning("but %s", b"this")
    assert [record.getMessage() for record in caplog.records] == ["[conn=1, chan=2] but this"]
