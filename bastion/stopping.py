"""How a daemon stops: no new connections; every session is cut and its end recorded; `daemon.stopped`."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable

import asyncssh

from bastion import audit
from bastion.anchoring import Anchoring
from bastion.audit import Draft
from bastion.control.server import ControlServer
from bastion.errors import BastionError
from bastion.grants import Grants
from bastion.ssh.server import Connections
from bastion.ssh.services import Services

log = logging.getLogger(__name__)

STOP_SECONDS = 10
"""What sessions get to end when the daemon stops."""


async def wind_down(
    failure: str,
    acceptor: asyncssh.SSHAcceptor,
    services: Services,
    connections: Connections,
    control: ControlServer,
    anchoring: Anchoring,
    grants: Grants,
) -> None:
    """Nothing new; what runs is cut and its end recorded; then the entry. `failure`: why it stops by itself."""
    acceptor.close()
    services.sessions.cut_where(lambda _: True, failure or "the bastion is stopping", keeps=not failure)
    await wait_for(services.sessions_at_work, STOP_SECONDS)
    connections.close()
    await wait_for(lambda: set(services.tasks), STOP_SECONDS)
    await control.close()
    await anchoring.close()
    services.broker.close()
    grants.close()
    await services.pool.close()
    with contextlib.suppress(BastionError):
        await services.audit.write(Draft("daemon.stopped", audit.DAEMON, {}))


async def wait_for(tasks: Callable[[], set[asyncio.Task[None]]], seconds: float) -> None:
    """Until no task is left, new ones included; those that do not end in time are cancelled."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            while left := tasks():
                await asyncio.wait(left)
    left = tasks()
    for task in left:
        log.warning("%s did not end within %d s", task.get_name(), seconds)
        task.cancel()
    await asyncio.gather(*left, return_exceptions=True)
