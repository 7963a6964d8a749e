"""The request that an approver makes from an agent's by writing another command. Pure.

It is a new request: judged anew, with a digest over the new bytes, which approvers sign as any other. It runs as the
agent, where the agent's would have run, within the time that was left, and its outcome is what the agent is told. It is
always held, whatever policy would let an agent do unasked: somebody signs the bytes that run.

Its author may give one of its approvals. So where one is needed, "edit and approve" is one person's act; where it is of
high risk, or of a higher tier than what the agent asked for, somebody else has to agree, even if policy asks for one.

An agent's stdin that is streamed was seen by nobody. A new command that may take code from it gets none at all: what
is hashed and sent is an empty stdin.

What the agent's shell said of the old words is left out, and so is the glass that somebody broke for the old command.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from bastion.errors import Conflict, UsageError
from bastion.gate.modes import asked_for
from bastion.gate.shell_item import ITEM_LIMIT
from bastion.model import COMMAND_LIMIT, Assessment, Request, RequestKind, StdinMode, Tier, TtyMode, Verdict
from bastion.policy.complete import Reader
from bastion.policy.judge import Judgement, restate
from bastion.policy.transfers import pushes_to

EDITABLE = frozenset({RequestKind.EXEC, RequestKind.LINE})
"""A line for a program, a password, a grant or a transfer is denied and asked for anew."""

HEIGHT = (Tier.LOW, Tier.MEDIUM, Tier.UNRATED, Tier.HIGH)
"""Tiers, the lowest first."""

LONE_MOST = Tier.MEDIUM
"""The highest tier of which an author's approval alone can be enough."""


def draft(
    original: Request,
    command: bytes,
    *,
    request_id: str,
    author: str,
    now: int,
    assess: Callable[..., Assessment],
    reads_code: Callable[[bytes], str | None],
    script: tuple[str, bytes] = ("", b""),
) -> Request:
    """The new request, not judged yet. `script`: the file on the target that the new command runs, and what it holds.

    Raises UsageError for a command that cannot stand there; what policy denies is the judgement's matter.
    """
    _check(original, command)
    stdin = original.stdin
    if original.kind is RequestKind.LINE:
        found = assess(command, terminal=bool(original.terminal), cwd=original.cwd)
        mode = asked_for(command) if original.terminal else TtyMode.NONE
    else:
        found = assess(command, original.stdin_code, terminal=bool(original.terminal))
        mode = asked_for(command) if original.terminal else TtyMode.NONE
        if stdin is StdinMode.STREAM and reads_code(command) is not None:
            stdin = StdinMode.BUNDLED
        if pushes_to(command):
            stdin = StdinMode.GATED
        elif stdin is StdinMode.GATED:  # the agent speaks git's protocol, which is of no use to anything else
            stdin = StdinMode.BUNDLED
    return replace(
        original,
        id=request_id,
        command=command,
        emergency="",
        assessment=found,
        created=now,
        stdin=stdin,
        mode=mode,
        context=(),
        script=script[0],
        script_code=script[1],
        author=author,
        edits=original.id,
        answers=original.answers or original.likeness,
    )


def terms(original: Request, drafted: Request, judgement: Judgement) -> Judgement:
    """What policy says of the draft, made stricter: held, by so many, within the time that was left.

    Raises Conflict when there is none left.
    """
    if judgement.verdict is Verdict.DENY:
        return judgement
    left = (original.expires - drafted.created) // 1_000_000
    if left <= 0:
        raise Conflict(f"request {original.id} is expired already")
    before, after = original.assessment.tier, drafted.assessment.tier
    lone = HEIGHT.index(after) <= min(HEIGHT.index(LONE_MOST), HEIGHT.index(before))
    return restate(
        judgement,
        drafted,
        verdict=Verdict.HOLD,
        reason=f"{drafted.author} edited what {original.identity} asked for",
        approvals=max(judgement.approvals, 1 if lone else 2),
        timeout=min(judgement.timeout, left),
        emergency=False,
        unsigned=(),
    )


def _check(original: Request, command: bytes) -> None:
    if original.kind not in EDITABLE:
        raise UsageError(f"what is asked for as {original.kind} cannot be edited", "deny it, and say what to ask for")
    if command == original.command:
        raise UsageError("nothing was changed", "approve it as it is")
    if not command.strip():
        raise UsageError("the command is empty", "deny the request")
    if b"\0" in command:
        raise UsageError("a command has no NUL byte")
    limit = COMMAND_LIMIT if original.kind is RequestKind.EXEC else ITEM_LIMIT
    if len(command) > limit:
        raise UsageError(f"a command has at most {limit:,} bytes here, this one {len(command):,}")
    if original.kind is RequestKind.LINE:
        reader, more = Reader(), ""
        for line in command.decode("utf-8", "surrogateescape").split("\n"):
            more = reader.open(line)
        if more:
            raise UsageError("the shell would wait for more: the command is not whole")
