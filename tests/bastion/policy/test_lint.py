"""Lint: no way to write down "no gate", and what can never act is said."""

from __future__ import annotations

import pytest

from bastion.policy.language import parse
from bastion.policy.lint import Severity, lint
from tests.bastion.policy.judging import SAMPLE, wrapped


def found(body: str) -> list[tuple[str, str]]:
    return [(each.severity.value, each.code) for each in lint(parse(wrapped(body)))]


def test_the_sample_is_right() -> None:
    assert lint(parse(SAMPLE)) == []


@pytest.mark.parametrize(
    "rule",
    [
        "allow *", "allow anything", "allow medium", "allow low, medium", "allow unknown", "allow run",
        "allow executes", "allow session", "allow environment", 'allow command "*"',
        'allow command "** x"', 'allow command "sudo **"',
        'allow command "/usr/bin/sudo *"', 'allow command "bash **"', 'allow command "b* x"',
        'allow command "python3 **"',
        'allow writes "/**"', 'allow deletes "**"', 'agent "a" { allow * }', "deploy { allow * }",
        'environment "dev" { allow low, * }', 'allow command "env A=1 **"', 'allow command "git **"',
        'allow command "find **"',
    ],
)  # fmt: skip
def test_what_equals_no_gate_is_an_error(rule: str) -> None:
    assert (Severity.ERROR, "no-gate") in found(rule)


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ("timeout approve", "timeout-approve"),
        ("allow high", "useless"),
        ("allow opaque", "useless"),
        ('environment "production" { grant optional }', "standing-access"),
        ('environment "prod-eu" { grant optional }', "standing-access"),
        ("grant optional", "standing-access"),
        ("break_glass oncall", "unknown-group"),
        ("members dba { allow restart }", "unknown-group"),
        ('group dba "ana"\napprovals 2 from dba', "too-few"),
    ],
)
def test_other_errors(body: str, code: str) -> None:
    assert found(body) == [("error", code)]


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ("approvals 1 from nobody", "unknown-group"),
        ('deny restart\nagent "a" { allow restart }', "unreachable"),
        ("allow restart\nallow restart", "unreachable"),
        ("never *\nallow restart", "unreachable"),
        ('escalate after 5m to x\ngroup x "a"\ntimeout 2m', "unreachable"),
        ('task "T-*" { allow restart }', "claimed-task"),
        ('environment "production" { allow restart }', "standing-access"),
    ],
)
def test_warnings(body: str, code: str) -> None:
    assert found(body) == [("warning", code)]


@pytest.mark.parametrize(
    "body",
    [
        "allow low, reversible, reads",
        'allow command "systemctl status **"',
        'allow writes "/srv/app/**"',
        'agent "a" { deny restart }\nallow restart',
        'environment "production" { grant required\nallow restart }',
        'environment "staging" { grant optional\nallow restart }',
        "hold restart\nallow restart",
        'allow command "git status"',
        'group x "a", "b"\nescalate after 30s to x\napprovals 2 from x',
    ],
)
def test_what_is_right_is_not_complained_about(body: str) -> None:
    assert found(body) == []
