"""What came back from ssh, and how it is printed."""

from __future__ import annotations

import shlex
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bastion.demo import transcript
from bastion.demo.scenarios import AGENTS, End
from bastion.demo.transcript import Told, quoted, request_of
from bastion.gate import notices
from bastion.model import StdinMode
from tests.support.requests import REQUEST

AGENT = AGENTS[1]
DEPLOY = AGENT.steps[1]
LOOK = AGENT.steps[0]

ASKED = replace(REQUEST, id="r-0a404be0", identity="deploy-bot", command=b"sh -s", stdin=StdinMode.BUNDLED)


def said(*each: notices.Notice) -> bytes:
    """Lines as the bastion sends them."""
    return b"".join(notices.line(notice, as_json=False) for notice in each)


HELD = said(notices.held(ASKED, 60))
APPROVED = said(notices.approved(ASKED, ("ana",), 0))

ENDS = {
    "ran": (0, b"output\n", End.RAN),
    "held, approved, ran": (0, HELD + APPROVED + b"x\n", End.RAN),
    "its own status": (3, b"web: not running\n", End.RAN),
    "denied": (notices.EXIT_DENIED, HELD + said(notices.denied(ASKED, "ana", "no")), End.DENIED),
    "refused": (notices.EXIT_DENIED, said(notices.refused("the command is empty")), End.DENIED),
    "a 126 of its own": (126, b"sh: 1: ./x: Permission denied\n", End.RAN),
    "expired": (notices.EXIT_EXPIRED, HELD + said(notices.expired(ASKED, 60)), End.EXPIRED),
    "timeout(1)": (124, b"", End.RAN),
    "bastion failed": (notices.EXIT_BASTION, said(notices.failed("the ledger cannot be written")), End.FAILED),
    "failed after approval": (notices.EXIT_BASTION, HELD + APPROVED + said(notices.failed("no target")), End.FAILED),
    "cut while held": (notices.EXIT_BASTION, HELD + said(notices.cut("ended from the console")), End.DENIED),
    "cut while it ran": (notices.EXIT_BASTION, HELD + APPROVED + said(notices.cut("from the console")), End.RAN),
    "withdrawn": (notices.EXIT_BASTION, HELD + said(notices.withdrawn(ASKED, "target removed")), End.DENIED),
    "a 125 of its own": (125, HELD + APPROVED, End.RAN),
    "ssh failed": (255, b"ssh: connect to host 127.0.0.1 port 1: Connection refused\n", End.FAILED),
    "ssh killed": (-9, b"", End.FAILED),
    "a denial that is only talked of": (0, b"bastion: denied\n", End.RAN),
}


@pytest.mark.parametrize(("status", "output", "end"), ENDS.values(), ids=ENDS)
def test_how_it_ended(status: int, output: bytes, end: End) -> None:
    assert Told(status, output).end is end


@given(st.integers(-64, 255), st.binary())
def test_any_output_has_an_end(status: int, output: bytes) -> None:
    told = Told(status, output)
    assert told.end in End
    assert transcript.answer(AGENT, DEPLOY, told, {}) is not None


def test_the_request_that_is_held() -> None:
    assert request_of(HELD.strip()) == "r-0a404be0"
    assert request_of(said(notices.still_held(ASKED, 15, 60)).strip()) == ""
    assert request_of(b"bastion: held") == ""
    assert request_of(b"the bastion: held r-0a404be0") == ""


def test_asking_shows_the_script_that_is_sent() -> None:
    assert transcript.asking(AGENT, DEPLOY) == [
        "",
        "deploy-bot: as expected; deploying",
        "  release-7.sh | set -eu",
        "  release-7.sh | # release 7, from CI",
        "  release-7.sh | db query 'ALTER TABLE customers ADD COLUMN email TEXT'",
        "  release-7.sh | db query 'DROP TABLE orders'",
        '  release-7.sh | echo "release 7 is out"',
        "$ ssh web-1@bastion 'sh -s' < release-7.sh",
    ]


def test_the_approvers_words_stand_behind_the_request() -> None:
    told = Told(126, HELD + b"bastion: denied by ben: no\n")
    lines = transcript.answer(AGENT, DEPLOY, told, {"r-0a404be0": "ben denies: no", "r-11111111": "other"})
    assert lines == [
        HELD.decode().rstrip(),
        "    ben denies: no",
        "bastion: denied by ben: no",
        "deploy-bot: right: the same without the table",
    ]


def test_a_status_of_the_command_is_shown() -> None:
    assert transcript.answer(AGENT, LOOK, Told(3, b"a\tb\n"), {}) == ["a       b", "[exit 3]"]


def test_output_cannot_move_the_cursor() -> None:
    lines = transcript.answer(AGENT, LOOK, Told(0, b"\x1b[2Jgone\r\xe2\x80\xae\n"), {})
    assert "gone" in lines[0]
    assert all(line.isprintable() for line in lines)
    assert all(line.isprintable() for line in transcript.stopped(AGENT, b"\x1b[2J"))


def test_a_person_who_leaves() -> None:
    assert transcript.stopped(AGENT, HELD) == [HELD.decode().rstrip(), "deploy-bot: stopped here"]


@given(st.text(st.characters(min_codepoint=32, max_codepoint=126), min_size=1))
def test_a_quoted_command_is_one_word(command: str) -> None:
    assert shlex.split(quoted(command)) == [command]


@pytest.mark.parametrize(
    ("command", "typed"),
    [
        ("svc status web", "'svc status web'"),
        ("grep 'a b' c", '''"grep 'a b' c"'''),
        ("echo '$x'", """'echo '"'"'$x'"'"''"""),
    ],
)
def test_quoted_as_one_would(command: str, typed: str) -> None:
    assert quoted(command) == typed
