"""`bastion unfreeze`: lift a freeze."""

from __future__ import annotations

import click

from bastion.cli import reach
from bastion.cli.freeze import show
from bastion.cli.options import Settings, remote_verb


@click.command("unfreeze")
@click.argument("freeze", metavar="ID")
@click.option("--reason", required=True, help="Why; stands in the ledger.")
@remote_verb
def command(settings: Settings, freeze: str, reason: str) -> None:
    """Lift a freeze; `bastion freeze --list` names them. The ID may be shortened while it is unique."""
    from bastion.control import wire

    info = reach.change(settings, wire.LiftFreeze, wire.FreezeInfo, freeze=freeze, reason=reason)
    show(settings, info, "lifted")
