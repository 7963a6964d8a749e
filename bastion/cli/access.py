"""`bastion access`: who could reach what, and what nobody used lately."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from bastion.cli import output, reach
from bastion.cli.grant import seconds
from bastion.cli.options import Settings, remote_verb

if TYPE_CHECKING:
    from bastion.control.wire import AccessInfo, UnusedInfo


@click.group("access")
def command() -> None:
    """Who could reach what; what nobody used lately."""


@command.command("list")
@remote_verb
def list_(settings: Settings) -> None:
    """Every identity that may ask, on every target: whether it could now, and how.

    open: takes no grant. granted: until then. asks: takes a grant that it does not have. frozen: nothing new runs.
    """

    async def work() -> list[AccessInfo]:
        async with reach.source(settings) as source:
            return await source.access()

    rows = reach.run(work())
    if settings.json:
        output.as_json([output.structure(row) for row in rows])
        return
    output.table(
        ("WHO", "KIND", "WHERE", "ENV", "ACCESS", "UNTIL", "WHITELISTED"),
        [
            (row.identity, row.kind, row.target, row.env, row.access, output.when(row.until), str(len(row.whitelist)))
            for row in rows
        ],
    )


@command.command("review")
@click.option("--unused", "lasting", metavar="30d", default="30d", show_default=True, help="Not used for so long.")
@remote_verb
def review(settings: Settings, lasting: str) -> None:
    """List grants and whitelist entries that nobody used for a time, or ever: candidates to be taken away."""
    wanted = seconds(lasting)

    async def work() -> list[UnusedInfo]:
        async with reach.source(settings) as source:
            return await source.unused(wanted)

    rows = reach.run(work())
    if settings.json:
        output.as_json([output.structure(row) for row in rows])
        return
    output.table(
        ("ID", "KIND", "WHO", "WHERE", "BY", "LAST USED", "WHAT"),
        [
            (
                row.id,
                row.kind,
                row.identity,
                row.place,
                row.by,
                output.when(row.used) if row.used else "never",
                row.what,
            )
            for row in rows
        ],
    )
