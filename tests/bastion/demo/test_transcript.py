"""What came back from ssh, and how it is printed."""

from __future__ import annotations

import shlex

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bastion.demo import transcript
from bastion.demo.scenarios import AGENTS, End
from bastion.demo.transcript import Told, quoted, request_of

AGENT = AGENTS[1]
DEPLOY = AGENT.steps[1]
LOOK = AGENT.steps[0]

HELD = b"bastion: held r-0a404be0  risk unrated: not rated  (1 approval, 60 s)\n"

ENDS = {
    "ran": (0, b"output\n", End.RAN),
    "held, approved, ran": (0, HELD + b"bastion: approved by ana after 0 s\nx\n", End.RAN),
    "its own status": (3, b"web: not running\n", End.RAN),
    "denied": (126, HELD + b"bastion: denied by ana: no\n", End.DENIED),
    "refused": (126, b"bastion: refused the command is empty\n", End.DENIED),
    "a 126 of its own": (126, b"sh: 1: ./x: Permission denied\n", End.RAN),
    "expired": (
        124,
        HELD + b"bastion: expired r-0a404be0  nobody decided within 60 s, so it did not run\n",
        End.EXPIRED,
    ),
    "timeout(1)": (124, b"", End.RAN),
    "bastion failed": (125, b"bastion: error the ledger cannot be written\n", End.FAILED),
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
    assert request_of(b"bastion: waiting r-0a404be0  15 s of 60 s") == ""
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
