"""The verdict on one request: ALLOW, HOLD or DENY. Pure.

Until the policy language lands there is one rule for everybody: what cannot be run is denied, an exact command that an
approver whitelisted is allowed, everything else is held for approval. Nothing here falls through to ALLOW: the only
way to it is an entry of the whitelist (policy/whitelist.py) for this identity, target and login.
"""

from __future__ import annotations

from dataclasses import dataclass

from bastion.directory import Directory
from bastion.model import COMMAND_LIMIT, Request, Verdict
from bastion.policy.admission import obstacle
from bastion.policy.whitelist import find


@dataclass(frozen=True, slots=True)
class Judgement:
    """What policy says of one request, and why."""

    verdict: Verdict
    digest: str
    """Of the request that was judged: a verdict is good for nothing else."""
    rule: str
    """What decided: `default`, `whitelist w-…`, `grant`, `freeze f-…`, `limit`, `bytes`."""
    reason: str
    """One sentence; with DENY the agent gets it."""


def judge(request: Request, directory: Directory, now: int) -> Judgement:
    """The verdict on `request` at `now` (microseconds since the epoch, never going back)."""

    def say(verdict: Verdict, rule: str, reason: str) -> Judgement:
        return Judgement(verdict, request.digest, rule, reason)

    if len(request.command) > COMMAND_LIMIT:
        return say(
            Verdict.DENY, "limit", f"a command has at most {COMMAND_LIMIT:,} bytes, this one {len(request.command):,}"
        )
    if not request.command.strip():
        return say(Verdict.DENY, "bytes", "the command is empty")
    if b"\0" in request.command:
        # sshd reads the command as a C string and drops the connection on a NUL (RFC 4254 section 6.5 allows it).
        return say(Verdict.DENY, "bytes", "a command with a NUL byte cannot be handed to a shell")
    blocked = obstacle(directory, request.kind, request.identity, request.target, now)
    if blocked is not None:
        return say(blocked.verdict, blocked.rule, blocked.reason)
    known = find(directory, request, now)
    if known is not None:
        return say(Verdict.ALLOW, f"whitelist {known.id}", f"whitelisted by {known.by}")
    return say(Verdict.HOLD, "default", "everything is held that is not whitelisted")
