"""`bastion notify`: the channels that tell people, and trying them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from bastion.cli import output, reach
from bastion.cli.options import Settings, remote_verb
from bastion.errors import NotFound

if TYPE_CHECKING:
    from bastion.control.wire import ChannelInfo


@click.group("notify")
def command() -> None:
    """The channels that tell people: `[[notify]]` in bastion.toml."""


@command.command("list")
@remote_verb
def list_(settings: Settings) -> None:
    """How each channel stands: ok, failing, or dead and why."""
    from bastion.control import wire

    async def work() -> list[ChannelInfo]:
        async with reach.daemon(settings, why="the channels are its") as client:
            return await client.call(wire.ListChannels, list[wire.ChannelInfo])

    show(settings, reach.run(work()))


@command.command("test")
@click.argument("channels", metavar="[NAME]...", nargs=-1)
@remote_verb
def test(settings: Settings, channels: tuple[str, ...]) -> int:
    """Send a test message to these channels, or to all, and say what became of it. Exit status 1: not all arrived."""
    from bastion.control import wire

    async def work() -> list[ChannelInfo]:
        async with reach.daemon(settings, why="the channels are its") as client:
            return await client.call(wire.TryChannels, list[wire.ChannelInfo], seconds=60, names=list(channels))

    rows = reach.run(work())
    show(settings, rows)
    if not rows:
        raise NotFound("there is no channel, so nobody was told", "[[notify]] in bastion.toml makes one")
    return int(any(row.state != "ok" for row in rows))


def show(settings: Settings, rows: list[ChannelInfo]) -> None:
    """As a table, or JSON."""
    if settings.json:
        output.as_json([output.structure(row) for row in rows])
        return
    output.table(
        ("NAME", "KIND", "STATE", "SENT", "LOST", "WAITING", "WHY"),
        [(row.name, row.kind, row.state, str(row.sent), str(row.lost), str(row.queued), row.error) for row in rows],
    )
