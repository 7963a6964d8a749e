"""The tests that stand in a policy, run. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from bastion.errors import UsageError
from bastion.policy.action import Assess, of_test
from bastion.policy.judge import Judgement, judge
from bastion.policy.rules import Policy, Test


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one test went."""

    test: Test
    judgement: Judgement | None
    """None where the test itself makes no sense."""
    wrong: str
    """Why it failed; empty if it passed."""


def run(policy: Policy, assess: Assess, now: int) -> Iterator[Outcome]:
    """Every test, in the order of the file, at `now`: freezes count."""
    for test in policy.tests:
        try:
            said = judge(of_test(test, assess), policy, None, now)
        except UsageError as error:
            yield Outcome(test, None, str(error))
            continue
        wrong = ""
        if said.verdict is not test.verdict:
            wrong = f"expected {test.verdict}, and the policy says {said.verdict}: {said.reason} ({said.rule})"
        elif test.approvals and said.approvals != test.approvals:
            wrong = f"expected {test.approvals} approvals, and the policy asks for {said.approvals}"
        yield Outcome(test, said, wrong)
