"""Recorded requests under another policy: what would have changed. Pure.

Each command is assessed anew, so that a record from before the classifier counts as well. What cannot be known is left
out: redacted requests, and those that the whitelist, a grant or a freeze decided, as long as the policy does not deny
them. Rates and targets are not counted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace

from bastion.control.wire import RequestInfo
from bastion.model import Assessment, IdentityKind, RequestKind, State, Verdict
from bastion.policy.judge import Judgement, judge
from bastion.policy.question import Question
from bastion.policy.rules import Policy

OTHERS = ("whitelist", "grant", "freeze")
"""Rules of a verdict that no policy made."""


@dataclass(frozen=True, slots=True)
class Change:
    """One request that would be judged differently."""

    info: RequestInfo
    before: Verdict
    said: Judgement


def rehearse(
    infos: Iterable[RequestInfo],
    kinds: Mapping[str, str],
    policy: Policy,
    assess: Callable[[bytes], Assessment],
) -> tuple[int, list[Change]]:
    """How many requests were judged, and those that would have another verdict."""
    judged, changes = 0, []
    for info in infos:
        if info.kind not in (RequestKind.EXEC, RequestKind.LINE) or not info.digest or info.command == b"(redacted)":
            continue
        request = replace(info.to_model(), assessment=assess(info.command))
        kind = IdentityKind(kinds.get(info.identity, IdentityKind.AGENT.value))
        said = judge(Question.of(request, kind), policy, None, info.created)
        before = _before(info)
        judged += 1
        if said.verdict is before or (info.rule.split(" ")[0] in OTHERS and said.verdict is not Verdict.DENY):
            continue
        changes.append(Change(info, before, said))
    return judged, changes


def _before(info: RequestInfo) -> Verdict:
    match info.state:
        case State.ALLOWED:
            return Verdict.ALLOW
        case State.REFUSED:
            return Verdict.DENY
        case _:
            return Verdict.HOLD
