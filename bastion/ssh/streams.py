"""What a channel sends, without copies (RFC 4254 section 5.2). The hot path.

Theory of operation. asyncssh copies what is written into a bytearray, cuts each packet off its front by moving the
rest, and puts length, channel and data together in three steps, each a copy. Here what waits is looked at through
memoryviews, and put together once, in front of the cipher (packets.py). Windows, packet sizes and what happens at the
end stay asyncssh's.

These override internal methods of asyncssh: its version is capped, and the tests drive them against real peers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, AnyStr, Generic

import asyncssh
from asyncssh.constants import MSG_CHANNEL_DATA, MSG_CHANNEL_EXTENDED_DATA
from asyncssh.packet import UInt32

from bastion.ssh.lean import unlogged

if TYPE_CHECKING:
    ClientChannel = asyncssh.SSHClientChannel[bytes]
else:
    ClientChannel = asyncssh.SSHClientChannel


JOINED = 4096
"""Bytes up to which what waits is put together. One write or packet that waits takes some 400 bytes beside its data: of
single bytes, the 1 MiB that may wait for an agent took 400 MB."""
ENDING = frozenset(("close_pending", "closed"))
"""States of sending in which asyncssh drops what comes."""


def joined(waiting: list[tuple[bytes | memoryview, int | None]], data: bytes, kind: int | None) -> bool:
    """Whether it was put behind the last of what waits (there is something), of the same stream."""
    last, same = waiting[-1]
    if same != kind or len(last) + len(data) > JOINED:
        return False
    waiting[-1] = b"".join((last, data)), kind
    return True


class Streams(Generic[AnyStr]):
    """Comes before asyncssh's class of a channel, one that carries bytes. Generic as that is: an object can become one
    of another class only where both are laid out alike."""

    log_sent_packet = log_received_packet = staticmethod(unlogged)

    def write(self: Any, data: bytes, datatype: int | None = None) -> None:
        """Send what the window takes, and keep the rest. Raises OSError. `data` is kept, not copied: bytes only."""
        if self._send_state != "open":
            raise BrokenPipeError("Channel not open for sending")
        if datatype is not None and datatype not in self._write_datatypes:
            raise OSError("Invalid extended data type")
        if data:
            if not (self._send_buf and joined(self._send_buf, data, datatype)):
                self._send_buf.append((memoryview(data), datatype))
            self._send_buf_len += len(data)
            self._flush_send_buf()

    def _accept_data(self: Any, data: bytes, datatype: int | None = None) -> None:
        """What came; kept where reading is paused."""
        waiting = self._recv_buf
        taken = waiting and self._recv_paused and self._send_state not in ENDING
        if data and taken and joined(waiting, data, datatype):
            self._recv_window -= len(data)
        else:
            super()._accept_data(data, datatype)  # type: ignore[misc]

    def _flush_send_buf(self: Any) -> None:
        """Send what the window takes; asyncssh's does the rest, with nothing to send or no window."""
        waiting = self._send_buf
        while waiting and self._send_window:
            data, datatype = waiting[0]
            size = min(self._send_window, self._send_pktsize)
            if len(data) > size:
                waiting[0], data = (data[size:], datatype), data[:size]
            else:
                size = len(data)
                del waiting[0]
            self._send_buf_len -= size
            self._send_window -= size
            if datatype is None:
                self.send_packet(MSG_CHANNEL_DATA, UInt32(size), data)
            else:
                self.send_packet(MSG_CHANNEL_EXTENDED_DATA, UInt32(datatype), UInt32(size), data)
        super()._flush_send_buf()  # type: ignore[misc]

    def send_packet(self: Any, pkttype: int, *args: bytes | memoryview) -> None:
        """Send a packet to the channel's other end."""
        if self._send_chan is not None:
            self._conn.send_packet(pkttype, UInt32(self._send_chan), *args, handler=self)


class TargetChannel(Streams[bytes], ClientChannel):
    """A session channel to a target."""


def streamed(channel: asyncssh.SSHClientChannel[bytes]) -> None:
    """From now on, this channel sends without copies."""
    if type(channel) is asyncssh.SSHClientChannel:
        channel.__class__ = TargetChannel
