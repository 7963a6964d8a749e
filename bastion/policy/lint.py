"""What is wrong with a policy that parses: rules that equal no gate, rules that can never act. Pure.

An ERROR keeps a policy from being put in force: there is no way to write down "no gate". A WARNING is something that
surely is not what its author meant, and harms nobody.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum

from bastion.policy import globs
from bastion.policy.question import WRAPPERS
from bastion.policy.rules import (
    TIMEOUT_MOST,
    Action,
    Clauses,
    Condition,
    Field,
    Policy,
    Rule,
    Selector,
    Where,
)
from bastion.policy.selecting import command_words
from bastion.policy.tokens import Place
from bastion.policy.vocabulary import EFFECTS


class Severity(StrEnum):
    """How bad."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong."""

    severity: Severity
    code: str
    """A short name that does not change."""
    message: str
    place: Place
    hint: str = ""


NO_GATE = frozenset({"anything", "medium", "unknown", "run", "executes", "environment", "session", "interactive"})
"""Words with which everything, or any program at all, would run unasked."""

USELESS = frozenset({"high", "opaque", "irreversible", "unrated"})
"""Words that nothing allowed can have: what is high or opaque is always held."""

_INTERPRETERS = "python python2 python3 perl ruby node php lua awk gawk vi vim nano ed less more man git make"
INTERPRETERS = frozenset(_INTERPRETERS.split())
"""Programs that run any other one, beside the wrappers; `git` by its options, `man` and pagers by a key."""

PRODUCTION = ("production", "prod", "prd", "live")


def lint(policy: Policy) -> list[Finding]:
    """All findings, in the order of the file."""
    found = [finding for check in CHECKS for finding in check(policy)]
    return sorted(found, key=lambda finding: (finding.place.file, finding.place.line, finding.place.column))


def _no_gate(policy: Policy) -> Iterator[Finding]:
    for rule in policy.clauses.rules:
        if rule.action is not Action.ALLOW:
            continue
        for selector in rule.selectors:
            if why := _opens(selector):
                yield _error("no-gate", f"`{rule.where.text}` equals no gate: {why}", rule.where)
            elif not selector.text and selector.word in USELESS:
                what = f"`allow {selector.word}` allows nothing: what is {selector.word} is always held"
                yield _error("useless", what, rule.where, "leave it out")


def _opens(selector: Selector) -> str:
    """Why allowing this is the same as asking nobody; empty if it is not."""
    word, text = selector.word, selector.text
    if not text:
        return "whatever is not of high risk would run unasked" if word in NO_GATE else ""
    if word == "command":
        pattern = command_words(text)
        if "*" in pattern[0]:
            return "any program could run"
        if pattern[0].rpartition("/")[2] in WRAPPERS and any("*" in each for each in pattern[1:]):
            return f"`{pattern[0]}` runs what stands behind it"
        if pattern[0] in INTERPRETERS and "**" in pattern[1:2]:
            return f"`{pattern[0]}` runs other programs by its options"
        return ""
    if word in EFFECTS and not text.strip("*/"):
        return "any place at all"
    return ""


def _time_approves(policy: Policy) -> Iterator[Finding]:
    for clause in policy.clauses.timeouts:
        if clause.approves:
            yield _error("timeout-approve", "time never approves: a timeout denies", clause.where, "timeout 60s")


def _standing_access(policy: Policy) -> Iterator[Finding]:
    grants = policy.clauses.grants
    for grant in grants:
        if not grant.required and _in_production(grant.where):
            what = "standing access to production: `grant optional` here means for ever"
            yield _error("standing-access", what, grant.where, "name other environments, or leave it out")
    for rule in policy.clauses.rules:
        named = any(condition.field is Field.ENVIRONMENT for condition in rule.where.conditions)
        reads = all(selector.word in ("low", "reads", "reversible") for selector in rule.selectors)
        if rule.action is not Action.ALLOW or not named or reads or not _in_production(rule.where):
            continue
        if not any(grant.required and _wider(grant.where, rule.where) for grant in grants):
            what = f"`{rule.where.text}` is standing access to production: no grant is required there"
            yield _warning("standing-access", what, rule.where, "add `grant required` to the environment")


def _in_production(where: Where) -> bool:
    """Whether it holds in an environment that is called like one."""
    labels = [condition.patterns for condition in where.conditions if condition.field is Field.ENVIRONMENT]
    return all(
        any(globs.text(pattern, name) or "prod" in pattern.lower() for pattern in patterns for name in PRODUCTION)
        for patterns in labels
    )


def _unknown_groups(policy: Policy) -> Iterator[Finding]:
    hint = 'group {} "NAME", "NAME"'
    for each in policy.clauses.break_glass:
        if each.group not in policy.groups:
            yield _error("unknown-group", f"no group {each.group} in this policy", each.where, hint.format(each.group))
    for rule_where in _wheres(policy.clauses):
        for condition in rule_where.conditions:
            for name in condition.patterns if condition.field is Field.GROUP else ():
                if name not in policy.groups:
                    yield _error("unknown-group", f"no group {name} in this policy", rule_where, hint.format(name))
    named = [(each.group, each.where) for each in policy.clauses.approvals if each.group]
    named += [(each.group, each.where) for each in policy.clauses.escalations]
    for group, where in named:
        if group not in policy.groups:
            what = f"no group {group} in this policy: until `bastion group` makes one, nobody can approve here"
            yield _warning("unknown-group", what, where, hint.format(group))


def _too_few(policy: Policy) -> Iterator[Finding]:
    for each in policy.clauses.approvals:
        members = policy.groups.get(each.group)
        if members is not None and len(members) < each.count:
            what = f"{each.count} approvals from {each.group}, which has {len(members)}: nobody can ever approve"
            yield _error("too-few", what, each.where)


def _unreachable(policy: Policy) -> Iterator[Finding]:
    rules = policy.clauses.rules
    for at, rule in enumerate(rules):
        for other_at, other in enumerate(rules):
            if other is rule or not _wider(other.where, rule.where):
                continue
            stronger = _RANK[other.action] > _RANK[rule.action] and other.action is not Action.HOLD
            same = other.action is rule.action and other_at < at
            if (stronger or same) and all(_selected_by(each, other) for each in rule.selectors):
                verb = "repeats" if same else "never acts, because of"
                what = f"`{rule.where.text}` {verb} `{other.where.text}` in line {other.where.place.line}"
                yield _warning("unreachable", what, rule.where)
                break


_RANK = {Action.ALLOW: 0, Action.HOLD: 1, Action.DENY: 2, Action.NEVER: 3}


def _selected_by(selector: Selector, rule: Rule) -> bool:
    return any(
        other == selector or other.word == "anything" or (not other.text and other.word == selector.word)
        for other in rule.selectors
    )


def _late(policy: Policy) -> Iterator[Finding]:
    for each in policy.clauses.escalations:
        longest = max(
            (timeout.seconds for timeout in policy.clauses.timeouts if not timeout.approves),
            default=policy.default_timeout,
        )
        if each.seconds >= min(TIMEOUT_MOST, max(longest, policy.default_timeout)):
            yield _warning("unreachable", f"`{each.where.text}` comes when every request is over", each.where)


def _tasks(policy: Policy) -> Iterator[Finding]:
    for rule in policy.clauses.rules:
        on_task = any(condition.field is Field.TASK for condition in rule.where.conditions)
        if rule.action is Action.ALLOW and on_task:
            what = f"`{rule.where.text}` trusts the agent's word for its task"
            yield _warning("claimed-task", what, rule.where, "a task can narrow what is allowed; it proves nothing")


def _wider(one: Where, other: Where) -> bool:
    """Whether `one` holds at least wherever `other` does, as far as that can be seen."""
    return all(_implied(condition, other) for condition in one.conditions) and set(one.sections) <= set(other.sections)


def _implied(condition: Condition, where: Where) -> bool:
    if "*" in condition.patterns and condition.field is not Field.GROUP:
        return True
    return any(
        each.field is condition.field and set(each.patterns) <= set(condition.patterns) for each in where.conditions
    )


def _wheres(clauses: Clauses) -> Iterator[Where]:
    for name in Clauses.__slots__:
        for clause in getattr(clauses, name):
            yield clause.where


def _error(code: str, message: str, where: Where, hint: str = "") -> Finding:
    return Finding(Severity.ERROR, code, message, where.place, hint)


def _warning(code: str, message: str, where: Where, hint: str = "") -> Finding:
    return Finding(Severity.WARNING, code, message, where.place, hint)


CHECKS: tuple[Callable[[Policy], Iterator[Finding]], ...] = (
    _no_gate,
    _time_approves,
    _standing_access,
    _unknown_groups,
    _too_few,
    _unreachable,
    _late,
    _tasks,
)
