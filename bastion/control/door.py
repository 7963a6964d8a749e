"""The local socket: the host administrator's door.

Mode 0600 in a state directory of mode 0700, and the peer must be root or the daemon's own user (SO_PEERCRED), and
not the process that sends notifications, which has that user and talks to strangers (it cannot start another one, see
confine.py). A dead daemon's socket is replaced, a live one's is not. Not protected against: root, and other processes
of the same user.
"""

from __future__ import annotations

import asyncio
import os
import socket
import stat
import struct
from pathlib import Path

from bastion.errors import Conflict, UsageError

SOCKET_PATH_LIMIT = 107
"""Bytes of a unix socket's path: sun_path has 108 with its NUL (unix(7))."""

BACKLOG = 16
"""Connections that the kernel queues."""


def bind(path: Path) -> socket.socket:
    """A bound socket that nobody can connect to yet: `listen` comes after its mode is right."""
    if len(os.fsencode(path)) > SOCKET_PATH_LIMIT:
        raise UsageError(
            f"the path of the control socket is too long: {path}",
            f"at most {SOCKET_PATH_LIMIT} bytes: choose a shorter state directory",
        )
    mode = stat.S_IMODE(path.parent.stat().st_mode)
    if mode & 0o077:
        raise UsageError(f"{path.parent} is open to others (mode {mode:o})", f"chmod 700 {path.parent}")
    if path.is_socket():
        if _listening(path):
            raise Conflict(f"a daemon already listens on {path}", "stop it first, or use another state directory")
        path.unlink()
    door = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        door.setblocking(False)
        door.bind(str(path))
        path.chmod(0o600)
    except OSError as error:
        door.close()
        raise UsageError(f"cannot make the control socket {path}: {error.strerror}") from None
    return door


def _listening(path: Path) -> bool:
    """Whether somebody accepts there. Only a clear refusal says no: a full backlog or a foreign owner is a yes."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        try:
            probe.connect(str(path))
        except (ConnectionRefusedError, FileNotFoundError):
            return False
        except OSError:
            return True
        return True


def peer_of(writer: asyncio.StreamWriter) -> tuple[int, int]:
    """Process and user id of the other end, as it was when it connected; -1 where the kernel does not say."""
    try:
        raw = writer.get_extra_info("socket").getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
    except OSError:
        return -1, -1
    pid, uid, _ = struct.unpack("3i", raw)
    return int(pid), int(uid)
