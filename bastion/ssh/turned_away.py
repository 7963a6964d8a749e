"""A session channel that leads nowhere: it says why, once, on stderr, and ends with 126.

Refusing the channel itself would be as safe, but OpenSSH's client tells the reason of that only at LogLevel INFO and
up, and agents run it with less. stderr is where they look.
"""

from __future__ import annotations

import asyncio

import asyncssh

from bastion.gate import notices
from bastion.ssh.driver_channels import Terminal
from bastion.ssh.services import Services


class TurnedAway(asyncssh.SSHServerSession[bytes]):
    """Refuses everything, with one reason."""

    def __init__(self, services: Services, identity: str, what: str, reason: str) -> None:
        self.environment: dict[str, str] = {}
        self._services, self._identity, self._what, self._reason = services, identity, what, reason
        self._channel: asyncssh.SSHServerChannel[bytes] | None = None

    def connection_made(self, chan: asyncssh.SSHServerChannel[bytes]) -> None:
        """The channel is open."""
        self._channel = chan

    def refused(self, what: str, reason: str) -> None:
        """Of no interest beside the main reason."""

    def not_open(self, what: str, reason: str) -> None:
        """A shell or subsystem."""
        self._end_soon()

    def exec_received(self, command: bytes, terminal: Terminal | None) -> TurnedAway:
        """A command."""
        self._end_soon()
        return self

    def shell_received(self, terminal: Terminal | None) -> TurnedAway:
        """A shell."""
        self._end_soon()
        return self

    def sftp_received(self) -> None:
        """No files are here: the channel says so, by `not_open`."""

    def window_changed(self, columns: int, rows: int) -> None:
        """Of no interest."""

    def left(self) -> None:
        """Nothing is held."""

    def data_received(self, data: bytes, datatype: asyncssh.DataType) -> None:
        """Thrown away."""

    def eof_received(self) -> bool:
        """Of no interest."""
        return True

    def _end_soon(self) -> None:
        """After the reply to the request, for which asyncssh needs the channel open."""
        asyncio.get_running_loop().call_soon(self._end)

    def _end(self) -> None:
        self._services.note_refusal(self._identity, self._what)
        if self._channel is not None:
            as_json = self.environment.get("BASTION_OUTPUT", "") == "json"
            line = notices.line(notices.refused(self._reason), as_json=as_json)
            self._channel.write(line, asyncssh.EXTENDED_DATA_STDERR)
            self._channel.write_eof()
            self._channel.exit(notices.EXIT_DENIED)
