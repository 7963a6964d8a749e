"""What the agent is told, on stderr: one line a state change, starting `bastion:`, or JSON. Pure.

An agent is a program that reads these lines, so their words are part of the product: the first word after `bastion:`
is the kind of notice and does not change, and `BASTION_OUTPUT=json` gives the same facts as one JSON object a line.
Text that stems from a command or a person is made visible first: a notice never carries a raw control character.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field

from bastion.model import Assessment, Decision, Request, State
from bastion.policy.visible import visible, visible_line

EXIT_DENIED = 126
EXIT_EXPIRED = 124
EXIT_BASTION = 125
EXIT_LATER = 75
EXIT_INTERRUPTED = 130
"""Exit statuses of the bastion's own: denied or refused; expired; it could not do its part; held, come back
(EX_TEMPFAIL of sysexits.h); interrupted while held (128 + SIGINT, as shells have it)."""


SENTENCES = frozenset({"refused", "error", "ended", "reading"})
"""Kinds whose text is a sentence of its own, and stands behind a colon."""


@dataclass(frozen=True, slots=True)
class Notice:
    """One line to the agent."""

    kind: str
    text: str
    """The rest of the line, made visible."""
    facts: dict[str, object] = field(default_factory=dict)
    """Beside the text, for JSON."""


def line(notice: Notice, *, as_json: bool) -> bytes:
    """The notice as it goes out."""
    if as_json:
        return json.dumps({"bastion": notice.kind, "text": notice.text, **notice.facts}).encode() + b"\n"
    between = ": " if notice.kind in SENTENCES else " "
    return f"bastion: {notice.kind}{between}{notice.text}".rstrip().encode() + b"\n"


def risk(assessment: Assessment) -> str:
    """`risk 46 medium: restarts a service`, within about a line."""
    reason = visible_line(assessment.reasons[0], 60) if assessment.reasons else ""
    score = "" if assessment.score is None else f" {assessment.score}"
    return f"risk{score} {assessment.tier}" + (f": {reason}" if reason else "")


def held(request: Request, seconds: int) -> Notice:
    """The request waits for a person."""
    votes = "1 approval" if request.approvals == 1 else f"{request.approvals} approvals"
    return Notice(
        "held",
        f"{request.id}  {risk(request.assessment)}  ({votes}, {seconds} s)",
        {
            "request": request.id,
            "score": request.assessment.score,
            "tier": request.assessment.tier.value,
            "reasons": [visible(reason) for reason in request.assessment.reasons],
            "approvals": request.approvals,
            "seconds": seconds,
        },
    )


def attached(request: Request) -> Notice:
    """The identical request of an earlier client is taken up again."""
    return Notice("held", f"{request.id}  attached to the request held before", {"request": request.id})


def edited(request: Request) -> Notice:
    """An approver put another command in the place of the one that was asked for: its outcome is the answer."""
    by, command = visible(request.author, newlines=False), visible_line(request.command, 400)
    return Notice(
        "edited",
        f"{request.id}  by {by}, in place of {request.edits}: {command}",
        {
            "request": request.id,
            "by": request.author,
            "instead_of": request.edits,
            "command": visible(request.command),
        },
    )


def ticket(request: Request, by: tuple[str, ...]) -> Notice:
    """The identical request was approved while nobody waited for it."""
    names = visible(", ".join(by), newlines=False)
    return Notice("approved", f"by {names} before, used now: {request.id}", {"request": request.id, "by": list(by)})


def still_held(request: Request, seconds: int, of: int) -> Notice:
    """Progress, so that no client sees a hang without a word."""
    return Notice(
        "waiting", f"{request.id}  {seconds} s of {of} s", {"request": request.id, "seconds": seconds, "of": of}
    )


def later(request: Request) -> Notice:
    """BASTION_WAIT=no: the agent need not stay."""
    return Notice(
        "later", f"{request.id}  is held: run the same command again to attach to it", {"request": request.id}
    )


def approved(request: Request, by: tuple[str, ...], seconds: float) -> Notice:
    """A person said yes."""
    names = visible(", ".join(by), newlines=False)
    return Notice("approved", f"by {names} after {seconds:.0f} s", {"request": request.id, "by": list(by)})


def denied(request: Request, by: str, reason: str) -> Notice:
    """A person said no; the agent learns why."""
    why = visible_line(reason, 400) if reason else "no reason given"
    return Notice(
        "denied",
        f"by {visible(by, newlines=False)}: {why}",
        {"request": request.id, "by": by, "reason": visible(reason)},
    )


def expired(request: Request, seconds: int) -> Notice:
    """Nobody decided in time; time never approves (P7)."""
    return Notice(
        "expired", f"{request.id}  nobody decided within {seconds} s, so it did not run", {"request": request.id}
    )


def shell_lost(request: Request, status: int) -> Notice:
    """The shell that this line started ended by itself: what was typed for it goes nowhere."""
    return Notice(
        "left",
        f"{request.id}  its shell ended by itself, status {status}; what was typed for it is dropped",
        {"request": request.id, "status": status},
    )


def by_lines(request: Request) -> Notice:
    """The command may be a shell, and it is not governed."""
    return Notice(
        "lines",
        f"{request.id}  what it starts is not governed as a shell: each line for it is held by itself",
        {"request": request.id},
    )


def withdrawn(request: Request, reason: str) -> Notice:
    """The request was taken back."""
    return Notice("withdrawn", f"{request.id}  {visible_line(reason, 200)}", {"request": request.id})


def refusal(request: Request, decision: Decision) -> tuple[Notice, int]:
    """What is said of a decision that was no approval, and the status that goes with it."""
    match decision.state:
        case State.DENIED:
            return denied(request, ", ".join(decision.by), decision.reason), EXIT_DENIED
        case State.EXPIRED:
            return expired(request, request.seconds), EXIT_EXPIRED
        case _:
            return withdrawn(request, decision.reason), EXIT_BASTION


def refused(reason: str) -> Notice:
    """Policy or the channel table says no, without a person."""
    return Notice("refused", visible_line(reason, 400))


def failed(reason: str) -> Notice:
    """The bastion could not do its part."""
    return Notice("error", visible_line(reason, 400))


def collecting(reason: str) -> Notice:
    """The command reads code from stdin, which is read first."""
    return Notice("reading", f"stdin to its end first: {visible_line(reason, 200)}")


def window(request: Request, mode: str, seconds: int) -> Notice:
    """Keys pass to the command from now on."""
    return Notice(
        "keys",
        f"{request.id}  {mode}: keys pass for {seconds} s, and are recorded",
        {"request": request.id, "mode": mode, "seconds": seconds},
    )


def window_over(request: Request, reason: str) -> Notice:
    """No key passes any more."""
    return Notice(
        "lines", f"{request.id}  {visible_line(reason, 200)}: from here on line by line", {"request": request.id}
    )


def kept(request: Request, reason: str) -> Notice:
    """The daemon stops; the request does not."""
    words = f"{request.id}  stays held while {visible_line(reason, 200)}: run the same command again to attach to it"
    return Notice("later", words, {"request": request.id})


def cut(reason: str) -> Notice:
    """A person or the daemon ended the session."""
    return Notice("ended", visible_line(reason, 200))
