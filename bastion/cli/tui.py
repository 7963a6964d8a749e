"""`bastion tui`: the approver's console."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from bastion.cli import clientfile, reach
from bastion.cli.options import Settings, reach_verb

if TYPE_CHECKING:
    from bastion.control.client import Client
    from bastion.control.endpoints import Endpoint
    from bastion.control.signers import Signer


@click.command("tui")
@reach_verb
def command(settings: Settings) -> None:
    """The approver's console: what is held, everything about it, a key to approve, a key to deny."""
    from bastion.control.client import Client
    from bastion.control.endpoints import Local
    from bastion.covering import visible
    from bastion.errors import BastionError
    from tui import keys
    from tui.app import BastionConsole

    theme, keymap, confirm = clientfile.console_look()
    keys.checked(keymap)
    # Once before the screen is taken over: a passphrase can be asked for, and what is wrong is said in one line.
    endpoint, signer = reach.run(_first(settings))

    async def connect() -> Client:
        return await Client.open(endpoint, signer=signer, pins=reach.pins())

    title = reach.here(settings).config.host_name if isinstance(endpoint, Local) else str(endpoint)
    console = BastionConsole(connect, title, theme=theme, keymap=keymap, confirm=confirm)
    console.run()
    if console.failure:
        raise BastionError(f"the console failed: {visible(console.failure)}", "this is a bug")


async def _first(settings: Settings) -> tuple[Endpoint, Signer | None]:
    """Where to connect, from now on with the one key that got in."""
    from dataclasses import replace

    from bastion.control.endpoints import Local, Remote

    remote = await reach.remote(settings)
    endpoint: Endpoint = remote or Local(reach.here(settings).config.socket)
    async with reach.deciding(settings) as client:
        signer = client.signer
        if signer is not None:
            await signer.key_pair()
    if isinstance(endpoint, Remote) and signer is not None:
        endpoint = replace(endpoint, signers=[signer])
    return endpoint, signer
