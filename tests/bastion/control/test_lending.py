"""What of a forwarded ssh-agent passes, and what comes back."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Awaitable, Callable

import asyncssh
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bastion.control import lending, signing
from bastion.control.wire import DECISION_NAMESPACE, WHITELIST_NAMESPACE
from bastion.errors import Unreachable, UsageError
from bastion.model import PublicKey
from bastion.publickey import parse_key

PRIVATE = asyncssh.generate_private_key("ssh-ed25519")
KEY = parse_key(PRIVATE.export_public_key().decode())
OTHER = parse_key(asyncssh.generate_private_key("ssh-ed25519").export_public_key().decode())
BLOB = lending.blob_of(KEY)


def string(data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + data


def sign_request(data: bytes, key: bytes = BLOB, flags: int = 0) -> bytes:
    return b"\x0d" + string(key) + string(data) + struct.pack(">I", flags)


DECISION = signing.signed_data(b"a vote", DECISION_NAMESPACE)


@pytest.mark.parametrize(
    "message", [b"\x0b", sign_request(DECISION), sign_request(signing.signed_data(b"w", WHITELIST_NAMESPACE), flags=4)]
)
def test_what_decisions_need_passes(message: bytes) -> None:
    assert lending.permitted(message, {BLOB})


LOGIN = string(b"\0" * 32) + b"\x32" + string(b"root") + string(b"ssh-connection") + string(b"publickey") + b"\x01"

REFUSED = {
    "a login": sign_request(LOGIN),
    "a login that begins like a decision": sign_request(b"SSHSIG" + LOGIN),
    "a git commit": sign_request(signing.signed_data(b"commit", "git")),
    "a file": sign_request(signing.signed_data(b"x", "file")),
    "no namespace": sign_request(signing.signed_data(b"x", "")),
    "more behind it": sign_request(DECISION) + b"\0",
    "more behind the data": sign_request(DECISION + b"\0"),
    "the reserved field used": sign_request(
        b"SSHSIG" + string(DECISION_NAMESPACE.encode()) + string(b"x") + string(b"sha512") + string(b"\0" * 64)
    ),
    "another key": sign_request(DECISION, lending.blob_of(OTHER)),
    "cut": sign_request(DECISION)[:-5],
    "a key removed": b"\x12" + string(BLOB),
    "all keys removed": b"\x13",
    "a key added": b"\x11" + string(b"ssh-ed25519"),
    "locked": b"\x16" + string(b"x"),
    "an extension": b"\x1b" + string(b"session-bind@openssh.com"),
    "identities with more": b"\x0b\x00",
    "nothing": b"",
}


@pytest.mark.parametrize("message", REFUSED.values(), ids=REFUSED)
def test_nothing_else_passes(message: bytes) -> None:
    assert not lending.permitted(message, {BLOB})


@given(st.binary(max_size=300))
def test_no_message_raises(data: bytes) -> None:
    for message in (data, b"\x0d" + data, b"\x0c" + data, sign_request(b"SSHSIG" + data)):
        lending.permitted(message, {BLOB})
        answer = lending.narrowed(message, {BLOB})
        assert answer[:1] in (b"\x05", b"\x0c", b"\x0e")


def test_other_keys_and_comments_stay_with_the_agent() -> None:
    held = [(lending.blob_of(OTHER), b"\x1b]0;work laptop\x07"), (BLOB, b"ana@home"), (BLOB, b"twice")]
    answer = b"\x0c" + struct.pack(">I", 3) + b"".join(string(blob) + string(comment) for blob, comment in held)
    assert lending.narrowed(answer, {BLOB}) == b"\x0c" + struct.pack(">I", 1) + string(BLOB) + string(b"")
    assert lending.identities(b"\x0c" + struct.pack(">I", 0xFFFFFFFF), {BLOB}) == []
    assert lending.narrowed(b"\x06", {BLOB}) == lending.FAILURE


class Pipe:
    """Both halves of a stream in memory."""

    def __init__(self, answer: Callable[[bytes], Awaitable[bytes]]) -> None:
        self.reader = asyncio.StreamReader()
        self._answer = answer
        self._asked = b""

    def write(self, data: bytes) -> None:
        self._asked = data[4:]

    async def drain(self) -> None:
        answer = await self._answer(self._asked)
        if answer:
            self.reader.feed_data(lending.frame(answer))
        else:
            self.reader.feed_eof()

    def close(self) -> None:
        pass


def holding(*keys: PublicKey) -> Pipe:
    async def answer(message: bytes) -> bytes:
        if message == b"\x0b":
            held = b"".join(string(lending.blob_of(key)) + string(b"") for key in keys)
            return b"\x0c" + struct.pack(">I", len(keys)) + held
        assert lending.permitted(message, {BLOB})
        parts, _ = lending._strings(message, 1, 2) or ([b"", b""], 0)
        return b"\x0e" + string(asyncssh.load_keypairs([PRIVATE])[0].sign(parts[1]))

    return Pipe(answer)


async def test_a_lent_key_signs_what_counts() -> None:
    pipe = holding(OTHER, KEY)
    signer = await lending.borrow(pipe.reader, pipe, [KEY])
    assert signer is not None
    signature = await signer.sign(b"the statement", DECISION_NAMESPACE)
    assert signing.verify(b"the statement", signature, DECISION_NAMESPACE, [KEY]) == KEY
    with pytest.raises(UsageError):
        await signer.key_pair()


async def test_a_key_that_is_not_there_is_not_lent() -> None:
    pipe = holding(OTHER)
    assert await lending.borrow(pipe.reader, pipe, [KEY]) is None


@pytest.mark.parametrize("answer", [b"", b"\x05", b"\x0e", b"\x0e\0\0\0\x09x", b"\x0c\0\0\0\0", b"\x0e\0\0\0\0more"])
async def test_an_agent_that_does_not_sign(answer: bytes) -> None:
    async def say(_: bytes) -> bytes:
        return answer

    pipe = Pipe(say)
    signer = lending.LentSigner(pipe.reader, pipe, KEY)
    with pytest.raises(Unreachable):
        await signer.sign(b"x", DECISION_NAMESPACE)


@pytest.mark.parametrize("size", [0, lending.MESSAGE_LIMIT + 1])
async def test_a_message_of_another_size_ends_it(size: int) -> None:
    reader = asyncio.StreamReader()
    reader.feed_data(struct.pack(">I", size))
    assert await lending.read_message(reader) is None
