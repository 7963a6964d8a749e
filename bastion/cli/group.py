"""`bastion group`: named sets of approvers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from bastion.cli import output, reach
from bastion.cli.options import Settings, local_verb, remote_verb

if TYPE_CHECKING:
    from bastion.control.wire import GroupInfo


@click.group("group")
def command() -> None:
    """Named sets of approvers, for rules that ask for one of their members."""


@command.command("set")
@click.argument("name")
@click.argument("members", nargs=-1, required=True)
@local_verb
def set_(settings: Settings, name: str, members: tuple[str, ...]) -> None:
    """Make the group NAME of exactly these approvers, or change it."""
    from bastion.control import wire

    info = reach.administer(settings, wire.SetGroup, wire.GroupInfo, name=name, members=list(members))
    show(settings, info, "set")


@command.command("list")
@remote_verb
def list_(settings: Settings) -> None:
    """List groups with their members."""

    async def work() -> list[GroupInfo]:
        async with reach.source(settings) as source:
            return await source.groups()

    rows = reach.run(work())
    if settings.json:
        output.as_json([output.structure(row) for row in rows])
        return
    output.table(("NAME", "MEMBERS"), [(row.name, " ".join(row.members)) for row in rows])


@command.command("remove")
@click.argument("name")
@local_verb
def remove(settings: Settings, name: str) -> None:
    """Remove a group."""
    from bastion.control import wire

    show(settings, reach.administer(settings, wire.RemoveGroup, wire.GroupInfo, name=name), "removed")


def show(settings: Settings, info: GroupInfo, what: str) -> None:
    """What was done."""
    if settings.json:
        output.as_json(output.structure(info))
    else:
        output.say(f"{what} {output.shown(f'{info.name}: {chr(32).join(info.members)}')}")
