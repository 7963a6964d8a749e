"""What a channel of a transfer is told and has no use for: there is no terminal, no second request, no signal."""

from __future__ import annotations

from asyncssh.stream import SSHServerStreamSession

from bastion.ssh.driver_channels import Terminal


class Deaf(SSHServerStreamSession[bytes]):
    """The rest of what `ssh.channel.Agent` asks for. The channel's table lets one exec, shell or subsystem through, so
    what would be a second one never comes."""

    def session_started(self) -> None:
        """asyncssh would start a handler of its own."""

    def signal_received(self, signal: str) -> None:
        """Of no meaning here."""

    def break_received(self, msec: int) -> bool:
        """Of no meaning here; asyncssh would put it among the bytes."""
        return False

    def not_open(self, what: str, reason: str) -> None:
        """The channel lets only one of these through."""

    def exec_received(self, command: bytes, terminal: Terminal | None) -> None:
        """The channel lets only one of these through."""

    def shell_received(self, terminal: Terminal | None) -> None:
        """The channel lets only one of these through."""

    def sftp_received(self) -> None:
        """The channel lets only one of these through."""

    def window_changed(self, columns: int, rows: int) -> None:
        """There is no terminal."""
