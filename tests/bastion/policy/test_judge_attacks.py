"""Commands that are made to be slow to judge, or to look like others, or to be read otherwise by the login shell."""

from __future__ import annotations

import dataclasses

import pytest

from bastion.model import Assessment, RequestKind, Tier, Verdict
from bastion.policy.judge import judge
from bastion.policy.language import parse
from tests.bastion.policy.judging import NOW, question, request_for, verdict, wrapped

HOSTILE = [
    b"rm " * 43_000,
    b"sudo " * 26_000,
    b"sudo sh -c '" * 5_000,
    b"; ".join([b"rm x"] * 20_000),
    b"env " + b"A=1 " * 30_000 + b"rm x",
    b"echo " + b"*" * 130_000,
    b"echo " + b"a/../" * 26_000 + b".env",
    b"cat " + b"/".join([b"a"] * 60_000),
    b"cat " + b"a*" * 60_000,
    b"echo " + b"{a,b}" * 20_000,
    b"$(" * 40_000,
    b"'" * 131_071,
]


STARS = "*a" * 200


GREEDY = f"""
allow low, restart
deny command "rm **"
never command "** x"
deny command "* * * ** * ** *", path "**/a/**/a/**/a/**/b"
deny path "{STARS}"
block_paths ".env"
deny writes "a*a*a*b"
"""


@pytest.mark.parametrize("command", HOSTILE, ids=lambda command: command[:12].decode())
def test_no_command_and_no_pattern_makes_judging_slow_or_lets_it_run(command: bytes) -> None:
    import time

    unrated = Assessment(50, Tier.MEDIUM, (), verbs=("restart",))  # as if the classifier had been fooled
    asked = dataclasses.replace(question("x"), command=command[:131_071], assessment=unrated)
    policy = parse(wrapped(GREEDY))
    begun = time.process_time()
    said = judge(asked, policy, None, NOW)
    assert time.process_time() - begun < 3
    assert said.verdict is not Verdict.ALLOW


@pytest.mark.parametrize(
    "command",
    ["rm\u00a0x", "r\u200bm x", "\u0433m x", "rm x\u2028rm y", "ｒｍ x", "rm x\x1b[2K", "rm\tx", "rm  x", "rm\\\n x"],
)
def test_lookalikes_and_odd_blanks_are_never_allowed(command: str) -> None:
    assert verdict("allow low, restart, reversible\ndeny delete", command) is not Verdict.ALLOW


@pytest.mark.parametrize(
    ("line", "shell", "expected"),
    [
        ("ls 2>&1", "bash", Verdict.ALLOW),
        ("ls 2>&1", "", Verdict.HOLD),
        ("ls 2>&1", "no POSIX shell", Verdict.HOLD),
        ("ls | wc -l", "", Verdict.ALLOW),
        ("ls | wc -l", "no POSIX shell", Verdict.ALLOW),
    ],
)
def test_what_the_login_shell_may_read_otherwise_is_held(line: str, shell: str, expected: Verdict) -> None:
    said = judge(question(line, shell=shell), parse(wrapped("allow low")), None, NOW)
    assert said.verdict is expected
    assert (said.rule == "shell") is (expected is Verdict.HOLD)


def test_so_is_a_line_beside_a_shell_but_not_what_runs_in_it() -> None:
    asked = {"kind": RequestKind.LINE, "request": request_for(b"ls")}
    unknown = {**asked, "shell": ""}
    assert verdict("allow low", "ls", **asked) is Verdict.ALLOW
    assert verdict("allow low", "ls", **unknown) is Verdict.HOLD
    assert verdict("allow low", "cd /srv", **unknown) is Verdict.ALLOW
