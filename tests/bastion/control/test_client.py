"""The client over a unix socket: votes, pushes, and every way to lose a connection."""

from __future__ import annotations

import asyncio
import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from bastion.control import conversation as module
from bastion.control import statements, wire
from bastion.control.client import Client
from bastion.control.endpoints import Local
from bastion.control.signers import open_file
from bastion.control.signing import verify
from bastion.errors import BastionError, Conflict, Unreachable, UsageError
from bastion.model import Choice
from tests.bastion.control.conftest import CHECKPOINT, request_info, until

# --- votes -------------------------------------------------------------------------------------------------------


async def test_a_vote_states_what_was_displayed_and_is_signed(bastion: Any, socket_path: Path, key_file: Path) -> None:
    signer = open_file(key_file)
    info = request_info()
    async with await Client.open(Local(socket_path), signer=signer) as client:
        await client.vote(info, Choice.DENY, "not now — später")
    (call,) = bastion.calls
    assert isinstance(call, wire.CastVote)
    vote = statements.decode_vote(call.statement)
    assert vote == statements.VoteStatement(
        origin="bastion.example/00000000",
        proposal=info.proposal,
        request=info.id,
        digest=info.to_model().digest,
        choice=Choice.DENY,
        reason="not now — später",
        expires=info.expires,
        checkpoint=hashlib.sha256(CHECKPOINT.encode()).hexdigest(),
    )
    assert verify(call.statement, call.signature, wire.DECISION_NAMESPACE, [signer.key]) == signer.key
    assert verify(call.statement, call.signature, wire.WHITELIST_NAMESPACE, [signer.key]) is None


@pytest.mark.parametrize(
    "change",
    [
        {"command": b"true"},
        {"identity": "other"},
        {"login": "admin"},
        {"target": "db-1"},
        {"stdin_code": b"rm -rf /\n"},
        {"environment": [("LANG", "D")]},
        {"expires": 2},
        {"approvals": 0},
        {"digest": "00" * 32},
        {"proposal": ""},
        {"kind": "shell"},
    ],
    ids=lambda change: next(iter(change)),
)
async def test_nothing_is_signed_that_differs_from_its_digest(
    bastion: Any, socket_path: Path, key_file: Path, change: dict[str, object]
) -> None:
    async with await Client.open(Local(socket_path), signer=open_file(key_file)) as client:
        with pytest.raises(Conflict):
            await client.vote(request_info(**change), Choice.APPROVE, "")
    assert not bastion.calls


async def test_without_a_key_there_is_no_vote(bastion: Any, socket_path: Path) -> None:
    async with await Client.open(Local(socket_path)) as client:
        with pytest.raises(UsageError, match="no key"):
            await client.vote(request_info(), Choice.APPROVE, "")
        with pytest.raises(UsageError, match="no key"):
            await client.whitelist(b"id", "a", "t", "root", 0)
    assert not bastion.calls


async def test_a_whitelist_entry_is_signed_under_its_own_namespace(
    bastion: Any, socket_path: Path, key_file: Path
) -> None:
    signer = open_file(key_file)
    async with await Client.open(Local(socket_path), signer=signer) as client:
        info = await client.whitelist(b"id \xff", "a", "t", "root", 5)
    assert info.id == "w-00000000"
    call = bastion.calls[-1]
    stated = statements.decode_whitelist(call.statement)
    assert (stated.command, stated.identity, stated.target, stated.login, stated.expires) == (
        "aWQg/w==",
        "a",
        "t",
        "root",
        5,
    )
    assert verify(call.statement, call.signature, wire.WHITELIST_NAMESPACE, [signer.key]) == signer.key
    assert verify(call.statement, call.signature, wire.DECISION_NAMESPACE, [signer.key]) is None


async def test_what_cannot_be_sent_is_said_and_loses_nothing(bastion: Any, socket_path: Path, key_file: Path) -> None:
    async with await Client.open(Local(socket_path), signer=open_file(key_file)) as client:
        with pytest.raises(UsageError, match="UTF-8"):
            await client.vote(request_info(), Choice.DENY, "\udcfc")
        with pytest.raises(UsageError, match="cannot be sent"):
            await client.call(wire.ShowRequest, wire.RequestInfo, request="\udcfc")
        with pytest.raises(UsageError, match="cannot be sent"):
            await client.call(wire.ShowRequest, wire.RequestInfo, request="x" * wire.LINE_LIMIT)
        assert not bastion.calls
        assert await client.call(wire.ListTargets, list[wire.TargetInfo]) == []


async def test_pages_of_requests_are_put_together(bastion: Any, socket_path: Path) -> None:
    async with await Client.open(Local(socket_path)) as client:
        rows = await client.requests(state="held", limit=7)
    assert [row.id for row in rows] == ["r-1", "r-2", "r-3"]
    assert [(call.state, call.limit, call.after) for call in bastion.calls] == [
        ("held", 7, ""),
        ("held", 7, "r-2"),
        ("held", 7, "r-3"),
    ]


# --- losing it ---------------------------------------------------------------------------------------------------


async def test_nobody_there_is_unreachable_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(Unreachable, match="bastion serve"):
        await Client.open(Local(tmp_path / "none.sock"))


async def test_when_the_daemon_goes_everything_says_unreachable(bastion: Any, socket_path: Path) -> None:
    client = await Client.open(Local(socket_path))
    await client.call(wire.Subscribe, type(None))
    bastion.connections[0].push(wire.SessionOutput(session="s", frame=wire.FrameInfo(at=1, kind="output", data=b"")))
    await bastion.server.close()
    got: list[wire.Push] = []
    with pytest.raises(Unreachable, match="closed the connection"):
        await collect(client, got)
    assert len(got) <= 1
    with pytest.raises(Unreachable):
        await client.call(wire.ListTargets, list[wire.TargetInfo])
    with pytest.raises(Unreachable):
        await anext(client.pushes())
    await client.close()
    await client.close()


async def collect(client: Client, into: list[wire.Push]) -> None:
    async for each in client.pushes():
        into.append(each)


class Talker(asyncio.Protocol):
    """Says its lines once something has been said to it."""

    def __init__(self, lines: tuple[bytes, ...]) -> None:
        self.lines = lines

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.transport.writelines(self.lines)
        self.lines = ()


async def fake_daemon(path: Path, *lines: bytes) -> asyncio.Server:
    """Something that listens and says these lines after the hello."""
    return await asyncio.get_running_loop().create_unix_server(lambda: Talker(lines), str(path))


WELCOME = json.dumps(
    {"type": "welcome", "version": 1, "origin": "o", "identity": "i", "roles": [], "checkpoint": "c"}
).encode()


@pytest.mark.parametrize(
    ("line", "error"),
    [
        (b"SSH-2.0-OpenSSH\r\n", Unreachable),
        (b'{"type":"reply","id":1,"result":null}\n', Unreachable),
        (WELCOME.replace(b'"version": 1', b'"version": 2') + b"\n", Unreachable),
        (b'{"type":"failed","id":null,"error":"Conflict","message":"m","hint":""}\n', Conflict),
        (b'{"type":"failed","id":null,"error":"SystemExit","message":"m","hint":""}\n', BastionError),
    ],
)
async def test_a_bad_greeting_is_one_clear_failure(tmp_path: Path, line: bytes, error: type[Exception]) -> None:
    server = await fake_daemon(tmp_path / "s", line)
    with pytest.raises(error) as caught:
        await Client.open(Local(tmp_path / "s"))
    assert type(caught.value) is error
    server.close()


@pytest.mark.parametrize(
    "line", [b"\xff\xff\n", WELCOME + b"\n", b'{"type":"failed","id":null,"error":"","message":"m","hint":""}\n']
)
async def test_what_is_no_answer_ends_the_connection(tmp_path: Path, line: bytes) -> None:
    server = await fake_daemon(tmp_path / "s", WELCOME + b"\n", line)
    async with await Client.open(Local(tmp_path / "s")) as client:
        with pytest.raises(Unreachable):
            await anext(client.pushes())
    server.close()


async def test_a_daemon_that_does_not_answer_is_given_up(tmp_path: Path) -> None:
    server = await fake_daemon(tmp_path / "s", WELCOME + b"\n")
    async with await Client.open(Local(tmp_path / "s")) as client:
        with pytest.raises(Unreachable, match="within 0 s"):
            await client.call(wire.ListTargets, list[wire.TargetInfo], seconds=0.01)
        assert not client._waiting
    server.close()


async def test_an_answer_of_another_type_is_unreachable_not_a_crash(tmp_path: Path) -> None:
    server = await fake_daemon(tmp_path / "s", WELCOME + b"\n", b'{"type":"reply","id":1,"result":[{"a":1}]}\n')
    async with await Client.open(Local(tmp_path / "s")) as client:
        with pytest.raises(Unreachable, match=r"something else|lost"):
            await client.call(wire.ListTargets, list[wire.TargetInfo])
    server.close()


async def test_pushes_that_nobody_takes_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PUSH_LIMIT", 3)
    line = wire.encode(wire.SessionOutput(session="s", frame=wire.FrameInfo(at=1, kind="output", data=b"")))
    server = await fake_daemon(tmp_path / "s", WELCOME + b"\n", line * 4)
    async with await Client.open(Local(tmp_path / "s")) as client:
        await until(lambda: client._lost)
        got: list[wire.Push] = []
        with pytest.raises(Unreachable, match="does not keep up"):
            await collect(client, got)
        assert len(got) == 3
    server.close()
