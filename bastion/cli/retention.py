"""`bastion retention`: recordings whose time is over."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from bastion.cli import output, reach
from bastion.cli.options import Settings, local_verb

if TYPE_CHECKING:
    from bastion.control.wire import RetentionInfo


@click.group("retention")
def command() -> None:
    """Recordings whose time is over, as [retention] of bastion.toml says."""


@command.command("run")
@click.option("--dry-run", is_flag=True, help="Say what would go, and change nothing.")
@local_verb
def run(settings: Settings, dry_run: bool) -> None:
    """Delete recordings whose time is over, now, and give their space back. The daemon does it by itself, too.

    Each gets an entry in the ledger. What is held (`bastion session hold`) stays.
    """

    async def work() -> RetentionInfo:
        from bastion.control import wire

        async with await reach.local_client(reach.here(settings).config, why="it deletes") as client:
            return await client.call(wire.RunRetention, wire.RetentionInfo, dry=dry_run, seconds=3600.0)

    done = reach.run(work())
    if settings.json:
        output.as_json(output.structure(done))
        return
    output.table(
        ("SESSION", "ENDED", "ENVIRONMENT"),
        [(row.session, output.when(row.ended), row.env) for row in done.recordings],
    )
    count = len(done.recordings)
    words = "would be deleted" if dry_run else f"deleted, {done.freed} bytes freed"
    output.say(f"{count} recording{'' if count == 1 else 's'} {words}")
    if not done.whole:
        output.say("note: this file system frees space only when everything around it is deleted, too")
