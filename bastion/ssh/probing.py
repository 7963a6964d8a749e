"""`target check`: reach a target as the bastion will, and see that it plays its part.

With a certificate, one harmless command runs on the target: it prints a sentence, which shows that the target's sshd
runs what stands in the certificate and not what it is asked for. With a key, a governed shell is started and ended: so
mkfifo, a shell, a terminal and three channels are there, or the reason why not is told. A certificate for that would
let more than one constant sentence run, so none is made for a check.
"""

from __future__ import annotations

import asyncio
import contextlib

import asyncssh

from bastion.config import Config
from bastion.control.wire import CheckInfo
from bastion.errors import BastionError
from bastion.gate import shell_events as ev
from bastion.model import Target
from bastion.names import CERTIFIED
from bastion.policy.dialects import SENTENCE
from bastion.policy.visible import visible_line
from bastion.ssh.dialling import dial
from bastion.ssh.driver import Driver
from bastion.ssh.driver_channels import Terminal
from bastion.ssh.minting import Minting

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
    certify = minting.for_probe(login) if target.credential == CERTIFIED else None
    connection = await dial(
        target, login, seconds=config.connect_seconds, keepalive=config.keepalive_seconds, certify=certify
    )
    try:
        version = visible_line(str(connection.get_extra_info("server_version")), SHOWN)
        rows = [CheckInfo(name=f"login {login}", ok=True, detail=f"host key as pinned, {version}")]
        if certify is not None:
            rows.append(await _forced(connection, login, config.connect_seconds))
        else:
            rows.append(await _shell(connection, login))
        return rows
    finally:
        connection.abort()


class _Told:
    """Listens to the driver of a shell in which nothing is run."""

    def __init__(self) -> None:
        self.ready: ev.DriverReady | None = None
        self.failed = ""

    def tell(self, event: ev.FromDriver) -> None:
        """See driver.Listener."""
        if isinstance(event, ev.DriverReady):
            self.ready = event
        elif isinstance(event, ev.DriverFailed):
            self.failed = self.failed or event.reason

    def output(self, kind: str, data: bytes) -> None:
        """What start-up files print."""

    def writable(self, yes: bool) -> None:
        """Nothing is typed."""


async def _shell(connection: asyncssh.SSHClientConnection, login: str) -> CheckInfo:
    """Can it have a governed shell?"""
    name, told = f"governed shell as {login}", _Told()
    driver = Driver(connection, told, terminal=Terminal("dumb", 80, 24))
    try:
        await driver.start()
        if told.ready is None or told.failed:
            return CheckInfo(name=name, ok=False, detail=told.failed or "it did not start")
        tty = await driver.observe()
    finally:
        with contextlib.suppress(asyncssh.Error, OSError):
            await driver.close()
    if tty is None:
        detail = (
            f"{told.ready.kind}, but its terminal cannot be looked at: a password typed there would be shown as a line"
        )
        return CheckInfo(name=name, ok=False, detail=detail)
    return CheckInfo(name=name, ok=True, detail=f"{told.ready.kind}, in {visible_line(told.ready.cwd.encode(), SHOWN)}")


async def _forced(connection: asyncssh.SSHClientConnection, login: str, seconds: float) -> CheckInfo:
    """Does sshd run the certificate's command, whatever it is asked for?"""
    name = f"forced command as {login}"
    try:
        async with asyncio.timeout(seconds):
            done = await connection.run(ASKED, encoding=None, check=False)
    except (asyncssh.Error, OSError, TimeoutError) as error:
        return CheckInfo(name=name, ok=False, detail=f"no command runs: {visible_line(str(error), SHOWN)}")
    said = done.stdout if isinstance(done.stdout, bytes) else b""
    if SENTENCE.encode() in (line.strip() for line in said.split(b"\n")):
        return CheckInfo(name=name, ok=True, detail="it runs what stands in the certificate")
    return CheckInfo(
        name=name, ok=False, detail=f"something else than the certificate's command ran: {visible_line(said, SHOWN)}"
    )
