"""The mint: what it certifies, and all that it refuses. Promises P1, P2."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import asyncssh
import pytest

from bastion import audit, cakeys, history
from bastion.control.archive import Archive
from bastion.gate import dispatch
from bastion.gate.dispatch import Dispatched
from bastion.gate.frames import nonce_of
from bastion.mint import COMMAND_LIMIT, FORCED_LIMIT, FRESH_SECONDS, LINE_LIMIT, Mint, sources
from bastion.model import Request, RequestKind
from bastion.policy.dialects import QUESTION
from bastion.policy.scripts import question
from bastion.spent import Spent
from recorder.keys import LedgerKey
from recorder.ledger import Draft, Ledger
from recorder.reader import Reader
from tests.support.requests import REQUEST

PUBLIC = cakeys.public_line(asyncssh.generate_private_key("ssh-ed25519"))


def request(command: bytes = b"uptime", **fields: Any) -> Request:
    return replace(REQUEST, command=command, **fields)


class Place:
    """A ledger, and a mint that reads it."""

    def __init__(self, work: Path) -> None:
        self.ledger = Ledger.create(work / "store", host="b.example", key=LedgerKey.create(work / "ledger_key"))
        self.reader = Reader.open(work / "store")
        self.ca = cakeys.make(work / "ca")
        self.spent = work / "minted"
        Spent(self.spent).make()
        self.mint = self.another()

    def another(self) -> Mint:
        """A process of its own, as after a restart."""
        return Mint(self.ca, Archive(self.reader), Spent(self.spent), "b.example")

    def propose(self, made: Request, verdict: str = "hold") -> None:
        body = {"digest": made.digest, "verdict": verdict}
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


def test_a_second_time_of_another_mint(place: Place) -> None:
    made = request()
    place.propose(made)
    place.start(made)
    assert "certificate" in place.ask(made)
    place.mint = place.another()
    assert "certified already" in refused(place.ask(made))
    open_shell(place, SHELL.forced())
    assert "certificate" in ask(place, **shell_of())
    place.mint = place.another()
    assert "certified already" in refused(ask(place, **shell_of()))


def test_who_removes_what_was_noted_gains_nothing(place: Place) -> None:
    made = request()
    place.propose(made)
    place.start(made)
    assert "certificate" in place.ask(made)
    place.spent.unlink()
    place.mint = place.another()
    assert "minted" in refused(place.ask(made))  # the mint makes none
    Spent(place.spent).make()  # as the daemon does when it starts
    assert "certified already" in refused(place.ask(made))
    other = request(id="r-00000002")
    place.propose(other)
    place.start(other)
    assert "certificate" in place.ask(other)


def test_what_is_refused_is_not_spent(place: Place) -> None:
    made = request(b"x" * (COMMAND_LIMIT + 1))
    place.propose(made)
    place.start(made)
    before = place.spent.read_bytes()
    assert refused(place.ask(made))
    assert place.spent.read_bytes() == before


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
    assert certificate.options == {"force-command": QUESTION.decode()}


# --- what is no command -----------------------------------------------------------------------------------------------

SHELL = Dispatched(nonce_of(7), f".bastion-{'a' * 24}", True)


def ask(place: Place, now: float | None = None, **fields: str) -> dict[str, str]:
    line = json.dumps({**fields, "public": PUBLIC}).encode()
    return place.mint.answer(line, time.time() if now is None else now)


def open_shell(place: Place, program: str, login: str = "deploy", session: str = "s-1") -> None:
    place.ledger.append(audit.shell_opened(session, "web-1", login, program.encode())).result()


def shell_of(session: str = "s-1", **fields: str) -> dict[str, str]:
    return {"shell": session, "mark": SHELL.mark, "name": SHELL.name, "terminal": "tty", **fields}


def test_a_shell_that_the_ledger_says_is_opened(place: Place) -> None:
    open_shell(place, SHELL.forced())
    certificate = asyncssh.import_certificate(ask(place, **shell_of())["certificate"])
    assert certificate.principals == ["deploy"]
    assert certificate.options == {"force-command": SHELL.forced(), "permit-pty": True}
    assert "certified already" in refused(ask(place, **shell_of()))


def test_a_shell_that_nothing_is_known_of(place: Place) -> None:
    assert "no shell.opened" in refused(ask(place, **shell_of()))
    open_shell(place, SHELL.forced())
    assert "no shell.opened" in refused(ask(place, **shell_of("s-2")))
    assert "no shell.opened" in refused(ask(place, **shell_of(mark=nonce_of(8))))
    assert "no shell.opened" in refused(ask(place, **shell_of(terminal="pipe")))
    assert "directory" in refused(ask(place, **shell_of(name=f"{SHELL.name}; id")))
    assert "not of now" in refused(ask(place, time.time() + FRESH_SECONDS + 2, **shell_of()))
    assert "that is no question" in refused(ask(place, **shell_of(), login="root"))


def test_a_shell_for_what_is_no_account(place: Place) -> None:
    open_shell(place, SHELL.forced(), login="a b")
    assert "no account" in refused(ask(place, **shell_of()))


def test_a_script_that_the_ledger_says_is_read(place: Place) -> None:
    path = "/srv/it's/deploy.sh"
    assert "no script.read" in refused(ask(place, script="s-1", path=path))
    place.ledger.append(audit.script_read("s-1", "web-1", "deploy", path, question(path))).result()
    assert "no script.read" in refused(ask(place, script="s-1", path="/etc/shadow"))
    certificate = asyncssh.import_certificate(ask(place, script="s-1", path=path)["certificate"])
    assert certificate.options == {"force-command": question(path).decode()}
    assert "certified already" in refused(ask(place, script="s-1", path=path))


def line(command: bytes = b"ls -l", **fields: Any) -> Request:
    return request(command, **{"kind": RequestKind.LINE, "sequence": 3, "cwd": "/it's here", **fields})


@pytest.mark.parametrize(
    ("made", "verdict", "goes"),
    [
        (line(), "allow", True),
        (line(), "hold", False),
        (line(b"ls; X=1"), "allow", False),
        (line(cwd=""), "allow", False),
        (line(kind=RequestKind.STDIN), "allow", False),
    ],
    ids=["beside", "held", "changes the shell", "nowhere", "stdin"],
)
def test_a_line_of_a_shell_runs_beside_it_or_in_it(place: Place, made: Request, verdict: str, goes: bool) -> None:
    place.propose(made, verdict)
    place.start(made)
    answer = place.ask(made)
    if goes:
        certificate = asyncssh.import_certificate(answer["certificate"])
        assert certificate.options == {"force-command": "cd '/it'\"'\"'s here' || exit 125\nls -l"}
    else:
        assert refused(answer)


def test_a_command_with_a_terminal(place: Place) -> None:
    made = request(b"top; echo \xff", terminal="xterm")
    place.propose(made)
    place.start(made)
    certificate = asyncssh.import_certificate(place.ask(made)["certificate"])
    assert certificate.options == {"force-command": dispatch.command(made.command), "permit-pty": True}


def test_one_with_a_terminal_that_is_too_long(place: Place) -> None:
    """Its bytes take up to six characters each."""
    most = (FORCED_LIMIT - len(dispatch.command(b""))) // 6
    for size, goes in ((most, True), (most + 1, False)):
        made = request(b" " * size, id=f"r-{size:08}", terminal="xterm")
        place.propose(made)
        place.start(made)
        assert ("certificate" in place.ask(made)) == goes


def test_from_where_it_is_good(place: Place) -> None:
    made = request()
    place.propose(made)
    place.start(made)
    certificate = asyncssh.import_certificate(place.ask(made, source="192.0.2.10")["certificate"])
    assert [str(each) for each in certificate.options["source-address"]] == ["192.0.2.10/32"]


@pytest.mark.parametrize(
    ("setting", "seen", "good"),
    [
        ("auto", "192.0.2.10", ("192.0.2.10",)),
        ("auto", "fe80::1%eth0", ("fe80::1",)),
        ("auto", "", ()),
        ("anywhere", "192.0.2.10", ()),
        ("10.0.0.0/8,2001:db8::1/128", "192.0.2.10", ("10.0.0.0/8", "2001:db8::1/128")),
    ],
)
def test_what_counts_is_the_configuration(setting: str, seen: str, good: tuple[str, ...]) -> None:
    assert sources(setting, seen) == good


@pytest.mark.parametrize("seen", ["0.0.0.0/0", "x", "127.0.0.1,::/0", " "])
def test_no_network_is_taken_for_an_address(place: Place, seen: str) -> None:
    made = request()
    place.propose(made)
    place.start(made)
    assert list(place.ask(made, source=seen)) == ["refused"]
