"""`bastion policy`: exit statuses and output, without a bastion."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from tests.bastion.cli.conftest import Shell
from tests.bastion.cli.test_json import check
from tests.bastion.policy.judging import SAMPLE

TESTED = 'policy "t" {\n  version 1\n  allow low\n  test "a" {\n    command "ls"\n    expect allow\n  }\n}\n'


@pytest.fixture
def work(shell: Shell) -> Shell:
    (shell.work / "p").write_text(SAMPLE.lstrip("\n"))
    (shell.work / "open").write_text('policy "o" {\n  version 1\n  allow *\n}\n')
    (shell.work / "broken").write_text('policy "o" {\n  version 1\n  alow low\n}\n')
    (shell.work / "warn").write_text('policy "o" {\n  version 1\n  deny low\n  allow low\n}\n')
    (shell.work / "tested").write_text(TESTED)
    (shell.work / "failing").write_text(TESTED.replace("expect allow", "expect deny"))
    return shell


@pytest.mark.parametrize(
    ("action", "status", "strict"),
    [
        ({"agent": "deployer", "action": "restart"}, 0, 0),
        ({"agent": "deployer", "action": "deploy"}, 0, 3),
        ({"agent": "deployer", "action": "drop_table"}, 1, 1),
        ({"agent": "deployer", "command": "psql -c 'drop table x'"}, 1, 1),
        ({"agent": "deployer", "command": "systemctl restart nginx"}, 0, 0),
        ({"agent": "somebody", "action": "restart"}, 0, 3),
        ({"action": "deploy", "files": [".env"]}, 1, 1),
        ({"action": "deploy", "files": ["a/../.env"]}, 1, 1),
        ({"action": "deploy", "files": 50}, 0, 3),
        ({"action": "deploy", "files": 51}, 1, 1),
        ({"action": "deploy", "files": [f"f{number}" for number in range(51)]}, 1, 1),
        ({"action": "remediation", "category": "auth"}, 1, 1),
        ({"action": "remediation", "categories": ["data"]}, 0, 3),
        ({"command": "ls"}, 0, 3),
        ({}, 0, 3),
        ({"action": "frobnicate"}, 2, 2),
        ({"actoin": "restart"}, 2, 2),
        ({"agent": 5}, 2, 2),
        ({"files": -1}, 2, 2),
        ({"files": True}, 2, 2),
        ({"agent": "a", "identity": "b"}, 2, 2),
        ({"command": "rm -rf /", "tier": "low"}, 2, 2),
        ([], 2, 2),
    ],
)
def test_check(action: object, status: int, strict: int, tmp_path: Path) -> None:
    """In this process: a process each would take a minute."""
    from click.testing import CliRunner

    from bastion.cli.policy import command
    from bastion.errors import BastionError

    (tmp_path / "p").write_text(SAMPLE)
    (tmp_path / "a.json").write_text(json.dumps(action))
    for more, expected in (((), status), (("--strict",), strict)):
        words = ["check", str(tmp_path / "a.json"), "--policy", str(tmp_path / "p"), *more]
        result = CliRunner().invoke(command, words, standalone_mode=False)
        if isinstance(result.exception, BastionError):
            found = result.exception.exit_status
        else:
            assert result.exception is None
            found = result.return_value
        assert found == expected, result.output


def test_check_as_a_program(work: Shell) -> None:
    done = work("policy", "check", "-", "--policy", "p", "--json", stdin=b'{"agent":"deployer","action":"drop_table"}')
    assert (done.status, done.json["verdict"]) == (1, "deny")
    check("policy check", done.json)
    assert work("policy", "check", "-", "--policy", "open", stdin=b"{}").status == 2
    assert work("policy", "check", "missing", "--policy", "p").status == 2
    assert work("policy", "check", "-", "--policy", "p", stdin=b'{"tier": "low", "tier": "high"}').status == 2
    done = work(
        "policy",
        "check",
        "-",
        "--policy",
        "p",
        "--format",
        "github",
        stdin=b'{"action":"drop_table","agent":"deployer"}',
    )
    assert done.out.startswith("::error file=-,line=1,col=1,title=deny::policy denies it: drop_table")
    done = work("policy", "check", "-", "--policy", "broken", "--format", "sarif", stdin=b"{}")
    assert done.status == 2
    (result,) = done.json["runs"][0]["results"]
    region = result["locations"][0]["physicalLocation"]["region"]
    assert (result["level"], region) == ("error", {"startLine": 3, "startColumn": 3})


def test_lint(work: Shell) -> None:
    assert work("policy", "lint", "p").status == 0
    assert work("policy", "lint", "broken").status == 2
    done = work("policy", "lint", "open")
    assert (done.status, "open:3:3: error: `allow *` equals no gate" in done.out) == (1, True)
    assert work("policy", "lint", "warn").status == 0
    assert work("policy", "lint", "warn", "--strict").status == 1
    done = work("policy", "lint", "open", "--json")
    check("policy lint", done.json)
    assert (done.json["ok"], done.json["findings"][0]["code"]) == (False, "no-gate")
    done = work("policy", "lint", "warn", "--format", "github")
    assert done.out.startswith("::warning file=warn,line=4,col=3,title=unreachable::")
    assert work("policy", "lint", "warn", "--format", "sarif").json["version"] == "2.1.0"


def test_explain_test_and_hash(work: Shell) -> None:
    done = work("policy", "explain", "p")
    assert "agent deployer" in done.out or "identity deployer" in done.out
    check("policy explain", work("policy", "explain", "p", "--json").json)
    (work.work / "a.json").write_text('{"agent": "deployer", "action": "restart"}')
    done = work("policy", "explain", "p", "a.json")
    assert "runs without asking" in done.out
    assert "allow restart, deploy, rollback" in done.out
    assert work("policy", "test", "tested").status == 0
    done = work("policy", "test", "failing", "--json")
    assert done.status == 1
    check("policy test", done.json)
    done = work("policy", "hash", "p", "--json")
    check("policy hash", done.json)
    assert done.json["digest"] == hashlib.sha256((work.work / "p").read_bytes()).hexdigest()


def test_fmt(work: Shell) -> None:
    path = work.work / "messy"
    path.write_text('policy "m" { version 1; allow low # x\n}\n')
    path.chmod(0o640)
    assert work("policy", "fmt", "messy", "--check").status == 1
    check("policy fmt", work("policy", "fmt", "messy", "--check", "--json").json)
    assert work("policy", "fmt", "messy").status == 0
    assert path.read_text() == 'policy "m" {\n  version 1\n  allow low  # x\n}\n'
    assert path.stat().st_mode & 0o777 == 0o640
    assert work("policy", "fmt", "messy", "--check").status == 0
    assert work("policy", "fmt", "-", stdin=b'policy "m" { version 1 }').out == 'policy "m" {\n  version 1\n}\n'
    assert work("policy", "fmt", "broken").status == 0  # it parses; what it means is another matter
    before = (work.work / "p").read_text()
    assert work("policy", "fmt", "p").status == 0
    assert (work.work / "p").read_text() == before


def test_replay_of_an_empty_ledger(made: Shell) -> None:
    (made.work / "p").write_text(SAMPLE)
    done = made("policy", "replay", "p", "--json")
    assert (done.status, done.json["judged"]) == (0, 0)
    check("policy replay", done.json)
