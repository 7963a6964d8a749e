"""The clauses of a policy, one function each: what may stand behind the word, and the clause that it comes to. Pure.

What a section *forbids* by block_paths, block_categories and max_files is forbidden whatever the request calls itself:
otherwise an agent would leave the section by naming its work differently.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from bastion.policy.cursor import (
    Around,
    Cursor,
    duration,
    group_name,
    moment,
    number,
    selectors_of,
    texts,
    true_or_false,
    where_of,
)
from bastion.policy.forwards import NotADestination
from bastion.policy.forwards import parse as parse_destination
from bastion.policy.rules import (
    APPROVALS_MOST,
    CHATS,
    DAY,
    FORWARD_MOST,
    FORWARD_SECONDS,
    TIMEOUT_LEAST,
    TIMEOUT_MOST,
    WHEN_ABSENT,
    Accept,
    Action,
    Approvals,
    BreakGlass,
    Escalation,
    Forward,
    Freeze,
    GrantRule,
    Limit,
    LimitKind,
    Mask,
    Recording,
    Requirement,
    Rule,
    Selector,
    Timeout,
)
from bastion.policy.vocabulary import nearest, vocabulary

_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")

Clause = (
    Rule
    | Approvals
    | Timeout
    | Escalation
    | Accept
    | Limit
    | Freeze
    | Requirement
    | GrantRule
    | BreakGlass
    | Recording
    | Mask
    | Forward
)


def _rule(cursor: Cursor, around: Around) -> Clause:
    where = where_of(cursor, around)
    selectors = selectors_of(cursor)
    cursor.end("`,` or the end of the statement")
    return Rule(where, Action(cursor.statement.word), selectors)


def _block_paths(cursor: Cursor, around: Around) -> Clause:
    paths = texts(cursor, "a path pattern in quotes")
    where = where_of(cursor, Around(around.conditions))
    return Rule(where, Action.DENY, tuple(Selector("path", path) for path in paths))


def _block_categories(cursor: Cursor, around: Around) -> Clause:
    where = where_of(cursor, Around(around.conditions))
    known = vocabulary().categories
    names = []
    while True:
        token = cursor.peek()
        name = cursor.take("WORD", f"a category: {', '.join(sorted(known))}")
        if name not in known and token is not None:
            raise token.place.error(f"found `{name}`; expected a category", nearest(name, known))
        names.append(Selector(name))
        if not cursor.comma():
            break
    cursor.end("`,` or the end of the statement")
    return Rule(where, Action.DENY, tuple(names))


def _require_approval(cursor: Cursor, around: Around) -> Clause | None:
    where = where_of(cursor, around)
    if true_or_false(cursor):
        return Rule(where, Action.HOLD, (Selector("anything"),))
    return None


def _max_files(cursor: Cursor, around: Around) -> Clause:
    most = number(cursor, 1, 1_000_000)
    cursor.end()
    return Limit(where_of(cursor, Around(around.conditions)), LimitKind.FILES, most, 0)


def _max_targets(cursor: Cursor, around: Around) -> Clause:
    most = number(cursor, 1, 10_000)
    seconds = duration(cursor, 60, DAY) if cursor.word("per") else DAY
    cursor.end("`per` and a time, or the end of the statement")
    return Limit(where_of(cursor, around), LimitKind.TARGETS, most, seconds)


def _blast_radius(cursor: Cursor, around: Around) -> Clause:
    most = 1 if cursor.word("single_host") else 0
    token = cursor.peek()
    if not most and token is not None and token.kind == "NUMBER":
        most = number(cursor, 1, 10_000)
    if not most:
        raise cursor.fail("`single_host`, or how many targets")
    cursor.end()
    return Limit(where_of(cursor, around), LimitKind.TARGETS, most, DAY)


def _rate(cursor: Cursor, around: Around) -> Clause:
    most = number(cursor, 1, 10_000)
    if not cursor.word("per"):
        raise cursor.fail("`per` and a time")
    seconds = duration(cursor, 1, DAY)
    cursor.end()
    return Limit(where_of(cursor, around), LimitKind.REQUESTS, most, seconds)


def _approvals(cursor: Cursor, around: Around) -> Clause:
    count = number(cursor, 1, APPROVALS_MOST)
    group = group_name(cursor) if cursor.word("from") else ""
    selectors = selectors_of(cursor) if cursor.word("for") else ()
    cursor.end("`from` and a group, `for` and what is done, or the end of the statement")
    return Approvals(where_of(cursor, around), count, group, selectors)


def _timeout(cursor: Cursor, around: Around) -> Clause:
    where = where_of(cursor, around)
    if cursor.word("approve"):
        cursor.end()
        return Timeout(where, 0, (), approves=True)
    cursor.word("deny")  # what it does anyway
    seconds = duration(cursor, TIMEOUT_LEAST, TIMEOUT_MOST)
    selectors = selectors_of(cursor) if cursor.word("for") else ()
    cursor.end("`for` and what is done, or the end of the statement")
    return Timeout(where, seconds, selectors)


def _accept(cursor: Cursor, around: Around) -> Clause:
    chat = next((each for each in CHATS if cursor.word(each)), "")
    if not chat:
        raise cursor.fail(f"one of {', '.join(CHATS)}")
    selectors = selectors_of(cursor) if cursor.word("for") else ()
    cursor.end("`for` and what is done, or the end of the statement")
    return Accept(where_of(cursor, around), chat, selectors)


def _escalate(cursor: Cursor, around: Around) -> Clause:
    if cursor.word("when"):
        if not cursor.word("absent"):
            raise cursor.fail("`absent`")
        seconds = WHEN_ABSENT
    elif cursor.word("after"):
        seconds = duration(cursor, 1, TIMEOUT_MOST)
    else:
        raise cursor.fail("`after` and a time, or `when absent`")
    if not cursor.word("to"):
        raise cursor.fail("`to` and a group")
    group = group_name(cursor)
    cursor.end()
    return Escalation(where_of(cursor, around), seconds, group)


def _require(cursor: Cursor, around: Around) -> Clause:
    what = next((word for word in ("reason", "rollback", "task") if cursor.word(word)), "")
    if not what:
        raise cursor.fail("`reason`, `rollback` or `task`")
    token = cursor.peek()
    pattern = cursor.take("TEXT", "") if token is not None and token.kind == "TEXT" else "*"
    selectors = selectors_of(cursor) if cursor.word("for") else ()
    cursor.end("a pattern in quotes, `for` and what is done, or the end of the statement")
    return Requirement(where_of(cursor, around), what, pattern, selectors)


def _freeze(cursor: Cursor, around: Around) -> Clause:
    where = where_of(cursor, around)
    reason = cursor.take("TEXT", "the reason in quotes, which agents are told")
    days: set[int] = set()
    if cursor.word("on"):
        while True:
            token = cursor.peek()
            day = cursor.take("WORD", f"a day: {', '.join(_DAYS)}")
            if day not in _DAYS and token is not None:
                raise token.place.error(f"found `{day}`; expected a day", f"one of {', '.join(_DAYS)}")
            days.add(_DAYS.index(day))
            if not cursor.comma():
                break
    if not cursor.word("from"):
        if not days:
            raise cursor.fail("`from` and a time, or `on` and days")
        cursor.end("`,`, `from` or the end of the statement")
        return Freeze(where, reason, days=frozenset(days))
    begins, once = moment(cursor)
    if not cursor.word("to"):
        raise cursor.fail("`to` and a time")
    ends, once_too = moment(cursor)
    cursor.end()
    if once != once_too or (once and days) or begins == ends or (once and ends < begins):
        raise where.place.error(
            'expected two different times of day ("22:00"), or two moments, the first one first, without days'
        )
    if once:
        return Freeze(where, reason, begins, ends)
    return Freeze(where, reason, days=frozenset(days), minutes=(begins, ends))


def _grant(cursor: Cursor, around: Around) -> Clause:
    where = where_of(cursor, around)
    if not cursor.word("required", "optional"):
        raise cursor.fail("`required` or `optional`")
    required = cursor.statement.values[0].text == "required"
    longest = duration(cursor, 60, 30 * DAY) if cursor.word("for") else 0
    cursor.end("`for` and the longest time, or the end of the statement")
    return GrantRule(where, required, longest)


def _break_glass(cursor: Cursor, around: Around) -> Clause:
    group = group_name(cursor)
    cursor.end()
    return BreakGlass(where_of(cursor, around), group)


def _forward(cursor: Cursor, around: Around) -> Clause:
    if around.sections:
        raise cursor.statement.place.error("found `forward` in a section; expected it outside: it names what is done")
    places = []
    while True:
        text = cursor.take("TEXT", "a destination in quotes: HOST:PORT or [IPv6]:PORT")
        try:
            places.append(parse_destination(text))
        except NotADestination as error:
            cursor.at -= 1
            raise cursor.fail("a destination in quotes: HOST:PORT or [IPv6]:PORT", str(error)) from None
        if not cursor.comma():
            break
    seconds = duration(cursor, 60, FORWARD_MOST) if cursor.word("for") else FORWARD_SECONDS
    cursor.end("`,`, `for` and the longest time, or the end of the statement")
    return Forward(where_of(cursor, around), tuple(places), seconds)


def _recording(cursor: Cursor, around: Around) -> Clause:
    if not cursor.word("required"):
        raise cursor.fail("`required`")
    cursor.end()
    return Recording(where_of(cursor, around))


def _mask(cursor: Cursor, around: Around) -> Clause:
    if not cursor.word("secrets"):
        raise cursor.fail("`secrets`")
    cursor.end()
    return Mask(where_of(cursor, around))


STATEMENTS: Mapping[str, Callable[[Cursor, Around], Clause | None]] = {
    **dict.fromkeys(("allow", "hold", "deny", "never"), _rule),
    "block_paths": _block_paths,
    "block_categories": _block_categories,
    "require_approval": _require_approval,
    "max_files": _max_files,
    "max_targets": _max_targets,
    "blast_radius": _blast_radius,
    "rate": _rate,
    "approvals": _approvals,
    "timeout": _timeout,
    "accept": _accept,
    "escalate": _escalate,
    "require": _require,
    "freeze": _freeze,
    "grant": _grant,
    "break_glass": _break_glass,
    "recording": _recording,
    "mask": _mask,
    "forward": _forward,
}
"""By the word that each begins with."""

SLOTS: Mapping[type[Clause], str] = {
    Rule: "rules",
    Approvals: "approvals",
    Timeout: "timeouts",
    Escalation: "escalations",
    Accept: "accepts",
    Limit: "limits",
    Freeze: "freezes",
    Requirement: "requirements",
    GrantRule: "grants",
    BreakGlass: "break_glass",
    Recording: "recordings",
    Mask: "masks",
    Forward: "forwards",
}
"""Where each stands in rules.Clauses."""
