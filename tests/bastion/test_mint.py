"""The mint: what it certifies, and all that it refuses. Promises P1, P2."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import asyncssh
import pytest

from bastion import cakeys, history
from bastion.control.archive import Archive
from bastion.mint import COMMAND_LIMIT, FRESH_SECONDS, LINE_LIMIT, Mint
from bastion.model import UNRATED, Request, RequestKind, StdinMode
from recorder.keys import LedgerKey
from recorder.ledger import Draft, Ledger
from recorder.reader import Reader

PUBLIC = cakeys.public_line(asyncssh.generate_private_key("ssh-ed25519"))


def request(command: bytes = b"uptime", **fields: Any) -> Request:
    values: dict[str, Any] = {
        "id": "r-00000001", "kind": RequestKind.EXEC, "identity": "agent-7", "key": "SHA256:x", "session": "s-1",
        "target": "web-1", "host_keys": (), "login": "deploy", "command": command, "environment": (),
        "stdin": StdinMode.STREAM, "stdin_code": b"", "reason": "", "rollback": "", "task": "", "assessment": UNRATED,
        "approvals": 1, "created": 1, "expires": 2,
    }  # fmt: skip
    return Request(**{**values, **fields})


class Place:
    """A ledger, and a mint that reads it."""

    def __init__(self, work: Path) -> None:
        self.ledger = Ledger.create(work / "store", host="b.example", key=LedgerKey.create(work / "ledger_key"))
        self.reader = Reader.open(work / "store")
        self.ca = cakeys.make(work / "ca")
        self.mint = Mint(self.ca, Archive(self.reader), "b.example")

    def propose(self, made: Request) -> None:
        body = {"digest": made.digest, "verdict": "hold"}
        draft = Draft(
            "request.proposed",
            "agent-7",
            body,
            request=made.id,
            session="s-1",
            payloads={"content": history.pack(made)},
        )
        self.ledger.append(draft).result()

    def start(self, made: Request, **fields: str) -> None:
        body = {"digest": made.digest, "target": made.target, "login": made.login, **fields}
        self.ledger.append(Draft("command.started", "bastion", body, request=made.id, session="s-1")).result()

    def ask(self, made: Request, now: float | None = None, **fields: object) -> dict[str, str]:
        question = {"request": made.id, "digest": made.digest, "public": PUBLIC, **fields}
        return self.mint.answer(json.dumps(question).encode(), time.time() if now is None else now)


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    made = Place(tmp_path)
    yield made
    made.reader.close()
    made.ledger.close()


def test_one_command_for_one_login_for_a_moment(place: Place) -> None:
    made = request("systemctl restart “nginx”".encode())
    place.propose(made)
    place.start(made)
    certificate = asyncssh.import_certificate(place.ask(made)["certificate"])
    assert certificate.principals == ["deploy"]
    assert certificate.options == {"force-command": "systemctl restart “nginx”"}
    assert certificate.key.public_data == asyncssh.import_public_key(PUBLIC).public_data
    certificate.validate(1, "deploy")  # 1: for users


def refused(answer: dict[str, str]) -> str:
    assert list(answer) == ["refused"], answer
    return answer["refused"]


def test_not_started(place: Place) -> None:
    made = request()
    place.propose(made)
    assert "no start" in refused(place.ask(made))


def test_not_even_proposed(place: Place) -> None:
    assert "no request" in refused(place.ask(request()))


def test_a_second_time(place: Place) -> None:
    made = request()
    place.propose(made)
    place.start(made)
    assert "certificate" in place.ask(made)
    assert "certified already" in refused(place.ask(made))


def test_too_late(place: Place) -> None:
    made = request()
    place.propose(made)
    place.start(made)
    assert "not of now" in refused(place.ask(made, time.time() + FRESH_SECONDS + 2))


def test_another_digest(place: Place) -> None:
    made = request()
    place.propose(made)
    place.start(made)
    assert "does not hold that" in refused(place.ask(made, digest=request(b"reboot").digest))


def test_a_start_of_another_digest(place: Place) -> None:
    made = request()
    place.propose(made)
    place.start(made, digest=request(b"reboot").digest)
    assert "no start" in refused(place.ask(made))


@pytest.mark.parametrize(
    ("command", "why"),
    [(b"echo \xff", "UTF-8"), (b"x" * (COMMAND_LIMIT + 1), "at most 120,000 bytes")],
    ids=["bytes", "long"],
)
def test_what_no_certificate_can_hold(place: Place, command: bytes, why: str) -> None:
    made = request(command)
    place.propose(made)
    place.start(made)
    assert why in refused(place.ask(made))


def test_the_longest(place: Place) -> None:
    made = request(b"x" * COMMAND_LIMIT)
    place.propose(made)
    place.start(made)
    assert "certificate" in place.ask(made)


@pytest.mark.parametrize(
    "line",
    [b"", b"{", b"[]", b"null", b'{"request": 1}', b'{"public": "x"}',
     b'{"probe": "a b", "public": "%s"}' % PUBLIC.encode(),
     b'{"probe": "root", "public": "%s", "command": "id"}' % PUBLIC.encode(), b'"' + b"x" * LINE_LIMIT + b'"', b"\xff"],
)  # fmt: skip
def test_garbage(place: Place, line: bytes) -> None:
    assert refused(place.mint.answer(line, time.time()))


def test_a_probe_runs_a_constant(place: Place) -> None:
    line = json.dumps({"probe": "root", "public": PUBLIC}).encode()
    certificate = asyncssh.import_certificate(place.mint.answer(line, time.time())["certificate"])
    assert certificate.options == {"force-command": "echo agent-bastion: certificates are honoured"}
