"""What is remembered of login shells: an answer for an hour, silence for a minute, each target by itself."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bastion.policy.dialects import UNKNOWN
from bastion.ssh import logins
from bastion.ssh.logins import AGE_SECONDS, SHELLS_LIMIT, SILENT_SECONDS, Logins
from tests.support.gated import TARGET


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [1000.0]
    monkeypatch.setattr(logins.time, "monotonic", lambda: now[0])
    return now


def test_an_answer_holds_for_an_hour(clock: list[float]) -> None:
    known = Logins()
    assert known.known(TARGET, "deploy") == known.known(None, "deploy") == UNKNOWN
    assert known.is_news(TARGET, "deploy", "bash")
    known.learn(TARGET, "deploy", "bash")
    clock[0] += AGE_SECONDS - 1
    assert known.known(TARGET, "deploy") == "bash"
    assert known.known(TARGET, "root") == known.known(replace(TARGET, port=23), "deploy") == UNKNOWN
    clock[0] += 1
    assert known.known(TARGET, "deploy") == UNKNOWN
    assert not known.silent(TARGET, "deploy")
    assert not known.is_news(TARGET, "deploy", "bash")
    assert known.is_news(TARGET, "deploy", "fish")


def test_who_does_not_answer_is_not_asked_again_at_once(clock: list[float]) -> None:
    known = Logins()
    assert not known.silent(TARGET, "deploy")
    known.learn(TARGET, "deploy", UNKNOWN)
    assert known.silent(TARGET, "deploy")
    assert not known.is_news(TARGET, "deploy", UNKNOWN)
    clock[0] += SILENT_SECONDS
    assert not known.silent(TARGET, "deploy")


def test_there_is_an_end_to_what_is_kept() -> None:
    known = Logins()
    for number in range(SHELLS_LIMIT + 1):
        known.learn(TARGET, f"login-{number}", "sh")
    assert known.known(TARGET, "login-0") == UNKNOWN
    assert known.known(TARGET, "login-1") == known.known(TARGET, f"login-{SHELLS_LIMIT}") == "sh"
