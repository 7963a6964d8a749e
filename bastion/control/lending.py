"""A forwarded ssh-agent, lent out for decisions and nothing else: its messages, what may pass, and the key at the other
end of the pipe.

Theory of operation. An approver who connects with `ssh -A -t bastion@HOST` lets this bastion ask their own ssh-agent
for signatures. The agent would sign anything with any of its keys; the console that is served needs two kinds of
signature with the keys of one identity. So the daemon stands in between (ssh/console.py) and passes on only:

    a request for identities     answered with those that are keys of this approver here, without their comments
    a request to sign            with such a key, of data that is an SSHSIG (PROTOCOL.sshsig) under a namespace of ours

Everything else gets SSH_AGENT_FAILURE and never reaches the agent. An SSHSIG under a namespace of ours is no login
anywhere: a login signs a session id and RFC 4252 section 7's fields, which do not begin with `SSHSIG`.

`LentSigner` is the other end: it speaks that protocol over a pipe. Messages as in draft-ietf-sshm-ssh-agent.

Not protected: whoever controls the bastion can ask the forwarded agent for anything while the approver is connected.
`ssh-add -c` has each signature confirmed; a key of its own for decisions bounds what there is to gain.
"""

from __future__ import annotations

import asyncio
import base64
import struct
from collections.abc import Collection, Sequence

import asyncssh

from bastion.control import signing
from bastion.control.lines import ByteReader, ByteWriter
from bastion.control.wire import DECISION_NAMESPACE, EDIT_NAMESPACE, PREFERENCES_NAMESPACE, WHITELIST_NAMESPACE
from bastion.errors import Unreachable, UsageError
from bastion.model import PublicKey

MESSAGE_LIMIT = 256 << 10
"""Bytes of one message; OpenSSH's agent takes as many (AGENT_MAX_LEN)."""

SIGN_SECONDS = 60.0
"""An agent may ask its owner for a touch or a confirmation first."""

IDENTITIES_LIMIT = 2048
"""Keys of one answer that are looked at; OpenSSH's client stops there, too (MAX_AGENT_IDENTITIES)."""

FAILURE = b"\x05"
ASK_IDENTITIES, IDENTITIES, ASK_SIGNATURE, SIGNATURE = 11, 12, 13, 14
RSA_SHA2_512 = 4

NAMESPACES = frozenset(
    each.encode() for each in (DECISION_NAMESPACE, EDIT_NAMESPACE, PREFERENCES_NAMESPACE, WHITELIST_NAMESPACE)
)


def frame(message: bytes) -> bytes:
    """A message as it stands on the stream."""
    return struct.pack(">I", len(message)) + message


async def read_message(reader: ByteReader) -> bytes | None:
    """The next message; None at the end, and where there is none: too long, or cut."""
    head = await _exactly(reader, 4)
    if head is None:
        return None
    size = int.from_bytes(head, "big")
    return await _exactly(reader, size) if 0 < size <= MESSAGE_LIMIT else None


async def _exactly(reader: ByteReader, size: int) -> bytes | None:
    data = b""
    while len(data) < size:
        more = await reader.read(size - len(data))
        if not more:
            return None
        data += more
    return data


def permitted(message: bytes, keys: Collection[bytes]) -> bool:
    """Whether this request may go to the agent. `keys` are public key blobs."""
    if message[:1] == bytes([ASK_IDENTITIES]):
        return len(message) == 1
    if message[:1] != bytes([ASK_SIGNATURE]):
        return False
    parts = _strings(message, 1, 2)
    if parts is None:
        return False
    (key, data), end = parts
    if key not in keys or len(message) != end + 4 or not data.startswith(b"SSHSIG"):
        return False
    named = _strings(data, 6, 4)
    return named is not None and named[0][0] in NAMESPACES and not named[0][1] and named[1] == len(data)


def identities(answer: bytes, keys: Collection[bytes]) -> list[bytes]:
    """Those of `keys` that an agent's answer names, in the agent's order; none where it is no such answer."""
    found: list[bytes] = []
    if answer[:1] != bytes([IDENTITIES]) or len(answer) < 5:
        return found
    at = 5
    for _ in range(min(int.from_bytes(answer[1:5], "big"), IDENTITIES_LIMIT)):
        parts = _strings(answer, at, 2)
        if parts is None:
            break
        (blob, _comment), at = parts
        if blob in keys and blob not in found:
            found.append(blob)
    return found


def narrowed(answer: bytes, keys: Collection[bytes]) -> bytes:
    """An agent's answer as the borrower gets it."""
    if answer[:1] == bytes([IDENTITIES]):
        blobs = identities(answer, keys)
        body = b"".join(_string(blob) + _string(b"") for blob in blobs)
        return bytes([IDENTITIES]) + struct.pack(">I", len(blobs)) + body
    return answer if answer[:1] == bytes([SIGNATURE]) else FAILURE


def _string(data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + data


def _strings(data: bytes, at: int, count: int) -> tuple[list[bytes], int] | None:
    """`count` strings (RFC 4251 section 5) from `at`, and where they end; None if they are not there."""
    parts: list[bytes] = []
    for _ in range(count):
        size = int.from_bytes(data[at : at + 4], "big")
        end = at + 4 + size
        if at + 4 > len(data) or end > len(data):
            return None
        parts.append(data[at + 4 : end])
        at = end
    return parts, at


class LentSigner:
    """A key that a lent agent holds. One signature at a time; after a failure of the pipe there are no more."""

    def __init__(self, reader: ByteReader, writer: ByteWriter, key: PublicKey) -> None:
        self._reader, self._writer, self._key = reader, writer, key
        self._lock = asyncio.Lock()
        self._broken = False

    @property
    def key(self) -> PublicKey:
        """The public half."""
        return self._key

    async def key_pair(self) -> asyncssh.SSHKeyPair:
        """It signs decisions; it cannot log in anywhere. Raises UsageError."""
        raise UsageError("a lent agent signs decisions only")

    async def sign(self, message: bytes, namespace: str) -> str:
        """See signers.Signer. Raises Unreachable."""
        flags = RSA_SHA2_512 if self._key.line.startswith("ssh-rsa ") else 0
        blob = blob_of(self._key)
        data = signing.signed_data(message, namespace)
        ask = bytes([ASK_SIGNATURE]) + _string(blob) + _string(data) + struct.pack(">I", flags)
        async with self._lock:
            if self._broken:
                raise Unreachable("the ssh-agent answers no more", "connect again")
            self._broken = True  # until it answered: an answer that comes late must not be taken for the next one
            answer = await _ask(self._reader, self._writer, ask)
            self._broken = False
        parts = _strings(answer, 1, 1) if answer[:1] == bytes([SIGNATURE]) else None
        if parts is None or parts[1] != len(answer):
            raise Unreachable("the ssh-agent did not sign", "it may have been asked for a confirmation, or be locked")
        return signing.armour(signing.Signature(blob, namespace, "sha512", parts[0][0]))


async def borrow(reader: ByteReader, writer: ByteWriter, keys: Sequence[PublicKey]) -> LentSigner | None:
    """The first of `keys` that the agent holds; None if it holds none of them. Raises Unreachable."""
    answer = await _ask(reader, writer, bytes([ASK_IDENTITIES]))
    held = identities(answer, {blob_of(key) for key in keys})
    return next((LentSigner(reader, writer, key) for key in keys if blob_of(key) in held), None)


async def _ask(reader: ByteReader, writer: ByteWriter, message: bytes) -> bytes:
    try:
        async with asyncio.timeout(SIGN_SECONDS + 5):
            writer.write(frame(message))
            await writer.drain()
            answer = await read_message(reader)
    except (OSError, TimeoutError):
        answer = None
    if answer is None:
        raise Unreachable("the ssh-agent answers no more", "connect again")
    return answer


def blob_of(key: PublicKey) -> bytes:
    """A public key as the protocol has it."""
    return base64.b64decode(key.line.partition(" ")[2])
