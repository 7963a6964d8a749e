"""Binary packets of a connection that is up, with AES-GCM (RFC 4253 section 6, RFC 5647). The hot path.

Theory of operation. asyncssh takes a packet apart in some forty calls and five copies: header, rest, tag, a new cipher
for each, a new nonce, a line of log that nobody wants. Here it is one look at its length, one decryption in place, and
the call of whoever handles it; and the other way round. Both are for a connection at rest only: keys exchanged, logged
in, no key exchange under way, AES-GCM, no compression. Everything else is left to asyncssh, packet by packet: who
handles a packet, what is an error, and when keys are exchanged anew stand in its code, and are the same here.

What the two share is asyncssh's: the nonce in its cipher, the sequence numbers, what was received and not read yet. So
either may take the next packet, and a key exchange, which asyncssh does, finds all as if it had done the rest.

These override internal methods of asyncssh: its version is capped, and the tests drive both against real peers.
"""

from __future__ import annotations

import functools
import inspect
import logging
import os
import struct
import time
from collections.abc import Callable, Sequence
from typing import Any

from asyncssh.constants import (
    MSG_CHANNEL_CLOSE,
    MSG_CHANNEL_DATA,
    MSG_CHANNEL_EOF,
    MSG_CHANNEL_EXTENDED_DATA,
    MSG_CHANNEL_FIRST,
    MSG_CHANNEL_LAST,
    MSG_IGNORE,
    MSG_KEX_FIRST,
    MSG_KEX_LAST,
    MSG_UNIMPLEMENTED,
    MSG_USERAUTH_FIRST,
    MSG_USERAUTH_LAST,
)
from asyncssh.encryption import GCMEncryption
from asyncssh.logging import SSHLogger
from asyncssh.misc import MACError, ProtocolError
from asyncssh.packet import PacketDecodeError, SSHPacket, UInt32
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

_NONCE = struct.Struct(">4sQ")
TAG = 16
"""Bytes of authentication behind a packet (RFC 5647 section 6.3)."""
STREAMED = frozenset((bytes((MSG_CHANNEL_DATA,)), bytes((MSG_CHANNEL_EXTENDED_DATA,))))
"""Packets, by their first byte, whose handlers take values from the front, and see that nothing is left."""
PACKETS = 64
"""That are taken in one turn, at most; each is some 20 us of work, whatever its size."""
UNCOUNTED = 64 << 10
"""Bytes instead, where lengths cannot be seen."""
BULK = 16 << 10
"""Bytes of a packet that may wait for the next one of its turn of the loop."""
GATHERED = 256 << 10
"""Bytes that go out together, at most and one packet more: what one read from a socket gives."""
PADDING = 512
"""Random bytes that are fetched at once: a packet's padding takes 4 to 19 of them, and a system call each."""


class Quiet(SSHLogger):
    """asyncssh's logger, which puts each line's words together before it asks whether anybody wants the line."""

    def log(self, level: int, msg: object, *args: Any, **kwargs: Any) -> None:
        """Log it, if lines of that level are shown."""
        if self._logger.isEnabledFor(level):
            super().log(level, msg, *args, **kwargs)

    def info(self, msg: object, *args: Any, **kwargs: Any) -> None:
        """As `log`, without two calls in between: asyncssh has some ten such lines for each channel."""
        if self._logger.isEnabledFor(logging.INFO):
            super().info(msg, *args, **kwargs)


class Packet(SSHPacket):
    """asyncssh's packet, whose values are cut out in one call each."""

    @classmethod
    def of(cls, plain: bytes) -> Packet:
        """Of what was decrypted: how much padding, the packet, the padding (RFC 4253 section 6). Of data, which only
        its handler reads, nothing is copied before it is cut out."""
        padding = plain[0]
        if not padding or plain[1:2] not in STREAMED:
            return cls(plain[1:-padding])
        packet = cls(plain)
        packet._idx, packet._len = 1, len(plain) - padding
        return packet

    def get_uint32(self) -> int:
        """RFC 4251 section 5."""
        at = self._idx
        self._idx = end = at + 4
        if end > self._len:
            self._idx = at
            raise PacketDecodeError("Incomplete packet")
        return int.from_bytes(self._packet[at:end], "big")

    def get_string(self) -> bytes:
        """RFC 4251 section 5: a length, and so many bytes."""
        at = self._idx + 4
        end = at + int.from_bytes(self._packet[at - 4 : at], "big")
        if at > self._len or end > self._len:
            raise PacketDecodeError("Incomplete packet")
        self._idx = end
        return self._packet[at:end]


Crypt = Callable[[bytes, bytes | memoryview, bytes], bytes]
"""(nonce, data, what is authenticated beside it) -> data, of AES-GCM under one key."""


class Packets:
    """Comes before asyncssh's class of a connection."""

    _opened_by: Any = None
    _sealed_by: Any = None
    """The ciphers of asyncssh that the next two stand for."""
    _opens: Crypt
    _seals: Crypt
    _padding = b""
    """Random, and not used yet."""
    _gathered: Sequence[bytes] = ()
    """Packets that were made and go out together."""
    _gathered_bytes = 0

    def _recv_pkthdr(self: Any) -> bool:
        """One packet, if it is there. Raises what asyncssh raises; its caller ends the connection with it."""
        encryption = self._recv_encryption
        if encryption is not self._opened_by and type(encryption) is GCMEncryption:
            self._opened_by, self._opens = encryption, AESGCM(encryption._cipher._key).decrypt
        if (
            encryption is not self._opened_by
            or self._decompressor
            or self._kex
            or self._auth
            or not self._auth_complete
        ):
            self._inpbuf = bytes(self._inpbuf)  # asyncssh's own are bytes
            return bool(super()._recv_pkthdr())  # type: ignore[misc]
        data = memoryview(self._inpbuf)
        if len(data) < 4:
            return False
        header = bytes(data[:4])
        size = int.from_bytes(header, "big")
        if size > self._max_recv_pktlen:
            raise ProtocolError("Max packet size exceeded")
        end = 4 + size + TAG
        if len(data) < end:
            return False
        cipher = encryption._cipher
        try:
            plain = self._opens(cipher._iv, data[4:end], header)
        except InvalidTag:
            plain = b""
        cipher._iv = following(cipher._iv)
        if not plain:
            raise MACError("MAC verification failed")
        self._inpbuf = data[end:]
        return self._received_packet(Packet.of(plain))  # type: ignore[no-any-return]

    def whole(self: Any, data: memoryview, most: int) -> int:
        """How many bytes of what has come to take now: `most`, or as many whole packets as that has, PACKETS at most,
        so that none is put together of two halves; of one that is larger than that, all."""
        if self._opened_by is not self._recv_encryption or self._recv_handler != self._recv_pkthdr:
            return min(most, UNCOUNTED)
        end, rest = 0, bytes(self._inpbuf[:4])
        if rest:
            header = rest + bytes(data[: 4 - len(rest)])
            end = max(0, 4 + int.from_bytes(header, "big") + TAG - len(self._inpbuf))
        for _ in range(PACKETS):
            if end >= most or end + 4 > len(data):
                break
            after = end + 4 + int.from_bytes(data[end : end + 4], "big") + TAG
            if end > 0 and after > most:
                break
            end = after
        return end if 0 < end < len(data) else len(data)

    def _received_packet(self: Any, packet: SSHPacket) -> bool:
        """Hand it to whoever handles it; as the end of asyncssh's `_recv_packet`. False: read no more for now."""
        number, handler = self._recv_seq, self
        try:
            kind = packet.get_byte()
            if MSG_CHANNEL_FIRST <= kind <= MSG_CHANNEL_LAST:
                channel = packet.get_uint32()
                handler = self._channels.get(channel)
                if handler is None:
                    raise ProtocolError(f"Invalid channel number {channel} received")
            elif MSG_KEX_FIRST <= kind <= MSG_KEX_LAST:
                raise ProtocolError("Key exchange not in progress")
            elif MSG_USERAUTH_FIRST <= kind <= MSG_USERAUTH_LAST:
                raise ProtocolError("Authentication not in progress")
            result = handler.process_packet(kind, number, packet)
        except PacketDecodeError as error:
            raise ProtocolError(str(error)) from None
        if result is not True:
            if inspect.isawaitable(result):  # what comes meanwhile waits
                self._recv_handler = lambda: False
                task = self.create_task(result)
                task.add_done_callback(functools.partial(self._finish_recv_packet, kind, number, is_async=True))
                return False
            if not result:
                self.send_packet(MSG_UNIMPLEMENTED, UInt32(number))
        self._finish_recv_packet(kind, number)
        return True

    def send_packet(self: Any, pkttype: int, *args: bytes | memoryview, **more: Any) -> None:
        """Send it, unless it says nothing. Its parts are put together here, and nowhere before."""
        encryption = self._send_encryption
        if encryption is not self._sealed_by and type(encryption) is GCMEncryption:
            self._sealed_by, self._seals = encryption, AESGCM(encryption._cipher._key).encrypt
        if (
            pkttype <= MSG_KEX_LAST
            or encryption is not self._sealed_by
            or self._compressor
            or not (self._kex_complete and self._auth_complete)
            or self._rekey_bytes_sent >= self._rekey_bytes
            or (self._rekey_seconds and time.monotonic() >= self._rekey_time)
        ):
            if pkttype != MSG_IGNORE:
                super().send_packet(pkttype, *args, **more)  # type: ignore[misc]
            return
        length = sum(map(len, args))
        block = self._send_blocksize
        padding = -(self._send_enchdrlen + 1 + length) % block
        if padding < 4:
            padding += block
        if len(self._padding) < padding:
            self._padding = os.urandom(PADDING)
        fill, self._padding = self._padding[:padding], self._padding[padding:]
        size = 2 + length + padding
        header, cipher = size.to_bytes(4, "big"), encryption._cipher
        sealed = self._seals(cipher._iv, b"".join((bytes((padding, pkttype)), *args, fill)), header)
        cipher._iv = following(cipher._iv)
        if self._gathered or pkttype == MSG_CHANNEL_EOF or length >= BULK:
            self._gather(header + sealed, last=pkttype == MSG_CHANNEL_CLOSE)
        else:
            self._send(header + sealed)
        self._send_seq = (self._send_seq + 1) & 0xFFFFFFFF
        self._rekey_bytes_sent += size

    def _gather(self: Any, data: bytes, *, last: bool) -> None:
        """A channel's end is three packets (end of output, status, close), and one system call, as are the packets of
        bulk: what follows the first in this turn of the loop waits for the last, or for the turn's end."""
        if not self._gathered:
            self._gathered = []
            self._loop.call_soon(self._let_go)
        self._gathered.append(data)
        self._gathered_bytes += len(data)
        if last or self._gathered_bytes >= GATHERED:
            self._let_go()

    def _let_go(self: Any) -> None:
        gathered, self._gathered, self._gathered_bytes = self._gathered, (), 0
        if gathered:
            super()._send(b"".join(gathered))  # type: ignore[misc]

    def _send(self: Any, data: bytes) -> None:
        """Whatever else is sent comes behind it."""
        self._let_go()
        super()._send(data)  # type: ignore[misc]

    def _force_close(self: Any, exc: Exception | None) -> None:
        """What was sent before goes out before."""
        self._let_go()
        super()._force_close(exc)  # type: ignore[misc]


def following(nonce: bytes) -> bytes:
    """The nonce of the next packet (RFC 5647 section 7.1): four fixed bytes, eight that count."""
    fixed, count = _NONCE.unpack(nonce)
    return _NONCE.pack(fixed, (count + 1) & 0xFFFFFFFFFFFFFFFF)
