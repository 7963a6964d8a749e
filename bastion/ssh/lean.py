"""What asyncssh does for every packet, without what no cipher of ours needs. The hot path.

Theory of operation. asyncssh 2.24 sends an empty MSG_IGNORE before each packet, which RFC 4253 section 9 and 11.2 want
against an attack on CBC. None of our ciphers is CBC (algorithms.py), so the packets are left out: half as many system
calls, ciphers and random numbers. It makes a line of log for each packet, whether anybody wants it or not, and a timer
for whatever it receives. And it cuts each packet off the front of what it has received by copying the rest: of the 256
KiB that a socket gives at once, 128 KiB on average, for every 32 KiB.

One read in one turn of the loop: libuv reads a socket that is always full up to 32 times in a row, 8 MB, and who types
beside such a transfer waited 20 ms for each key's echo, and often 80. So the socket is not read again before everybody
else had their turn; and what takes long, as many small packets do, is taken in pieces, one in a turn.

These are changes of one connection's class, on the object that asyncssh made: it has no place to name another class.
"""

from __future__ import annotations

import time
from typing import Any

import asyncssh
from asyncssh.constants import (
    DISC_KEY_EXCHANGE_FAILED,
    MSG_CHANNEL_OPEN,
    MSG_CHANNEL_OPEN_CONFIRMATION,
    MSG_KEXINIT,
    OPEN_RESOURCE_SHORTAGE,
)
from asyncssh.packet import SSHPacket

from bastion.ssh import algorithms
from bastion.ssh.algorithms import PACKET_LEAST
from bastion.ssh.floods import KeyExchanges
from bastion.ssh.nearness import round_trip
from bastion.ssh.packets import Packets, Quiet

PIECE, PIECE_LEAST = 256 << 10, 2 << 10
"""Bytes that are taken at once, at most: what libuv reads. A piece is made smaller which takes longer than
TURN_SECONDS; and of small packets PACKETS make one (packets.py)."""

SMALL = 64 << 10
"""Bytes with which a read is no bulk: whoever reads again finds little."""

PLEASE = f"packets of at least {PACKET_LEAST} bytes, please"

PROMPT = b"SSH-2.0-OpenSSH_"
"""How clients call themselves that send their KEXINIT as soon as they know the server's version (kex.c of OpenSSH,
kex_exchange_identification and kex_setup)."""

NEAR_SECONDS = 0.005
"""There and back. What is farther away is slow for other reasons than its cipher."""

TURN_SECONDS = 0.004
"""That one piece should take at most. A person notices 50 ms, and several connections may have one each."""


def unlogged(*_: Any) -> None:
    """In place of a line of log for each packet, which is made to be thrown away: the daemon shows warnings only."""


class _Lean(Packets):
    """Comes before asyncssh's class."""

    _left: memoryview | None = None
    """Of what was received, and waits for its turn; the socket is paused meanwhile."""
    _piece = PIECE
    _received = 0
    """Bytes, since the last key exchange."""
    _heard = 0.0
    """When something came last, by the loop's clock."""

    def log_sent_packet(self, *_: Any) -> None:
        """As unlogged."""

    def log_received_packet(self, *_: Any) -> None:
        """As unlogged."""

    def _reset_keepalive_timer(self) -> None:
        """The other end is there. A timer that runs is left to run: it looks at this when it is over."""
        self._heard = self._loop.time()  # type: ignore[attr-defined]
        if self._keepalive_timer is None:
            super()._reset_keepalive_timer()  # type: ignore[misc]

    def _keepalive_timer_callback(self) -> None:
        """Ask whether it is there, once it was silent for so long."""
        left = self._heard + self._keepalive_interval - self._loop.time()  # type: ignore[attr-defined]
        if left > 0:
            self._keepalive_timer = self._loop.call_later(left, self._keepalive_timer_callback)  # type: ignore[attr-defined]
        else:
            super()._keepalive_timer_callback()  # type: ignore[misc]

    def data_received(self, data: bytes, datatype: Any = None) -> None:
        """From the network."""
        if self._left is not None:  # a transport that had more on its way when it was paused
            self._left = memoryview(bytes(self._left) + data)
            return
        transport: Any = self._transport  # type: ignore[attr-defined]
        if len(data) <= min(self._piece, SMALL) or not hasattr(transport, "set_protocol") or transport.is_closing():
            self._take(memoryview(data))
            return
        self._left = memoryview(data)
        transport.pause_reading()
        self._next_piece()

    def _take(self: Any, data: memoryview) -> None:
        self._received += len(data)
        begun = time.perf_counter()  # uvloop's clock stands still within a turn
        rest = self._inpbuf
        self._inpbuf = b"".join((rest, data)) if len(rest) or self._recv_handler != self._recv_pkthdr else data
        self._recv_data()
        if time.perf_counter() - begun > TURN_SECONDS:
            self._piece = max(PIECE_LEAST, len(data) // 2)
        elif 2 * len(data) >= self._piece:  # whole packets seldom fill it
            self._piece = min(PIECE, self._piece * 2)

    def _next_piece(self) -> None:
        left, transport = self._left, self._transport  # type: ignore[attr-defined]
        if left is None or transport is None:
            self._left = None
            return
        size = self.whole(left, self._piece)
        self._take(left[:size])
        self._left = left = self._left[size:] if self._left is not None else None
        if left is not None and len(left):
            self._loop.call_soon(self._next_piece)  # type: ignore[attr-defined]
            return
        self._left = memoryview(b"")
        self._loop.call_soon(self._read_on)  # type: ignore[attr-defined]

    def _read_on(self: Any) -> None:
        left, transport = self._left, self._transport
        if left:
            self._next_piece()
            return
        self._left = None
        if transport is not None and not transport.is_closing():
            transport.resume_reading()


class _Server(_Lean, asyncssh.SSHServerConnection):
    """Towards an agent."""

    _exchanges: KeyExchanges | None = None
    _waits = False
    """The client is to name its algorithms first."""

    def _send_kexinit(self: Any) -> None:
        """RFC 4253 section 7.1. Either side may be first; OpenSSH's client, which waits for nobody, is let go first, so
        that what it is offered fits what it has (algorithms.py). That takes a round trip: from far away it is not."""
        prompt = self._client_version.startswith(PROMPT) and not self._session_id
        if self._waits or not prompt or round_trip(self._transport) > NEAR_SECONDS:
            super()._send_kexinit()
        else:
            self._waits = True

    async def _process_kexinit(self, pkttype: int, pktid: int, packet: SSHPacket) -> None:
        """RFC 4253 section 7.1: the client begins a key exchange, or answers one of ours."""
        if self._waits:
            self._answer_kexinit(SSHPacket(packet.get_remaining_payload()))
        if self._exchanges is None:
            self._exchanges = KeyExchanges()
        moved = self._received + self._rekey_bytes_sent
        if not (self._kexinit_sent or self._exchanges.begin(time.monotonic(), moved)):
            raise asyncssh.DisconnectError(DISC_KEY_EXCHANGE_FAILED, "bastion: too many key exchanges")
        self._received = 0
        await super()._process_kexinit(pkttype, pktid, packet)

    def _process_channel_open(self, pkttype: int, pktid: int, packet: SSHPacket) -> None:
        """RFC 4254 section 5.1: the client opens a channel, and names how much it takes at once."""
        peek = SSHPacket(packet.get_remaining_payload())
        peek.get_string()
        number, _, most = peek.get_uint32(), peek.get_uint32(), peek.get_uint32()
        if most < PACKET_LEAST:
            self.send_channel_open_failure(number, OPEN_RESOURCE_SHORTAGE, f"bastion: {PLEASE}", "en")
            return
        super()._process_channel_open(pkttype, pktid, packet)

    def _answer_kexinit(self: Any, theirs: SSHPacket) -> None:
        """The client's KEXINIT is here, ours was put off."""
        theirs.get_bytes(16)  # cookie
        theirs.get_namelist(), theirs.get_namelist()  # key exchange, host keys
        self._enc_algs = algorithms.narrowed(self._enc_algs, theirs.get_namelist(), theirs.get_namelist())
        self._send_kexinit()
        self._waits = False

    _packet_handlers = {  # noqa: RUF012 -- asyncssh looks handlers up here, by packet type
        **asyncssh.SSHServerConnection._packet_handlers,
        MSG_KEXINIT: _process_kexinit,
        MSG_CHANNEL_OPEN: _process_channel_open,
    }


class _Client(_Lean, asyncssh.SSHClientConnection):
    """Towards a target."""

    def _process_channel_open_confirmation(self, pkttype: int, pktid: int, packet: SSHPacket) -> None:
        """RFC 4254 section 5.1: the target names how much it takes at once. One that takes too little is left."""
        peek = SSHPacket(packet.get_remaining_payload())
        number, _, _, most = peek.get_uint32(), peek.get_uint32(), peek.get_uint32(), peek.get_uint32()
        if most < PACKET_LEAST:
            if channel := self._channels.get(number):
                channel.process_open_failure(OPEN_RESOURCE_SHORTAGE, PLEASE, "en")
            raise asyncssh.ProtocolError(PLEASE)
        super()._process_channel_open_confirmation(pkttype, pktid, packet)

    _packet_handlers = {  # noqa: RUF012 -- asyncssh looks handlers up here, by packet type
        **asyncssh.SSHClientConnection._packet_handlers,
        MSG_CHANNEL_OPEN_CONFIRMATION: _process_channel_open_confirmation,
    }


def lean(connection: asyncssh.SSHServerConnection | asyncssh.SSHClientConnection) -> None:
    """From now on, this connection does no more than it must. One whose class somebody else has changed stays."""
    for plain, ours in ((asyncssh.SSHServerConnection, _Server), (asyncssh.SSHClientConnection, _Client)):
        if type(connection) is plain:
            connection.__class__ = ours
    connection._logger = Quiet(connection._logger._logger, context=connection._logger._context)
    transport: Any = connection._transport
    if hasattr(transport, "set_protocol"):  # one inside another connection has none; loops remember the method
        transport.set_protocol(connection)
