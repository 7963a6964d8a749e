"""How far away the other end of a connection is, as the kernel saw when it was made (tcp(7), TCP_INFO)."""

from __future__ import annotations

import math
import socket
import struct
from typing import Any

_RTT_AT, _SIZE = 68, 104
"""Of `tcpi_rtt` in `struct tcp_info`, and as much of that as every kernel has (linux/tcp.h)."""


def round_trip(transport: Any) -> float:
    """Seconds there and back; infinity where that is not known."""
    connection = transport.get_extra_info("socket") if transport is not None else None
    if connection is None:
        return math.inf
    try:
        told = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _SIZE)
        return int(struct.unpack_from("=I", told, _RTT_AT)[0]) / 1e6 or math.inf
    except (OSError, struct.error, AttributeError):  # a socket of another kind, or another system
        return math.inf
