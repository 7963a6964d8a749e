"""The process behind `ssh -t bastion@HOST`: the console on a terminal that the daemon made (ssh/console.py).

    python -I -c START ROOT ORDER        never started by hand; ORDER is JSON

Order: the terminal becomes this process's own; it will die with its parent; code is loaded; everything that it does not
need is given up (confine.py); only then does it talk to anybody and show anything. Where the kernel cannot confine it,
it says so and ends: there is `bastion tui`.

What it has left: a terminal, a pipe to the daemon on which it is one approver, a pipe to that approver's ssh-agent
where one was forwarded, and Python's own files to read.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import json
import os
import socket
import sys
import termios
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any

import bastion
import recorder
import tui
from bastion import confine

if TYPE_CHECKING:
    from bastion.control.client import Client
    from bastion.control.lending import LentSigner

NO_AGENT = "no ssh-agent was forwarded: connect with `ssh -A -t` to decide"
"""Why nothing can be decided; shown all the time."""


def main() -> None:
    """The whole life of the process."""
    order = json.loads(sys.argv[2])
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
    confine.die_with_parent(order["parent"])
    from bastion.control import client, lending  # noqa: F401 -- asyncssh looks for libraries, with other programs
    from tui import app  # noqa: F401

    try:
        confine.confine(_readable())
    except confine.NotConfined as error:
        print(f"bastion: the console is not served here, {error}; use `bastion tui`", end="\r\n", flush=True)
        sys.exit(1)
    try:
        failure = _console(order)
    except Exception:  # noqa: BLE001 -- nothing of it may reach the person's terminal
        failure = traceback.format_exc()
    if failure:
        with contextlib.suppress(OSError):
            os.set_blocking(order["log"], False)
            os.write(order["log"], failure.encode(errors="backslashreplace")[-4096:])
        sys.exit(1)


def _readable() -> list[Path]:
    """Python and this program; not the directory that they are in, which may hold other things."""
    ours = [Path(str(module.__file__)).parent for module in (bastion, recorder, tui)]
    return [*ours, *map(Path, {sys.prefix, sys.base_prefix, sys.exec_prefix, "/usr", "/lib", "/lib64", "/dev/null"})]


def _console(order: dict[str, Any]) -> str:
    """Runs it; returns what went wrong, as Python tells it."""
    from bastion.control.endpoints import Inherited
    from tui.app import BastionConsole
    from tui.messages import Kept

    lent: list[LentSigner] = []
    link = Inherited(order["control"])
    app: BastionConsole

    async def connect() -> Client:
        from bastion.control.client import Client

        client = await Client.open(link)
        app.view.barred = await _why_barred(client, order, lent)
        client.signer = lent[0] if lent else None
        app.post_message(Kept(await _preferences(client)))
        client.unsigned, app.view.unsigned_way = True, order["way"]  # counts where policy accepts it, and nowhere else
        return client

    app = BastionConsole(connect, order["title"], served=True)
    app.run()
    return app.failure


async def _preferences(client: Client) -> str:
    """How this person wants the console, as the bastion keeps it."""
    from bastion.control import wire

    return (await client.call(wire.ShowPreferences, wire.PreferencesInfo)).text


async def _why_barred(client: Client, order: dict[str, Any], lent: list[LentSigner]) -> str:
    """Why nothing can be decided on this console; empty where it can, and then `lent` holds the key."""
    from bastion.control import lending
    from bastion.errors import Unreachable
    from bastion.publickey import parse_key

    if "approver" not in client.welcome.roles:
        return f"this console only shows: your role is {', '.join(client.welcome.roles)}"
    if order["agent"] < 0:
        return NO_AGENT
    keys = [parse_key(line) for line in order["keys"]]
    try:
        reader, writer = await asyncio.open_unix_connection(sock=socket.socket(fileno=order["agent"]))
        signer = await lending.borrow(reader, writer, keys)
    except Unreachable:
        return "the forwarded ssh-agent does not answer: decide with `bastion tui`"
    if signer is None:
        return f"the forwarded ssh-agent does not hold your key {keys[0].fingerprint}: ssh-add it, then connect again"
    lent.append(signer)
    return ""
