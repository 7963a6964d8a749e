"""A policy, and a judgement, in plain words. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from bastion.model import Verdict
from bastion.policy.judge import Judgement
from bastion.policy.rules import (
    WHEN_ABSENT,
    Action,
    Condition,
    Field,
    Limit,
    LimitKind,
    Policy,
    Selector,
    Where,
)

_WHO = {
    Field.IDENTITY: "identity",
    Field.KIND: "kind",
    Field.GROUP: "a member of",
    Field.TARGET: "target",
    Field.ENVIRONMENT: "environment",
    Field.LOGIN: "account",
    Field.TASK: "task",
}
_SAYS = {
    Action.ALLOW: "runs without asking: {}, if nothing else speaks against it and it is not of high risk",
    Action.HOLD: "waits for a person: {}",
    Action.DENY: "is denied: {}",
    Action.NEVER: "is denied, and no approval or emergency lifts it: {}",
}
_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


def policy(policy: Policy) -> Iterator[tuple[Where | None, str]]:
    """One sentence a clause, in the order of the file, with what nobody wrote first."""
    yield (
        None,
        f"Policy {policy.name}. Whatever no rule allows is held for a person; deny beats hold, hold beats allow.",
    )
    people = "one person approves" if policy.default_approvals == 1 else f"{policy.default_approvals} people approve"
    yield (
        None,
        f"Unless a line below says otherwise, {people}, within {span(policy.default_timeout)}; then it is denied.",
    )
    sentences = [*_rules(policy), *_terms(policy), *_bounds(policy)]
    yield from sorted(
        sentences, key=lambda each: (each[0].place.file != policy.files[0], each[0].place.file, each[0].place.line)
    )


def _rules(policy: Policy) -> Iterator[tuple[Where, str]]:
    for rule in policy.clauses.rules:
        yield rule.where, _sentence(rule.where, _SAYS[rule.action].format(selectors(rule.selectors)))
    for need in policy.clauses.requirements:
        like = "" if need.pattern == "*" else f" like {need.pattern}"
        what = f" for {selectors(need.selectors)}" if need.selectors else ""
        yield need.where, _sentence(need.where, f"is denied unless the agent gives a {need.what}{like}{what}")


def _terms(policy: Policy) -> Iterator[tuple[Where, str]]:
    for each in policy.clauses.approvals:
        people = "one person must approve" if each.count == 1 else f"{each.count} different people must approve"
        group = f", of group {each.group}" if each.group else ""
        what = f" {selectors(each.selectors)}" if each.selectors else ""
        yield each.where, _sentence(each.where, f"{people}{what}{group}")
    for timeout in policy.clauses.timeouts:
        what = f" for {selectors(timeout.selectors)}" if timeout.selectors else ""
        yield (
            timeout.where,
            _sentence(timeout.where, f"is denied when nobody decides within {span(timeout.seconds)}{what}"),
        )
    for chat in policy.clauses.accepts:
        what = f" for {selectors(chat.selectors)}" if chat.selectors else ""
        whose = "the console over ssh counts" if chat.chat == "console" else f"buttons in {chat.chat} count"
        words = f"{whose}, unsigned, for low and medium risk{what}"
        yield chat.where, _sentence(chat.where, words)
    for later in policy.clauses.escalations:
        yield later.where, _sentence(later.where, f"{_when(later.seconds)} group {later.group} may decide, too")
    for forward in policy.clauses.forwards:
        places = ", ".join(map(str, forward.destinations))
        what = f"a person may let a connection go from the target to {places}, for {span(forward.seconds)} at most"
        yield forward.where, _sentence(forward.where, what)
    for mask in policy.clauses.masks:
        yield mask.where, _sentence(mask.where, "agents get the output with secrets in it overwritten")
    for recorded in policy.clauses.recordings:
        yield recorded.where, _sentence(recorded.where, "runs only while it is recorded")


def _bounds(policy: Policy) -> Iterator[tuple[Where, str]]:
    for limit in policy.clauses.limits:
        yield limit.where, _sentence(limit.where, _limit(limit))
    for freeze in policy.clauses.freezes:
        days = ", ".join(_DAYS[day] for day in sorted(freeze.days)) or "every day"
        first, last = freeze.minutes
        hours = "" if freeze.minutes == (0, 1440) else f" from {_clock(first)} to {_clock(last)} UTC"
        when = freeze.where.text.split('" ', 1)[-1] + " UTC" if freeze.ends else f"on {days}{hours}"
        yield freeze.where, _sentence(freeze.where, f"only reads run {when}: {freeze.reason}")
    for grant in policy.clauses.grants:
        longest = f", for {span(grant.longest)} at most" if grant.longest else ""
        what = f"takes a grant{longest}" if grant.required else "takes no grant"
        yield grant.where, _sentence(grant.where, what)
    for glass in policy.clauses.break_glass:
        what = f"humans of group {glass.group} may, with a reason, do what is held, denied or frozen; it is alerted"
        yield glass.where, _sentence(glass.where, what)


def _limit(limit: Limit) -> str:
    match limit.kind:
        case LimitKind.REQUESTS:
            return f"at most {limit.most} requests of one identity within {span(limit.seconds)}; more are denied"
        case LimitKind.TARGETS:
            return f"at most {limit.most} different targets of one identity within {span(limit.seconds)}"
        case LimitKind.FILES:
            return f"at most {limit.most} files in one request"


def _sentence(where: Where, what: str) -> str:
    around = "; ".join([*(_condition(each) for each in where.conditions), *_sections(where.sections)])
    return f"{around}: {what}" if around else what[0].upper() + what[1:]


def _condition(condition: Condition) -> str:
    return f"{_WHO[condition.field]} {' or '.join(condition.patterns)}"


def _sections(sections: Iterable[Selector]) -> list[str]:
    return [
        f"when it is {each}" if each.word in ("low", "medium", "high", "reversible") else f"for {each}"
        for each in sections
    ]


def selectors(of: Iterable[Selector]) -> str:
    """`restart, deploy, command "git pull"`."""
    return ", ".join(str(each) for each in of)


def judgement(said: Judgement) -> Iterator[str]:
    """What becomes of one action, and why, a line each."""
    match said.verdict:
        case Verdict.ALLOW:
            yield "runs without asking"
        case Verdict.DENY:
            yield "is denied"
        case Verdict.HOLD:
            people = "one person" if said.approvals == 1 else f"{said.approvals} different people"
            group = f" of group {' and '.join(said.approvers)}" if said.approvers else ""
            verb = "approves" if said.approvals == 1 else "approve"
            yield f"is held until {people}{group} {verb}, {span(said.timeout)} at most"
            for later in said.escalation:
                yield f"{_when(later.seconds)} group {later.group} may decide, too"
    yield f"because: {said.reason}"
    yield f"rule: {said.rule}"


def _when(seconds: int) -> str:
    """From when on a further group may decide."""
    return f"after {span(seconds)}" if seconds != WHEN_ABSENT else "when nobody watches the queue who may decide,"


def span(seconds: int) -> str:
    """`90 s`, `5 min`, `8 h`."""
    for size, unit in ((86_400, "d"), (3600, "h"), (60, "min")):
        if seconds % size == 0 and seconds:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"


def _clock(minutes: int) -> str:
    return f"{minutes // 60:02d}:{minutes % 60:02d}"
