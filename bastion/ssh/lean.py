"""What asyncssh does for every packet, without what no cipher of ours needs. The hot path.

Theory of operation. asyncssh 2.24 sends an empty MSG_IGNORE before each packet, which RFC 4253 section 9 and 11.2 want
against an attack on CBC. None of our ciphers is CBC (algorithms.py), so the packets are left out: half as many system
calls, ciphers and random numbers. And it cuts each packet off the front of what it has received by copying the rest:
of the 256 KiB that a socket gives at once, 128 KiB on average, for every 32 KiB. So it gets them in pieces.

Both are changes of one connection's class, on the object that asyncssh made: it has no place to name another class.
"""

from __future__ import annotations

from typing import Any

import asyncssh
from asyncssh.constants import MSG_IGNORE

PIECE = 64 << 10
"""Bytes that asyncssh is given at once: two packets of the usual size. Less gave no more."""


class _Lean:
    """Comes before asyncssh's class."""

    def send_packet(self, pkttype: int, *args: bytes, **more: Any) -> None:
        """Send it, unless it says nothing."""
        if pkttype != MSG_IGNORE:
            super().send_packet(pkttype, *args, **more)  # type: ignore[misc]

    def data_received(self, data: bytes, datatype: Any = None) -> None:
        """From the network."""
        if len(data) <= PIECE:
            super().data_received(data, datatype)  # type: ignore[misc]
            return
        view = memoryview(data)
        for at in range(0, len(data), PIECE):
            super().data_received(bytes(view[at : at + PIECE]), datatype)  # type: ignore[misc]


class _Server(_Lean, asyncssh.SSHServerConnection):
    """Towards an agent."""


class _Client(_Lean, asyncssh.SSHClientConnection):
    """Towards a target."""


def lean(connection: asyncssh.SSHServerConnection | asyncssh.SSHClientConnection) -> None:
    """From now on, this connection does no more than it must. One whose class somebody else has changed stays."""
    for plain, ours in ((asyncssh.SSHServerConnection, _Server), (asyncssh.SSHClientConnection, _Client)):
        if type(connection) is plain:
            connection.__class__ = ours
    transport: Any = connection._transport
    if hasattr(transport, "set_protocol"):  # one inside another connection has none; loops remember the method
        transport.set_protocol(connection)
