"""Open the door: the SSH server's settings, its listening socket, and what a jump through it meets."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import asyncssh

from bastion.host_authority import HostAuthority
from bastion.model import Identity, Target
from bastion.ssh import algorithms
from bastion.ssh.jump import JumpServer
from bastion.ssh.limits import LoginLimits
from bastion.ssh.server import BastionServer, Connections, ServeControl
from bastion.ssh.services import Services


async def listen(
    services: Services,
    host: str,
    port: int,
    *,
    host_key: asyncssh.SSHKey,
    authority: HostAuthority,
    names: tuple[str, ...],
    limits: LoginLimits,
    connections: Connections,
    serve_control: ServeControl,
    login_seconds: float,
    keepalive_seconds: float,
) -> asyncssh.SSHAcceptor:
    """Serve SSH. `names` are the bastion's, for its certificate. Raises OSError when the address cannot be had."""
    settings = _settings(login_seconds, keepalive_seconds)

    def jump(identity: Identity, client: str, target: Target) -> asyncssh.SSHServerConnection:
        options = asyncssh.SSHServerConnectionOptions(
            server_factory=lambda: JumpServer(services, limits, connections, serve_control, identity, client, target),
            server_host_keys=authority.for_target(target.name, time.time()),
            **settings,
        )
        return asyncssh.SSHServerConnection(asyncio.get_running_loop(), options)

    return await asyncssh.create_server(
        lambda: BastionServer(services, limits, connections, serve_control, jump),
        host,
        port,
        server_host_keys=authority.own(host_key, names),
        reuse_address=True,
        **settings,
    )


def _settings(login_seconds: float, keepalive_seconds: float) -> dict[str, Any]:
    """Of every connection, a jump's inner one too."""
    return {
        "server_version": "agent-bastion",
        "config": None,
        "kex_algs": algorithms.KEX,
        "encryption_algs": algorithms.offered(hardware=algorithms.aes_in_hardware()),
        "mac_algs": algorithms.MAC,
        "compression_algs": ["none"],
        "public_key_auth": True,
        "password_auth": False,
        "kbdint_auth": False,
        "host_based_auth": False,
        "gss_host": None,
        "allow_pty": False,
        "agent_forwarding": False,
        "x11_forwarding": False,
        "allow_scp": False,
        "login_timeout": login_seconds,
        "keepalive_interval": keepalive_seconds,
        "keepalive_count_max": 3,
        "encoding": None,
        "window": algorithms.HELD_WINDOW,
        "max_pktsize": algorithms.PACKET,
    }
