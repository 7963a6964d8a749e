"""`bastion session`: what agents did."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from bastion.cli import output, reach
from bastion.cli.options import Settings, remote_verb

if TYPE_CHECKING:
    from bastion.control.wire import SessionInfo

LIST_LIMIT = 200
"""Sessions that `list` shows; the protocol's own default."""


@click.group("session")
def command() -> None:
    """What agents did: list, watch, replay, end. An ID may be shortened while it is unique."""


@command.command("list")
@click.option("--limit", type=click.IntRange(1, 1000), default=LIST_LIMIT, show_default=True, help="How many.")
@remote_verb
def list_(settings: Settings, limit: int) -> None:
    """List the newest sessions, the newest last."""

    async def work() -> list[SessionInfo]:
        async with reach.source(settings) as source:
            return await source.sessions(limit)

    rows = reach.run(work())
    if settings.json:
        output.as_json([output.structure(row) for row in rows])
        return
    output.table(
        ("ID", "STATE", "OPENED", "LASTED", "WHO", "WHERE", "OUTPUT", "REQUESTS"),
        [
            (
                row.id,
                row.state,
                output.when(row.opened),
                output.span(row.closed - row.opened) if row.closed else "-",
                row.identity,
                f"{row.login}@{row.target}",
                str(row.output_bytes),
                " ".join(row.requests),
            )
            for row in rows
        ],
    )


@command.command("kill")
@click.argument("session", metavar="ID")
@click.option("--reason", default="", help="Why; stands in the ledger and on the agent's stderr.")
@remote_verb
def kill(settings: Settings, session: str, reason: str) -> None:
    """End a session now: what runs in it is cut."""

    async def work() -> SessionInfo:
        from bastion.control import wire

        async with reach.daemon(settings, why="only a running session can be ended") as client:
            return await client.call(wire.KillSession, wire.SessionInfo, session=session, reason=reason)

    info = reach.run(work())
    if settings.json:
        output.as_json(output.structure(info))
    else:
        output.say(f"ended {info.id} of {output.shown(f'{info.identity} on {info.login}@{info.target}')}")
