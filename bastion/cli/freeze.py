"""`bastion freeze`: nothing new on a target, in an environment, or anywhere."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from bastion.cli import output, reach
from bastion.cli.options import Settings, remote_verb
from bastion.errors import UsageError

if TYPE_CHECKING:
    from bastion.control.wire import FreezeInfo


@click.command("freeze")
@click.option("--target", metavar="NAME", help="One target.")
@click.option("--env", metavar="NAME", help="All targets of an environment.")
@click.option("--all", "everything", is_flag=True, help="All targets.")
@click.option("--reason", help="Why; stands in the ledger, and agents are told.")
@click.option("--hold", is_flag=True, help="Hold everything for a person, instead of refusing it.")
@click.option("--cut", is_flag=True, help="End the sessions that are live there, too.")
@click.option("--list", "listing", is_flag=True, help="List the freezes; sets none.")
@remote_verb
def command(
    settings: Settings,
    target: str | None,
    env: str | None,
    everything: bool,
    reason: str | None,
    hold: bool,
    cut: bool,
    listing: bool,
) -> None:
    """Let nothing new run: refuse it, or with --hold hold it whatever policy and whitelist say. Takes an approver.

    What was approved before does not start either while things are refused.
    """
    from bastion.control import wire

    if listing:
        _list(settings)
        return
    scopes = [("target", target or ""), ("env", env or ""), ("all", "")]
    chosen = [each for each, given in zip(scopes, (target, env, everything), strict=True) if given]
    if len(chosen) != 1:
        raise UsageError("say where: --target NAME, --env NAME or --all")
    if not reason:
        raise UsageError("--reason says why")
    scope, name = chosen[0]
    wish = {"scope": scope, "name": name, "mode": "hold" if hold else "refuse", "reason": reason, "cut": cut}
    show(settings, reach.change(settings, wire.SetFreeze, wire.FreezeInfo, **wish), "frozen")


def _list(settings: Settings) -> None:
    async def work() -> list[FreezeInfo]:
        async with reach.source(settings) as source:
            return await source.freezes()

    rows = reach.run(work())
    if settings.json:
        output.as_json([output.structure(row) for row in rows])
        return
    output.table(
        ("ID", "WHAT", "HOW", "SINCE", "BY", "REASON"),
        [(row.id, what(row), row.mode, output.when(row.since), row.by, row.reason) for row in rows],
    )


def what(row: FreezeInfo) -> str:
    """What is frozen."""
    return f"{row.scope} {row.name}".rstrip()


def show(settings: Settings, info: FreezeInfo, done: str) -> None:
    """What was done."""
    if settings.json:
        output.as_json(output.structure(info))
    else:
        output.say(f"{done} {output.shown(f'{info.id}: {what(info)} ({info.mode}): {info.reason}')}")
