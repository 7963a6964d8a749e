"""`bastion request`: what agents ask for, and deciding it."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING

import click

from bastion.cli import output, queueing, reach
from bastion.cli.options import REVEAL, Settings, remote_verb
from bastion.errors import BastionError, Conflict, NotAllowed, UsageError

if TYPE_CHECKING:
    from bastion.control.client import Client
    from bastion.control.wire import ProposalInfo, RequestInfo
    from bastion.model import Choice

STATES = ("held", "approved", "denied", "expired", "withdrawn", "allowed", "refused")

LIST_LIMIT = 200
"""Ended requests that `list` shows; the protocol's own default."""


@click.group("request")
def command() -> None:
    """What agents ask for, and deciding it. An ID may be shortened while it is unique."""


for verb in (queueing.edit, queueing.escalate, queueing.snooze, queueing.background):
    command.add_command(verb)


@command.command("list")
@click.option("--state", type=click.Choice(STATES), help="Only those in this state.")
@click.option("--limit", type=click.IntRange(0, 1000), default=LIST_LIMIT, show_default=True, help="Ended ones.")
@click.option("--identical", metavar="ID", help="Only those that are held and the same as this one in all but times.")
@remote_verb
def list_(settings: Settings, state: str | None, limit: int, identical: str | None) -> None:
    """List requests, the newest last: all that are held, and the newest that ended. Secrets are covered."""

    async def work() -> list[RequestInfo]:
        async with reach.source(settings) as source:
            if identical is None:
                return await source.requests(state or "", limit)
            from bastion.control.identical import identical as same_as

            wanted = await source.request(identical)
            return same_as(wanted, await source.requests("held", 0))

    rows = reach.run(work())
    if settings.json:
        output.as_json([output.structure(row) for row in rows])
        return
    output.table(
        ("ID", "STATE", "CREATED", "WHO", "WHERE", "RISK", "COMMAND"),
        [
            (row.id, row.state, output.when(row.created), row.identity, place(row), risk(row), row.command)
            for row in rows
        ],
    )


@command.command("show")
@click.argument("request", metavar="ID")
@REVEAL
@remote_verb
def show(settings: Settings, request: str, reveal: bool) -> None:
    """Show one request: the complete command, and all that a decision binds.

    A secret in it is covered by its kind, its length and a hash, so that two that differ look different.
    """
    from bastion.covering import revealing

    async def work() -> RequestInfo:
        async with reach.source(settings) as source:
            return await source.request(request, reveal=reveal)

    info = reach.run(work())
    with revealing(reveal):
        if settings.json:
            output.as_json(output.structure(info))
        else:
            describe(info)


@command.command("approve")
@click.argument("request", metavar="ID")
@click.option("--reason", default="", help="Why; stands in the ledger and on the agent's stderr.")
@click.option(
    "--mode", type=click.Choice(["none", "line", "view", "raw"]), help="What may be typed into it once it runs."
)
@click.option(
    "--remember", is_flag=False, flag_value="exact", metavar="[exact|PATTERN]",
    help="Put it on the whitelist, too: exactly, or as a pattern such as 'docker restart {container}'.",
)  # fmt: skip
@click.option("--everywhere", is_flag=True, help="With --remember: on all targets of its environment.")
@click.option("--identical", is_flag=True, help="And each held request that is the same in all that is judged.")
@click.option(
    "--for", "lasting", metavar="5m", help="How long keys pass (--mode view or raw), or it is remembered (--remember)."
)
@remote_verb
def approve(
    settings: Settings,
    request: str,
    reason: str,
    mode: str | None,
    remember: str | None,
    everywhere: bool,
    identical: bool,
    lasting: str | None,
) -> None:
    """Show a request, then approve it with your key's signature over exactly what was shown.

    With --identical all held requests of the same agent that differ in nothing but their ids and times are listed and
    approved, too, at most 12, with a signature for each. `bastion request list --identical ID` only lists them.

    With --remember the same command, or one of the pattern, runs without being held once it is approved; where it may
    not be remembered at all, nothing is approved. `--remember=` with no text lists what may be, and decides nothing.
    """
    from bastion.model import Choice

    if identical:
        if (mode, remember, lasting) != (None, None, None) or everywhere:
            raise UsageError("--identical goes with no --mode, --remember or --for")
        from bastion.cli.bulk import approve_each

        approve_each(settings, request, reason)
        return
    if remember is None:
        if everywhere:
            raise UsageError("--everywhere goes with --remember")
        decide(settings, request, Choice.APPROVE, reason, mode or "", _seconds(mode, lasting))
        return
    if mode is not None:
        raise UsageError("--mode is for a shell, whose lines are not remembered")
    from bastion.cli.whitelist import expiry

    if not remember:
        suggest(settings, request)
    else:
        memory = Memory("" if remember == "exact" else remember, expiry(lasting), everywhere)
        decide(settings, request, Choice.APPROVE, reason, memory=memory)


@command.command("deny")
@click.argument("request", metavar="ID")
@click.option("--reason", required=True, help="Why; the agent is told.")
@remote_verb
def deny(settings: Settings, request: str, reason: str) -> None:
    """Show a request, then deny it with your key's signature."""
    from bastion.model import Choice

    decide(settings, request, Choice.DENY, reason)


@command.command("watch")
@click.option("--desktop", is_flag=True, help="Show on this desktop, too, what is held and what else wants somebody.")
@remote_verb
def watch(settings: Settings, desktop: bool) -> None:
    """Print each request as it comes and each time it changes, until interrupted."""

    async def work() -> None:
        from types import NoneType

        from bastion.cli.bubbles import showing
        from bastion.control import wire

        async with showing(wanted=desktop) as bubbles, reach.daemon(settings, why="watching takes one") as client:
            await client.call(wire.Subscribe, NoneType)
            async for push in client.pushes():
                if bubbles is not None:
                    bubbles.hear(push)
                if isinstance(push, wire.RequestChanged):
                    line(settings, push.request)

    reach.run(work())


def _seconds(mode: str | None, lasting: str | None) -> int:
    if lasting is None:
        return 0
    from bastion.settings import parse_duration

    if mode not in ("view", "raw"):
        raise UsageError("--for goes with --mode view or raw")
    try:
        return parse_duration(lasting)
    except ValueError as error:
        raise UsageError(f"--for {lasting!r}: {error}") from None


@dataclass(frozen=True, slots=True)
class Memory:
    """What shall be remembered of an approved request."""

    pattern: str
    """Empty: exactly it."""
    expires: int | None
    everywhere: bool


def suggest(settings: Settings, wanted: str) -> None:
    """What may be remembered of a request."""

    async def work() -> ProposalInfo:
        from bastion.control import wire

        async with reach.deciding(settings) as client:
            info = await client.call(wire.ShowRequest, wire.RequestInfo, request=wanted)
            return await client.propose(request=info.id)

    proposal = reach.run(work())
    if proposal.refused:
        raise NotAllowed(proposal.refused)
    rows = [(each.words, each.pattern or proposal.command) for each in proposal.candidates]
    output.table(("WHAT", "PATTERN"), rows)


async def may_keep(client: Client, info: RequestInfo, memory: Memory) -> ProposalInfo:
    """What may be remembered of what was shown; before it is approved. Raises NotAllowed, Conflict, UsageError."""
    from bastion.policy.pattern import PatternError
    from bastion.policy.risk import loaded
    from bastion.policy.whitelist import checked

    proposal = await client.propose(request=info.id)
    same = (proposal.command, proposal.identity, proposal.target, proposal.login)
    if same != (info.command, info.identity, info.target, info.login):
        raise Conflict("what may be remembered is not what was shown", "nothing was approved")
    if proposal.refused:
        raise NotAllowed(f"nothing was approved: {proposal.refused}", "approve it without --remember")
    try:
        if memory.pattern:
            checked(info.command, memory.pattern, loaded().assess(info.command, info.stdin_code))
    except PatternError as error:
        raise UsageError(f"nothing was approved: {error}") from None
    return proposal


async def keep(client: Client, info: RequestInfo, proposal: ProposalInfo, memory: Memory) -> None:
    """Remember it, now that it is approved. Raises NotAllowed, which says that it is."""
    if info.state != "approved":
        raise NotAllowed("your approval counts, and nothing was remembered: somebody else has to approve it, too")
    try:
        entry = await client.remember(
            proposal, pattern=memory.pattern, everywhere=memory.everywhere, expires=memory.expires
        )
    except BastionError as error:
        raise NotAllowed(f"{info.id} is approved, and was not remembered: {error.message}", error.hint) from None
    words = f"{entry.id}: {entry.pattern or 'exactly this'}"
    output.say(f"remembered {output.shown(words)}", file=sys.stderr)


def decide(
    settings: Settings,
    wanted: str,
    choice: Choice,
    reason: str,
    mode: str = "",
    seconds: int = 0,
    memory: Memory | None = None,
) -> None:
    """Show, sign, cast; over what was fetched once, so that nothing else can be signed than what was shown."""

    async def work() -> RequestInfo:
        from bastion.control import wire

        async with reach.deciding(settings) as client:
            info = await client.call(wire.ShowRequest, wire.RequestInfo, request=wanted)
            describe(info, file=sys.stderr if settings.json else sys.stdout)
            proposal = await may_keep(client, info, memory) if memory is not None else None
            after = await client.vote(info, choice, reason, mode, seconds)
            if memory is not None and proposal is not None:
                await keep(client, after, proposal, memory)  # last: a vote that does not count lets nothing through
            return after

    info = reach.run(work())
    if settings.json:
        output.as_json(output.structure(info))
        return
    vote = info.votes[-1]
    missing = info.approvals - sum(each.choice == "approve" for each in info.votes)
    rest = f", {missing} more needed" if info.state == "held" else ""
    output.say(f"{'approved' if vote.choice == 'approve' else 'denied'} {info.id} by {output.shown(vote.by)}{rest}")


def line(settings: Settings, info: RequestInfo) -> None:
    """One change, on one line."""
    if settings.json:
        output.stream(output.to_json(output.structure(info)))
        return
    from bastion.covering import visible_line

    state = f"{info.state} ({output.shown(info.status)})" if info.status else info.state
    words = f"{output.when(info.decided or info.created)}  {info.id}  {state:9}  {risk(info)}  "
    where = output.shown(f"{info.identity} -> {info.login}@{info.target}")
    output.stream(f"{words}{where}  {visible_line(info.command, output.room(len(words) + len(where) + 2))}")


def place(info: RequestInfo) -> str:
    """Where it would run."""
    return f"{info.login}@{info.target}"


def risk(info: RequestInfo) -> str:
    """`46 medium`, or `unrated`."""
    return info.tier if info.score is None else f"{info.score} {info.tier}"


def describe(info: RequestInfo, *, file: IO[str] | None = None) -> None:
    """Everything that an approver decides by; nothing of it is cut."""
    from bastion.cli.details import request_rows
    from bastion.covering import visible

    last = ""
    for name, text in request_rows(info):
        lines = visible(text).split("\n") if isinstance(text, bytes) else [output.shown(text)]
        if output.PLAIN.get():
            last = name or last
            for line in lines:
                if line:
                    output.say(f"{last}: {line}", file=file)
            continue
        output.say(f"{name:12}{lines[0]}", file=file)
        for more in lines[1:]:
            if more:
                output.say(f"{'':12}{more}", file=file)
