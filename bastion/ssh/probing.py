"""`target check`: reach a target as the bastion will, and see that it plays its part.

With a certificate, one harmless command runs on the target: it prints a sentence, which shows that the target's sshd
runs what stands in the certificate and not what it is asked for.
"""

from __future__ import annotations

import asyncio

import asyncssh

from bastion.config import Config
from bastion.control.wire import CheckInfo
from bastion.directory import CERTIFIED
from bastion.errors import BastionError
from bastion.mint import PROBE
from bastion.model import Target
from bastion.policy.visible import visible_line
from bastion.ssh.minting import Minting
from bastion.ssh.upstream import dial

ASKED = "echo this must not run"
SHOWN = 120
"""Characters of what a target said instead."""


async def probe(target: Target, config: Config, minting: Minting) -> list[CheckInfo]:
    """One row or more for each login."""
    rows: list[CheckInfo] = []
    for login in target.logins:
        try:
            rows += await _login(target, login, config, minting)
        except BastionError as error:
            rows.append(CheckInfo(name=f"login {login}", ok=False, detail=str(error)))
    return rows


async def _login(target: Target, login: str, config: Config, minting: Minting) -> list[CheckInfo]:
    pair = await minting.for_probe(login) if target.credential == CERTIFIED else None
    connection = await dial(target, login, seconds=config.connect_seconds, keepalive=config.keepalive_seconds, key=pair)
    try:
        version = visible_line(str(connection.get_extra_info("server_version")), SHOWN)
        rows = [CheckInfo(name=f"login {login}", ok=True, detail=f"host key as pinned, {version}")]
        if pair is not None:
            rows.append(await _forced(connection, login, config.connect_seconds))
        return rows
    finally:
        connection.abort()


async def _forced(connection: asyncssh.SSHClientConnection, login: str, seconds: float) -> CheckInfo:
    """Does sshd run the certificate's command, whatever it is asked for?"""
    name = f"forced command as {login}"
    try:
        async with asyncio.timeout(seconds):
            done = await connection.run(ASKED, encoding=None, check=False)
    except (asyncssh.Error, OSError, TimeoutError) as error:
        return CheckInfo(name=name, ok=False, detail=f"no command runs: {visible_line(str(error), SHOWN)}")
    said = done.stdout if isinstance(done.stdout, bytes) else b""
    if said.strip() == PROBE.encode():
        return CheckInfo(name=name, ok=True, detail="it runs what stands in the certificate")
    return CheckInfo(
        name=name, ok=False, detail=f"something else than the certificate's command ran: {visible_line(said, SHOWN)}"
    )
