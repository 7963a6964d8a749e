"""`bastion grant`: time-boxed access of an identity to a target."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from bastion.cli import output, reach
from bastion.cli.options import Settings, local_verb, remote_verb
from bastion.errors import UsageError

if TYPE_CHECKING:
    from bastion.control.wire import GrantInfo


@click.group("grant")
def command() -> None:
    """Time-boxed access of an identity to a target.

    Needed where the target's environment is in `grants` of bastion.toml. At its end the live sessions are cut.
    """


@command.command("add")
@click.argument("identity")
@click.argument("target")
@click.option("--for", "lasting", metavar="30m", required=True, help="How long, from now.")
@click.option("--reason", required=True, help="Why; stands in the ledger.")
@local_verb
def add(settings: Settings, identity: str, target: str, lasting: str, reason: str) -> None:
    """Grant access, from now for a time. On the bastion's own host; agents ask with `request-access`."""
    from bastion.control import wire

    wish = {"identity": identity, "target": target, "lasting": seconds(lasting), "reason": reason}
    show(settings, reach.administer(settings, wire.AddGrant, wire.GrantInfo, **wish), "granted")


@command.command("list")
@remote_verb
def list_(settings: Settings) -> None:
    """List the grants that have not ended."""

    async def work() -> list[GrantInfo]:
        async with reach.source(settings) as source:
            return await source.grants()

    rows = reach.run(work())
    if settings.json:
        output.as_json([output.structure(row) for row in rows])
        return
    output.table(
        ("ID", "WHO", "WHERE", "UNTIL", "BY", "REASON"),
        [(row.id, row.identity, row.target, output.when(row.expires), row.by, row.reason) for row in rows],
    )


@command.command("revoke")
@click.argument("grant", metavar="ID")
@click.option("--reason", required=True, help="Why; stands in the ledger.")
@remote_verb
def revoke(settings: Settings, grant: str, reason: str) -> None:
    """End a grant: the sessions that need it are cut at once. The ID may be shortened while it is unique."""
    from bastion.control import wire

    info = reach.change(settings, wire.RevokeGrant, wire.GrantInfo, grant=grant, reason=reason)
    show(settings, info, "revoked")


def seconds(lasting: str) -> int:
    """Of `30m`. Raises UsageError."""
    from bastion.settings import parse_duration

    try:
        return parse_duration(lasting)
    except ValueError as error:
        raise UsageError(f"--for {lasting!r}: {error}") from None


def show(settings: Settings, info: GrantInfo, what: str) -> None:
    """What was done."""
    if settings.json:
        output.as_json(output.structure(info))
    else:
        words = f"{info.id}: {info.identity} to {info.target} until {output.when(info.expires)}: {info.reason}"
        output.say(f"{what} {output.shown(words)}")
