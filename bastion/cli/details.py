"""A request as a person reads it before deciding: which rows there are, in which order. Pure."""

from __future__ import annotations

import time

from bastion.cli import output
from bastion.control.wire import RequestInfo
from bastion.model import NO_STDIN, RequestKind, StdinMode, Tier


def request_rows(info: RequestInfo, now: int = 0) -> list[tuple[str, str | bytes]]:
    """`(name, value)`; bytes are what the agent sent. `now` in microseconds, 0 for the clock's."""
    now = now or time.time_ns() // 1000
    rows: list[tuple[str, str | bytes]] = [
        ("request", f"{info.id} {_standing(info, now)}"),
        ("identity", f"{info.identity}, key {info.key}"),
        ("target", f"{info.login}@{info.target} ({info.env})"),
        ("session", info.session),
        ("risk", _risk(info)),
    ]
    rows += [("", reason) for reason in _reasons(info)]
    rows += [("effects", text) for text in info.effect_lines()]
    name = "push" if info.pushes else "transfer" if info.kind == RequestKind.TRANSFER else "command"
    rows += [(name, output.size_of(info.command)), ("", info.command)]
    rows += [(name, text) for name, text in _shell(info)]
    if info.script:
        rows += [("script", f"{info.script} as it is on the target: {output.size_of(info.script_code)}")]
        rows += [("", info.script_code)]
    if info.stdin in (StdinMode.GATED, StdinMode.SECRET) or info.kind in NO_STDIN:
        pass
    elif info.stdin == StdinMode.BUNDLED:
        what = "the list of refs as git sent it" if info.pushes else "code, all of it"
        rows.append(("stdin", f"{what}: {output.size_of(info.stdin_code)}"))
        if info.stdin_code:
            rows.append(("", info.stdin_code))
    else:
        rows.append(("stdin", "streamed after approval, not seen beforehand"))
    rows += [("environment", f"{name}={value}") for name, value in info.environment]
    rows += [(name, text) for name, text in (("reason", info.reason), ("rollback", info.rollback), ("task", info.task))]
    rows += [
        ("edited", f"{info.author} wrote this in place of {info.edits}" if info.author else ""),
        ("edited", f"{info.edited} is in its place" if info.edited else ""),
        ("digest", info.digest + _doubt(info)),
        ("proposal", info.proposal),
        ("held by", info.rule),
        (
            "approvals",
            f"{sum(vote.choice == 'approve' for vote in info.votes)} of {info.approvals}"
            + (f", from {' and '.join(info.approvers)}" if info.approvers else ""),
        ),
        ("escalated", f"nobody decided in time: went to {', '.join(info.escalated)}" if info.escalated else ""),
    ]
    rows += [
        ("vote", f"{vote.choice} by {vote.by}, {output.when(vote.at)}" + (f": {vote.reason}" if vote.reason else ""))
        for vote in info.votes
    ]
    rows += [("snoozed", f"by {by} until {output.when(until)}") for by, until in info.snoozed if until > now]
    rows += [("decision", info.decision_reason), ("status", info.status)]
    return [(name, text) for name, text in rows if text]


MODES = {
    "none": "nothing can be typed into it",
    "line": "each line typed into it is held by itself",
    "view": "keys that move about pass, and are recorded",
    "raw": "every key passes, and is recorded",
}
"""What may be typed into a command, by its mode."""


def _shell(info: RequestInfo) -> list[tuple[str, str | bytes]]:
    """What only an item of a governed shell has, or a command with a terminal."""
    if not info.sequence and not info.terminal:
        return []
    if info.pushes:
        return [("pushed by", f"the command of {info.parent}")]
    rows: list[tuple[str, str | bytes]] = [
        ("shell", f"item {info.sequence}, in {info.cwd or 'a directory without a name'}")
        if info.sequence
        else ("terminal", info.terminal)
    ]
    if info.parent:
        rows.append(("typed into", f"the command of {info.parent}"))
    else:
        rows.append(("mode", f"{info.mode}: {MODES.get(info.mode, 'not known here')}"))
    return rows + [(name, text.encode()) for name, text in info.context]


UNDO = {"yes": ", can be undone", "partly": ", can partly be undone", "no": ", cannot be undone"}


def _risk(info: RequestInfo) -> str:
    """`86 high, cannot be undone`; of what is low there is nothing to undo."""
    words = info.tier if info.score is None else f"{info.score} {info.tier}"
    return words + (UNDO.get(info.reversible, "") if info.score and info.tier != Tier.LOW else "")


def _reasons(info: RequestInfo) -> list[str]:
    """Each with what it adds to the score, when that is known."""
    if len(info.weights) != len(info.reasons):
        return list(info.reasons)
    return [
        f"+{weight} {reason}" if weight else reason for weight, reason in zip(info.weights, info.reasons, strict=True)
    ]


def _standing(info: RequestInfo, now: int) -> str:
    if info.state != "held":
        return f"{info.state}, {output.when(info.decided)}" if info.decided else info.state
    left = info.expires - now
    agent = "" if info.attached else ", the agent has gone: an approval becomes a ticket"
    return f"held, {output.span(left)} left{agent}" if left > 0 else f"held, expiring{agent}"


def _doubt(info: RequestInfo) -> str:
    """What is wrong with the digest, said beside it."""
    try:
        own = info.to_model().digest
    except ValueError:
        return " (CANNOT BE CHECKED: a kind of request that this release does not know)"
    return "" if own == info.digest else " (DIFFERS from what is shown here: do not decide)"
