"""`bastion stats`: how deciding goes."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from bastion.cli import output, reach
from bastion.cli.options import Settings, remote_verb

if TYPE_CHECKING:
    from bastion.control.wire import StatsInfo, TallyInfo


@click.command("stats")
@click.option("--since", default="30d", show_default=True, metavar="TIME", help="7d, 90m, or a date; `all` for all.")
@click.option("--commands", type=click.IntRange(0, 50), default=10, show_default=True, help="How many that ask most.")
@remote_verb
def command(settings: Settings, since: str, commands: int) -> None:
    """How deciding goes: how long people take, how much is held, who approves without reading, what asks most.

    With each command that is held again and again stands the whitelist entry that would settle it, where one may
    (`bastion whitelist import`). Times are from the proposal to the vote.
    """
    from bastion.cli.searches import moment
    from bastion.control import wire

    begin = 0 if since == "all" else moment("--since", since, time.time())

    async def work() -> StatsInfo:
        async with reach.source(settings) as source:
            return await source.stats(wire.ShowStats(id=0, since=begin, commands=commands))

    info = reach.run(work())
    if settings.json:
        said = output.structure(info)
        said["commands"] = [output.structure(each) for each in info.commands]
        output.as_json(said)
    elif settings.plain:
        for name, value in facts(info):
            output.say(f"{name}: {output.shown(value)}")
    else:
        _print(info)


def facts(info: StatsInfo) -> Iterator[tuple[str, str]]:
    """Every figure as a name and a value."""
    yield "since", output.when(info.since)
    yield "until", output.when(info.until)
    for name in ("requests", "allowed", "held", "refused", "approved", "denied", "expired", "withdrawn", "waiting"):
        yield name, str(getattr(info, name))
    yield "review time, half within", seconds(info.p50)
    yield "review time, 95 % within", seconds(info.p95)
    yield "longest review", seconds(info.longest)
    for person in info.approvers:
        yield (
            f"approver {person.name}",
            f"{person.approved} approved, {person.denied} denied, half within {seconds(person.p50)}, "
            f"95 % within {seconds(person.p95)}, {person.quick} approvals within 2 s"
            + (f", {person.unsigned} unsigned" if person.unsigned else ""),
        )
        if person.warning:
            yield f"warning, {person.name}", person.warning
    for label, tallies in (("day", info.days), ("identity", info.identities), ("environment", info.environments)):
        for each in tallies:
            yield f"{label} {each.name}", _words(each)
    for rule, count in info.rules:
        yield f"allowed by {rule}", str(count)
    for rule, count in info.refusals:
        yield f"refused by {rule}", str(count)
    for asked in info.commands:
        name = f"held {asked.held} times, {asked.identity} on {asked.login}@{asked.target}, {asked.tier}"
        yield name, asked.command.decode("utf-8", "backslashreplace")
        yield "settled by" if asked.line else "not settled", asked.line or asked.why
    for note in info.notes:
        yield "note", note


def _words(each: TallyInfo) -> str:
    return (
        f"{each.requests} requests, {each.held} held, {each.approved} approved, {each.denied} denied, "
        f"{each.expired} expired"
    )


def _print(info: StatsInfo) -> None:
    output.say(f"{output.when(info.since)} to {output.when(info.until)}")
    output.say(
        f"{info.requests} requests: {info.allowed} allowed, {info.held} held, {info.refused} refused by policy; "
        f"of those held {info.approved} approved, {info.denied} denied, {info.expired} expired, "
        f"{info.withdrawn} withdrawn, {info.waiting} waiting"
    )
    if info.reviews:
        output.say(
            f"review time: half within {seconds(info.p50)}, 95 % within {seconds(info.p95)}, "
            f"longest {seconds(info.longest)}"
        )
    if info.approvers:
        output.say()
        output.table(
            ("APPROVER", "APPROVED", "DENIED", "HALF", "95 %", "WITHIN 2 S", "WARNING"),
            [
                (each.name, str(each.approved), str(each.denied), seconds(each.p50), seconds(each.p95),
                 str(each.quick), each.warning)
                for each in info.approvers
            ],
        )  # fmt: skip
    for head, tallies in (("DAY", info.days), ("IDENTITY", info.identities), ("ENVIRONMENT", info.environments)):
        if tallies:
            output.say()
            output.table(
                (head, "REQUESTS", "HELD", "APPROVED", "DENIED", "EXPIRED"),
                [
                    (each.name, str(each.requests), str(each.held), str(each.approved), str(each.denied),
                     str(each.expired))
                    for each in tallies
                ],
            )  # fmt: skip
    for head, rules in (("ALLOWED BY", info.rules), ("REFUSED BY", info.refusals)):
        if rules:
            output.say()
            output.table(("TIMES", head), [(str(count), rule) for rule, count in rules])
    if info.commands:
        output.say()
        output.say("held most often, and the whitelist entry that would settle it:")
    for asked in info.commands:
        output.say()
        place = f"{asked.identity} on {asked.login}@{asked.target}"
        output.say(f"{asked.held} time{'' if asked.held == 1 else 's'}  {asked.tier}  {output.shown(place)}")
        output.block(asked.command)
        more = f" ({asked.settles} of those counted)" if asked.settles > asked.held else ""
        output.say(f"  {output.shown(asked.line)}{more}" if asked.line else f"  no entry: {output.shown(asked.why)}")
    for note in info.notes:
        output.say(f"note: {output.shown(note)}")


def seconds(micros: int) -> str:
    """`1.4 s`, `3m12s`."""
    if micros < 60_000_000:
        return f"{micros / 1e6:.1f} s"
    return output.span(micros)
