"""What the daemon and the process that has the ledger's key say to each other (recorder.signer): messages on a socket.

Each is msgpack behind its length, four bytes, big-endian. The daemon asks and waits for the answer; nobody asks for the
signer's first message, and there is no answer to the daemon's last.
"""

from __future__ import annotations

import socket

import msgspec

MESSAGE_LIMIT = 64 << 20
"""Bytes of one message: the entries of an open segment or a group, 16 KiB each at most, with room."""
AT_ONCE = 256 << 10
"""Bytes that are read at once: a command's entries have two kilobytes, what it gets for them one."""


class Hello(msgspec.Struct, tag=True):
    """The signer is there."""

    public: bytes
    size: int
    """Of the head that the store must extend; 0: any."""


class Resume(msgspec.Struct, tag=True):
    """Where the store stands (recorder.notary.Standing)."""

    origin: str
    number: int
    first: int
    previous: str
    peaks: list[bytes]
    entries: list[bytes]
    sealed: bool
    head: str
    proof: list[bytes]
    """Consistency of the head with the size that `Hello` named."""


class Seal(msgspec.Struct, tag=True):
    """Sign what these entries lead to."""

    entries: list[bytes]
    close: bool


class Prove(msgspec.Struct, tag=True):
    """Prove the key as the next one of that ledger (recorder.keyring); before there is a store."""

    origin: str
    previous: str
    """The key in force."""


class Proved(msgspec.Struct, tag=True):
    """The answer to Prove."""

    line: str
    proof: str


class Done(msgspec.Struct, tag=True):
    """The newest head is committed; end."""


class Signed(msgspec.Struct, tag=True):
    """The answer to Seal; an empty note to Resume."""

    origin: str = ""
    size: int = 0
    root: bytes = b""
    note: str = ""
    sshsig: str = ""
    segments: list[tuple[int, int, int, str, str]] = []


class Refused(msgspec.Struct, tag=True):
    """Nothing was signed."""

    message: str
    hint: str = ""


_encode = msgspec.msgpack.Encoder().encode
to_signer = msgspec.msgpack.Decoder(Resume | Seal | Prove | Done)
from_signer = msgspec.msgpack.Decoder(Hello | Signed | Proved | Refused)


def send(link: socket.socket, message: msgspec.Struct) -> None:
    """One message. Raises OSError."""
    data = _encode(message)
    if len(data) > MESSAGE_LIMIT:
        raise OSError("a message that is too long")
    link.sendall(len(data).to_bytes(4, "big") + data)


def receive(link: socket.socket) -> bytes:
    """One message; empty at the end. Raises OSError. Each end waits for the other's, so there is never a second one."""
    data = bytearray(link.recv(AT_ONCE))
    while len(data) < 4 or len(data) < 4 + int.from_bytes(data[:4], "big"):
        if len(data) >= 4 and int.from_bytes(data[:4], "big") > MESSAGE_LIMIT:
            raise OSError("a message that is too long")
        more = link.recv(AT_ONCE)
        if not more:
            return b""
        data += more
    if len(data) != 4 + int.from_bytes(data[:4], "big"):
        raise OSError("a message that nobody waits for")
    return bytes(data[4:])
