"""What people are told. Pure.

Theory of operation. A piece of news has a *brief*, which names ids, identities, targets and ratings only, and perhaps a
*detail*: what an agent or a person wrote, already made visible and with secrets covered, bounded. Channels that could
take text for markup, or turn it into links, get the detail in a form in which it cannot be either (payloads.py), or not
at all.

What people are told is an invitation to look. Nothing can be decided by it but where policy says so (slack.py), and
nothing waits for it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from bastion.control.wire import Alert, RequestInfo
from bastion.policy.visible import visible_line

DETAIL_WIDTH = 600
"""Characters of a detail. What is longer says how much was cut; the console shows all of it."""

BRIEF_WIDTH = 300
"""Characters of a brief. A Slack header takes 150, a mail's subject should have fewer than 100; both are cut there."""

Line = Callable[[str | bytes, int], str]
"""(text, width) -> visible, on one line, with the cut said: policy.visible.visible_line, or one that covers secrets."""


@dataclass(frozen=True, slots=True)
class Kind:
    """One sort of news."""

    title: str
    urgent: bool
    """It wants somebody now."""


KINDS: Mapping[str, Kind] = MappingProxyType(
    {
        "held": Kind("waiting for a decision", urgent=True),
        "escalated": Kind("escalated", urgent=True),
        "expired": Kind("denied: nobody decided in time", urgent=True),
        "emergency": Kind("somebody broke the glass", urgent=True),
        "absent": Kind("nobody watches the queue", urgent=True),
        "approved-high": Kind("something of high risk was approved", urgent=False),
        "freeze": Kind("freeze", urgent=False),
        "policy": Kind("policy", urgent=False),
        "ledger": Kind("the ledger has failed", urgent=True),
        "recorder": Kind("a recording failed", urgent=True),
        "channel": Kind("a notification channel is dead", urgent=False),
        "more": Kind("more than can be told one by one", urgent=False),
        "answer": Kind("what became of a button", urgent=False),
        "test": Kind("a test", urgent=False),
    }
)
"""Every sort of news, as `events` in `[[notify]]` names it; `more`, `answer` and `test` are not chosen."""


FROM_ALERTS: Mapping[str, str] = MappingProxyType(
    {
        "request.escalated": "escalated",
        "request.expired": "expired",
        "emergency": "emergency",
        "presence.absent": "absent",
        "freeze.set": "freeze",
        "freeze.lifted": "freeze",
        "policy.failed": "policy",
        "policy.loaded": "policy",
        "ledger.failed": "ledger",
        "recorder.failed": "recorder",
        "notify.dead": "channel",
    }
)
"""Kinds of alerts (wire.Alert) that are news."""


@dataclass(frozen=True, slots=True)
class News:
    """One thing to tell."""

    kind: str
    """Of KINDS."""
    brief: str
    """Printable ASCII."""
    detail: str = ""
    """Visible form (policy.visible); empty: nothing to add."""
    request: str = ""
    digest: str = ""
    """Of the request, for what a button would decide."""
    tier: str = ""
    score: int | None = None
    identity: str = ""
    target: str = ""
    at: int = 0
    """Microseconds since the epoch."""
    buttons: bool = False
    """Policy lets it be decided in the channel."""
    key: str = ""
    """Of what is told once only, whatever restarts in between; empty: each time is another one."""

    @property
    def title(self) -> str:
        """What sort of thing it is, in words."""
        return KINDS[self.kind].title

    @property
    def urgent(self) -> bool:
        """It wants somebody now."""
        return KINDS[self.kind].urgent


def of_request(info: RequestInfo, kind: str, line: Line = visible_line) -> News:
    """News of a request: `held` or `approved-high`."""
    risk = info.tier if info.score is None else f"risk {info.score} {info.tier}"
    votes = "1 approval" if info.approvals == 1 else f"{info.approvals} approvals"
    if kind == "held":
        tail = f"{votes} needed"
    else:
        tail = "approved by " + ", ".join(vote.by for vote in info.votes if vote.choice == "approve")
    brief = f"{info.id}: {info.identity} on {info.login}@{info.target} ({info.env}), {risk}, {tail}"
    return News(
        kind,
        plain(brief),
        line(info.command, DETAIL_WIDTH),
        request=info.id,
        digest=info.digest,
        tier=info.tier,
        score=info.score,
        identity=info.identity,
        target=info.target,
        at=info.created,
        buttons=kind == "held" and "slack" in info.unsigned and info.tier in ("low", "medium") and info.mode != "raw",
        key=f"{kind} {info.id} {info.digest}",
    )


def of_alert(alert: Alert, line: Line = visible_line) -> News | None:
    """News of an alert; None for one that is none. Its sentence can hold what people wrote, so it is the detail."""
    kind = FROM_ALERTS.get(alert.kind)
    if kind is None:
        return None
    request = _ID.search(alert.text)
    name = request[0] if request else ""
    brief = KINDS[kind].title + (f": {name}" if name else "")
    goes = _GOES.match(alert.text)  # at the beginning only: behind it people may have written anything
    key = f"{kind} {goes[0]}" if goes else f"{kind} {name}" if name and kind in ENDS else ""
    return News(kind, plain(brief), line(alert.text, DETAIL_WIDTH), request=name, at=alert.at, key=key)


ENDS = ("expired",)
"""What befalls a request once."""

_ID = re.compile(r"\br-[0-9a-f]{8}\b")
_GOES = re.compile(r"r-[0-9a-f]{8} goes to group [^\s:]+")  # as the broker says it: to each group once
_NOT_PLAIN = re.compile(r"[^A-Za-z0-9 ,:()@._/+-]")


def plain(text: str, width: int = BRIEF_WIDTH) -> str:
    """Of an alphabet that no channel takes for markup; whatever else there is becomes `?`, since a brief is no record.
    A name's @ and dots stay: payloads.defang keeps them from becoming links."""
    return _NOT_PLAIN.sub("?", text)[:width]
