"""`bastion blast`: what one identity could damage."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from bastion.cli import output, reach
from bastion.cli.options import Settings, remote_verb

if TYPE_CHECKING:
    from bastion.control.wire import BlastInfo, DamageInfo

WORDS = {"allow": "runs unasked", "deny": "never runs"}


@click.command("blast")
@click.argument("identity")
@remote_verb
def command(settings: Settings, identity: str) -> None:
    """Print which targets and which classes of damage IDENTITY can reach, by the policy in force of a daemon that runs.

    One representative act of each class is judged, as if the target were open to it; the way in, and what is
    whitelisted there, stand beside it.
    """

    async def work() -> list[BlastInfo]:
        from bastion.control import wire

        async with reach.daemon(settings, why="it knows the policy in force") as client:
            return await client.call(wire.Blast, list[wire.BlastInfo], identity=identity)

    rows = reach.run(work())
    if settings.json:
        output.as_json([output.structure(row) for row in rows])
        return
    for row in rows:
        access = row.access
        until = f" until {output.when(access.until)}" if access.until else ""
        output.say(output.shown(f"{access.target} ({access.env}): {access.access}{until}"))
        for each in row.damage:
            output.say(f"  {each.tier:7} {each.name:26} {output.shown(_words(each))}")
        for text in access.whitelist:
            output.say(f"  whitelisted: {output.shown(text)}")


def _words(each: DamageInfo) -> str:
    if each.verdict == "hold":
        return f"waits for {each.approvals} approval{'' if each.approvals == 1 else 's'}"
    return f"{WORDS[each.verdict]} ({each.rule})"
