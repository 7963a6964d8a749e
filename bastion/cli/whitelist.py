"""`bastion whitelist`: exact commands that run without asking again."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

import click

from bastion.cli import output, reach
from bastion.cli.options import Settings, remote_verb
from bastion.errors import UsageError

if TYPE_CHECKING:
    from bastion.control.wire import WhitelistInfo


@click.group("whitelist")
def command() -> None:
    """Exact commands that run without asking again, for one identity on one target and login."""


@command.command("list")
@remote_verb
def list_(settings: Settings) -> None:
    """List the entries in force."""

    async def work() -> list[WhitelistInfo]:
        async with reach.source(settings) as source:
            return await source.whitelist()

    rows = reach.run(work())
    if settings.json:
        output.as_json([output.structure(row) for row in rows])
        return
    output.table(
        ("ID", "WHO", "WHERE", "BY", "UNTIL", "COMMAND"),
        [(row.id, row.identity, f"{row.login}@{row.target}", row.by, _until(row), row.command) for row in rows],
    )


@command.command("add")
@click.argument("text", metavar="COMMAND")
@click.option("--identity", required=True, metavar="NAME", help="The agent that may run it.")
@click.option("--target", required=True, metavar="NAME", help="Where.")
@click.option("--login", metavar="USER", help="As whom; the target's default without it.")
@click.option("--for", "lasting", metavar="7d", help="How long; without it, as long as its risk tier allows.")
@remote_verb
def add(settings: Settings, text: str, identity: str, target: str, login: str | None, lasting: str | None) -> None:
    """Let exactly COMMAND, byte for byte, run without being held. Signed with your key; takes the role approver."""
    expires = expiry(lasting)

    async def work() -> WhitelistInfo:
        from bastion.cli.sources import DaemonSource, one_target

        async with reach.deciding(settings) as client:
            account = login or (await one_target(DaemonSource(client), target)).logins[0]
            return await client.whitelist(os.fsencode(text), identity, target, account, expires)

    show(settings, reach.run(work()), "added")


@command.command("remove")
@click.argument("entry", metavar="ID")
@remote_verb
def remove(settings: Settings, entry: str) -> None:
    """Take an entry off the list; the ID may be shortened while it is unique."""

    from bastion.control import wire

    show(settings, reach.change(settings, wire.RemoveWhitelist, wire.WhitelistInfo, entry=entry), "removed")


def show(settings: Settings, info: WhitelistInfo, what: str) -> None:
    """What was done."""
    if settings.json:
        output.as_json(output.structure(info))
        return
    words = f"{info.id}: {info.identity} on {info.login}@{info.target}, until {_until(info)}"
    output.say(f"{what} {output.shown(words)}")
    output.block(info.command)


def _until(info: WhitelistInfo) -> str:
    return output.when(info.expires) if info.expires else "it is removed"


def expiry(lasting: str | None) -> int | None:
    """Microseconds since the epoch; None: the latest that is allowed. Raises UsageError."""
    from bastion.config import parse_duration

    if lasting is None:
        return None
    try:
        seconds = parse_duration(lasting)
    except ValueError as error:
        raise UsageError(f"--for {lasting!r}: {error}") from None
    if seconds == 0:
        raise UsageError("--for 0 would have ended already")
    return time.time_ns() // 1000 + seconds * 1_000_000
