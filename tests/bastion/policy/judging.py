"""Questions for the judge, and what it says of them under a policy of a few lines."""

from __future__ import annotations

import dataclasses
from typing import Any

from bastion.model import IdentityKind, Request, Verdict
from bastion.policy.judge import Judgement, judge
from bastion.policy.language import parse
from bastion.policy.question import Question
from bastion.policy.risk import assess
from tests.support.requests import REQUEST

SAMPLE = """
policy "production" {
  version 1
  deploy {
    require_approval true
    block_paths ".env", "secrets/**", "**/id_rsa"
    max_files 50
  }
  agent "deployer" {
    allow restart, deploy, rollback
    deny delete, db_migrate, drop_table
    blast_radius single_host
  }
  remediation {
    block_categories auth, crypto, billing
    require_approval true
  }
}
"""
NOW = 1_700_000_000_000_000
MINUTE = 60_000_000


def question(command: str, who: str = "deployer", **more: Any) -> Question:
    facts: dict[str, Any] = {
        "identity": who,
        "identity_kind": IdentityKind.AGENT,
        "target": "web-1",
        "env": "production",
        "login": "deploy",
        "assessment": assess(command.encode("utf-8", "surrogateescape")),
        "command": command.encode("utf-8", "surrogateescape"),
    }
    return Question(**facts | more)


def wrapped(body: str) -> str:
    return body if "policy " in body else f'policy "p" {{\nversion 1\n{body}\n}}'


def verdict(policy: str, command: str, who: str = "deployer", **more: Any) -> Verdict:
    return judge(question(command, who, **more), parse(wrapped(policy)), None, NOW).verdict


def terms(body: str, command: str, **more: Any) -> Judgement:
    return judge(question(command, **more), parse(wrapped(body)), None, NOW)


def request_for(command: bytes) -> Request:
    return dataclasses.replace(
        REQUEST, identity="deployer", command=command, assessment=assess(command), created=NOW, expires=NOW + MINUTE,
        env="production",
    )  # fmt: skip
