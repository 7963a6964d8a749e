"""`bastion request edit`, `escalate`, `snooze`, `background`: what to do with a held request beside deciding it."""

from __future__ import annotations

import sys
import time
from typing import IO, TYPE_CHECKING

import click

from bastion.cli import output, reach
from bastion.cli.options import Settings, remote_verb
from bastion.errors import NotAllowed, UsageError

if TYPE_CHECKING:
    from bastion.control.wire import RequestInfo


@click.command("edit")
@click.argument("request", metavar="ID")
@click.option("--command", "text", metavar="TEXT", help="The command that shall run in its place.")
@click.option("--file", "file", type=click.File("rb"), help="The same, from a file, byte for byte; - is stdin.")
@click.option("--reason", default="", help="Why; stands in the ledger.")
@click.option("--try", "only_try", is_flag=True, help="Only show how it would be judged.")
@click.option("--no-approve", is_flag=True, help="Put it at the desk and leave the votes to others.")
@remote_verb
def edit(
    settings: Settings,
    request: str,
    text: str | None,
    file: IO[bytes] | None,
    reason: str,
    only_try: bool,
    no_approve: bool,
) -> None:
    """Put another command in the place of a held one, and approve that.

    Without --command and --file your editor (VISUAL, EDITOR) opens. The new command is judged anew, shown, and signed
    as any other; where it takes two approvals, or is riskier than what was asked for, somebody else has to approve it
    too. The agent gets its outcome, and is told what ran.
    """
    from bastion.cli.request import describe
    from bastion.control import wire
    from bastion.model import Choice

    if text is not None and file is not None:
        raise UsageError("--command and --file exclude each other")
    shown_to = sys.stderr if settings.json else sys.stdout

    async def work() -> RequestInfo:
        async with reach.deciding(settings) as client:
            info = await client.call(wire.ShowRequest, wire.RequestInfo, request=request)
            command = text.encode("utf-8", "surrogateescape") if text is not None else file.read() if file else None
            if command is None:
                command = _edited(info.command)
            if only_try:
                tried = await client.call(wire.TryEdit, wire.RequestInfo, request=info.id, command=command)
                describe(tried, file=shown_to)
                if tried.state == "refused":
                    raise NotAllowed(f"policy denies it: {tried.decision_reason}")
                return tried
            made = await client.edit(info, command, reason)
            describe(made, file=shown_to)
            return made if no_approve else await client.vote(made, Choice.APPROVE, reason)

    info = reach.run(work())
    if settings.json:
        output.as_json(output.structure(info))
        return
    if only_try:
        return
    missing = info.approvals - sum(each.choice == "approve" for each in info.votes)
    rest = f", {missing} more approval{'' if missing == 1 else 's'} needed" if info.state == "held" else ""
    done = "approved " if info.votes else ""
    output.say(f"edited {info.edits}: {done}{info.id} is in its place{rest}")


def _edited(command: bytes) -> bytes:
    """What the person's editor makes of it. Raises UsageError."""
    try:
        before = command.decode()
    except UnicodeDecodeError:
        raise UsageError("the command is no text that an editor takes", "--file takes bytes") from None
    if any(char < " " and char not in "\t\n" for char in before):
        raise UsageError("the command holds control characters, which an editor may act on", "--file takes bytes")
    after = click.edit(before + "\n", extension=".sh")
    if after is None:
        raise UsageError("nothing was changed")
    return after.rstrip("\n").encode()


@click.command("escalate")
@click.argument("request", metavar="ID")
@click.option("--reason", default="", help="Why; stands in the ledger and in what the others are told.")
@remote_verb
def escalate(settings: Settings, request: str, reason: str) -> None:
    """Ask others to decide it: the next group that policy names may from now on, and everybody is told."""
    from bastion.control import wire

    info = _call(settings, request, wire.EscalateRequest, reason=reason)
    if settings.json:
        output.as_json(output.structure(info))
    else:
        output.say(
            f"escalated {info.id}" + (f" to {output.shown(', '.join(info.escalated))}" if info.escalated else "")
        )


@click.command("snooze")
@click.argument("request", metavar="ID")
@click.option("--for", "lasting", metavar="30s", help="How long; at most until it is denied.")
@click.option("--off", is_flag=True, help="Be reminded of it again.")
@remote_verb
def snooze(settings: Settings, request: str, lasting: str | None, off: bool) -> None:
    """Put a held request aside for a while, for yourself only. It decides nothing, and its time runs on."""
    from bastion.control import wire
    from bastion.settings import parse_duration

    if (lasting is None) is not off:
        raise UsageError("either --for TIME or --off")
    until = 0
    if lasting is not None:
        try:
            until = time.time_ns() // 1000 + parse_duration(lasting) * 1_000_000
        except ValueError as error:
            raise UsageError(f"--for {lasting!r}: {error}") from None
    info = _call(settings, request, wire.SnoozeRequest, until=until)
    if settings.json:
        output.as_json(output.structure(info))
    else:
        output.say(f"{info.id} is back" if off else f"snoozed {info.id} until {output.when(until)}")


def _call(settings: Settings, wanted: str, kind: type, **fields: object) -> RequestInfo:
    """One call about a request whose id may be shortened."""

    async def work() -> RequestInfo:
        from bastion.control import wire

        async with reach.daemon(settings, why="the queue is its") as client:
            info = await client.call(wire.ShowRequest, wire.RequestInfo, request=wanted)
            # no field of these calls is named `seconds`, which alone has a type
            return await client.call(kind, wire.RequestInfo, request=info.id, **fields)  # type: ignore[arg-type]

    return reach.run(work())


@click.command("background")
@click.argument("request", metavar="ID")
@remote_verb
def background(settings: Settings, request: str) -> None:
    """What there is to know before deciding: how the like was decided, and what the agent could do there anyway."""
    from bastion.control import wire

    async def work() -> wire.BackgroundInfo:
        async with reach.daemon(settings, why="the queue is its") as client:
            info = await client.call(wire.ShowRequest, wire.RequestInfo, request=request)
            return await client.call(wire.ShowBackground, wire.BackgroundInfo, request=info.id)

    info = reach.run(work())
    if settings.json:
        said = output.structure(info)
        said["past"] = [output.structure(each) for each in info.past]
        said["approved"] = info.approved.id if info.approved is not None else ""
        said["terminal"] = [output.structure(each) for each in info.terminal]
        output.as_json(said)
        return
    output.fact("earlier requests looked at", str(info.looked_at))
    output.fact("exactly this", f"approved {_times(info.same_approved)}, denied {_times(info.same_denied)}")
    for each in info.past:
        by = f" by {', '.join(each.by)}" if each.by else ""
        why = f": {each.reason}" if each.reason else ""
        alike = "the same" if each.same else "similar"
        output.fact(f"{alike}, {each.request}", f"{each.state}{by}, {output.when(each.at)}{why}")
        output.block(each.command)
    if info.access is not None:
        until = f" until {output.when(info.access.until)}" if info.access.until else ""
        output.fact("access", f"{info.access.identity} on {info.access.target}: {info.access.access}{until}")
    for damage in info.damage:
        number = f"{damage.approvals} approval{'' if damage.approvals == 1 else 's'}"
        needed = f", {number}" if damage.verdict == "hold" else ""
        output.fact(damage.name, f"{damage.verdict}{needed}")


def _times(number: int) -> str:
    return {0: "never", 1: "once"}.get(number, f"{number} times")
