"""The terms of a request: how many people, how long, what is asked of the agent; freezes, grants, emergencies."""

from __future__ import annotations

import dataclasses
from dataclasses import replace

import pytest

from bastion.model import Assessment, IdentityKind, Tier, Verdict
from bastion.policy.judge import Escalation, Judgement, judge
from bastion.policy.language import parse
from bastion.policy.question import Question
from bastion.policy.usage import Usage
from tests.bastion.policy.judging import MINUTE, NOW, question, request_for, terms, verdict, wrapped


def test_the_highest_number_the_shortest_time_and_all_the_groups() -> None:
    body = """
    group dba "ana", "ben"
    approvals 1
    approvals 2 for irreversible
    timeout 5m
    high { timeout 2m
           escalate after 1m to sre
           escalate after 3m to boss }
    drop_table { approvals 1 from dba }
    environment "production" { approvals 1 from sre }
    recording required
    """
    said = terms(body, "psql -c 'drop table x'")
    assert (said.approvals, said.approvers, said.timeout) == (2, ("dba", "sre"), 120)
    assert [(each.seconds, each.group) for each in said.escalation] == [(60, "sre")]  # 3m would be after the end
    assert said.recording
    said = terms(body, "touch x", env="staging")
    assert (said.approvals, said.approvers, said.timeout, said.escalation) == (1, (), 300, ())


def test_what_nobody_rated_counts_as_high_for_the_terms() -> None:
    unrated = Assessment(None, Tier.UNRATED, ())
    assert terms("approvals 2 for high", "ls", assessment=unrated).approvals == 2


def test_the_digest_is_of_the_request_on_these_terms() -> None:
    asked = request_for(b"touch x")
    policy = parse(wrapped("approvals 3\ntimeout 2m"))
    said = judge(Question.of(asked, IdentityKind.AGENT), policy, None, NOW)
    settled = said.settle(asked)
    assert (settled.approvals, settled.seconds, settled.rule) == (3, 120, "default")
    assert settled.digest == said.digest != asked.digest
    names = ("approvals", "expires", "rule", "approvers", "escalation", "unsigned")
    assert settled == dataclasses.replace(asked, **{name: getattr(settled, name) for name in names})
    with pytest.raises(ValueError, match="another request"):
        said.settle(dataclasses.replace(asked, command=b"rm x"))


def test_what_was_judged_is_not_settled_on_other_terms() -> None:
    """What `judge` had made of it is for the terms that it was made on."""
    said = judge(Question.of(request_for(b"ls"), IdentityKind.AGENT), parse('policy "p" {\n version 1\n}\n'), None, 0)
    assert said.judged is not None
    asked = said.judged[0]
    assert said.settle(asked) is said.judged[2]
    assert said.settle(replace(asked)) == said.judged[2]
    with pytest.raises(ValueError, match="another request"):
        replace(said, approvals=3).settle(asked)
    assert replace(said, rule="another").settle(asked).rule == "another"


def test_a_judgement_of_a_request_is_the_same_judgement() -> None:
    """Field by field: `of` names each."""
    different = {
        "approvals": 2,
        "approvers": ("dba",),
        "timeout": 7,
        "escalation": (Escalation(3, "oncall"),),
        "unsigned": ("slack",),
        "recording": True,
        "emergency": True,
        "policy": "p",
    }
    said = Judgement(Verdict.ALLOW, "", "a rule", "a reason", **different)  # type: ignore[arg-type]
    asked = request_for(b"ls")
    made = said.of("d", (asked, {}, asked))
    assert made == replace(said, digest="d")
    assert made.judged == (asked, {}, asked)


# --- what is asked of the agent, and how much -------------------------------------------------------------------------


def test_reason_rollback_and_task_can_be_required() -> None:
    body = 'require rollback for high\nrequire task "T-*"'
    assert verdict(body, "touch x") is Verdict.DENY
    assert verdict(body, "touch x", task="T-12") is Verdict.HOLD
    assert verdict(body, "touch x", task="X T-12") is Verdict.DENY
    assert verdict(body, "rm -rf /srv", task="T-12") is Verdict.DENY
    assert verdict(body, "rm -rf /srv", task="T-12", rollback="restore it") is Verdict.HOLD


def test_off_task_is_held() -> None:
    body = 'task "release-*" { allow deploy }'
    assert verdict(body, "kubectl apply -f x", task="release-7") is Verdict.ALLOW
    assert verdict(body, "kubectl apply -f x", task="lunch") is Verdict.HOLD


def test_the_rate_is_exact() -> None:
    usage = Usage()
    for _ in range(3):
        usage.note("deployer", "web-1", NOW - MINUTE // 2)
    assert verdict("rate 4 per 1m", "ls", usage=usage) is Verdict.HOLD
    assert verdict("rate 3 per 1m", "ls", usage=usage) is Verdict.DENY
    assert verdict("rate 3 per 30s", "ls", usage=usage) is Verdict.HOLD
    assert verdict("rate 3 per 1m", "ls", usage=usage, identity="other") is Verdict.HOLD


# --- freezes, grants, emergencies -------------------------------------------------------------------------------------

FREEZES = [
    ('freeze "x" from "2026-12-24 00:00" to "2026-12-27 00:00"', "2026-12-24 00:00", True),
    ('freeze "x" from "2026-12-24 00:00" to "2026-12-27 00:00"', "2026-12-26 23:59", True),
    ('freeze "x" from "2026-12-24 00:00" to "2026-12-27 00:00"', "2026-12-27 00:00", False),
    ('freeze "x" on sat, sun', "2026-11-21 12:00", True),  # a Saturday
    ('freeze "x" on sat, sun', "2026-11-23 00:00", False),
    ('freeze "x" from "22:00" to "06:00"', "2026-11-21 22:00", True),
    ('freeze "x" from "22:00" to "06:00"', "2026-11-21 05:59", True),
    ('freeze "x" from "22:00" to "06:00"', "2026-11-21 06:00", False),
    ('freeze "x" on fri from "22:00" to "06:00"', "2026-11-21 05:00", True),
    ('freeze "x" on fri from "22:00" to "06:00"', "2026-11-20 05:00", False),
]


@pytest.mark.parametrize(("freeze", "moment", "frozen"), FREEZES)
def test_freezes(freeze: str, moment: str, frozen: bool) -> None:
    from datetime import UTC, datetime

    now = int(datetime.fromisoformat(moment).replace(tzinfo=UTC).timestamp()) * 1_000_000
    policy = parse(wrapped(f"allow low, restart\n{freeze}"))
    said = judge(question("systemctl restart x"), policy, None, now)
    assert said.verdict is (Verdict.DENY if frozen else Verdict.ALLOW)
    assert judge(question("ls"), policy, None, now).verdict is Verdict.ALLOW


def test_breaking_the_glass_takes_a_human_a_reason_and_a_policy_and_lifts_no_never() -> None:
    body = """
    break_glass oncall
    group oncall "hana"
    deny restart
    hold *
    freeze "x" on mon, tue, wed, thu, fri, sat, sun
    never backup
    """
    human = {"identity_kind": IdentityKind.HUMAN, "emergency": "site is down"}
    said = terms(body, "systemctl restart x", who="hana", **human)
    assert (said.verdict, said.emergency) == (Verdict.ALLOW, True)
    assert said.reason == "emergency: site is down"
    assert verdict(body, "systemctl restart x", "hana", **human | {"emergency": ""}) is Verdict.DENY
    assert verdict(body, "systemctl restart x", "hana", **human | {"identity_kind": IdentityKind.AGENT}) is Verdict.DENY
    assert verdict(body, "systemctl restart x", "otto", **human) is Verdict.DENY
    assert verdict("deny restart", "systemctl restart x", "hana", **human) is Verdict.DENY
    assert verdict(body + "\nnever restart", "systemctl restart x", "hana", **human) is Verdict.DENY


def test_a_grant_can_be_required() -> None:
    body = 'allow restart\nenvironment "production" { grant required }'
    said = terms(body, "systemctl restart x")
    assert said.verdict is Verdict.DENY
    assert "request-access web-1" in said.reason
    assert verdict(body, "systemctl restart x", env="staging") is Verdict.ALLOW
