"""Which program is at the other end, as far as it tells: that decides when it is answered, and nothing else. Pure.

Theory of operation. `scp` looks at the exit status of its ssh, so its changes can be collected while they are
acknowledged one by one: all are held as one request at the end, and a denial ends the channel with a status that is not
0. Every other program takes the answer to `close` for the last word, and is kept waiting there until a person decided.

OpenSSH's `scp` and `sftp` (8.7 and later) first ask for limits@openssh.com, where it is offered; then `sftp` asks for
the real path of `.`, and `scp` for anything else. A program that starts `ssh -s … sftp` itself (sshfs, file managers)
does neither. It shows no stderr to anybody and repeats what failed, so it reads, and does not write.

A client that lies here is answered at another moment, and gets nothing else by it: what is held is the same.
"""

from __future__ import annotations

from enum import Enum, auto

LIMITS = "limits@openssh.com"
REALPATH = "realpath"


class Client(Enum):
    """When to answer, and whether to take changes."""

    UNKNOWN = auto()
    """Nothing was asked yet."""
    COLLECTED = auto()
    """Changes are held together, at the end of the channel."""
    WAITING = auto()
    """Each change is held when it is asked for."""
    READING = auto()
    """No changes."""


def recognise(version: str, asked: tuple[str, ...]) -> Client:
    """By the client's SSH version string (RFC 4253 section 4.2) and the first two things that it asked for."""
    if not asked or (asked[0] == LIMITS and len(asked) < 2):
        return Client.UNKNOWN
    if "OpenSSH" not in version:
        return Client.WAITING
    if asked[0] == LIMITS:
        return Client.WAITING if asked[1] == REALPATH else Client.COLLECTED
    return Client.WAITING if asked[0] == REALPATH else Client.READING  # sftp before 8.5 knew no limits


NO_CHANGES = "this program (sshfs?) starts ssh for SFTP by itself: it may read, and nothing that it changes is taken"
