"""ProxyJump: `ssh -J bastion web-1` ends here (P3).

Theory of operation. OpenSSH's jump is a `direct-tcpip` channel (RFC 4254 section 7.2) to the target's name and SSH
port, through which the client then speaks SSH as if with the target. The bastion opens no connection there: it takes
the channel as a transport and is the SSH server at its end, with a host key of its own for that target (see
host_authority.py). So the inner connection is one like any other: the same keys, channel table and gates; the user name
is the login.

The inner login must be of the identity that made the outer one: two names on one path would make it unclear who asks.
There is no further hop inside, and no control: approvers need no jump.
"""

from __future__ import annotations

import asyncssh

from bastion.model import Identity, Target
from bastion.ssh.limits import LoginLimits
from bastion.ssh.server import BastionServer, Connections, ServeControl
from bastion.ssh.services import Services


class JumpServer(BastionServer):
    """The inner connection of a jump to one target."""

    def __init__(
        self,
        services: Services,
        limits: LoginLimits,
        connections: Connections,
        serve_control: ServeControl,
        outer: Identity,
        client: str,
        target: Target,
    ) -> None:
        super().__init__(services, limits, connections, serve_control, jump=None)
        self._outer, self._target, self._client = outer, target, client

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        """The channel is open. The outer connection counts against the limits, this one against its channels."""
        self._connect(conn)

    def validate_public_key(self, username: str, key: asyncssh.SSHKey) -> bool:
        """As outside, and only for the same identity."""
        if not super().validate_public_key(username, key):
            return False
        if self._offered is not None and self._offered[0].name == self._outer.name:
            return True
        self._offered = None
        if self._connection is not None:
            self._connection.send_auth_banner("bastion: a jump is made by one identity, with a key of its own\n")
        return False

    def auth_completed(self) -> None:
        """The signature was good."""
        if self._connection is not None and self._offered is not None:
            self._logged_in(self._connection, *self._offered)

    def _destination(self) -> tuple[str | None, str]:
        """The target is the one that was jumped to; the user name is the login."""
        return self._where, self._target.name
