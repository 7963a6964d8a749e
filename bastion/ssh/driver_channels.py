"""The channels of a governed shell's driver, and whom it tells: T, K and O of one connection, N for each inner shell.

Each channel is opened by a program of ours (`gate.driver.Programs`), and what comes on it goes to its owner, with its
role.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, cast

import asyncssh

from bastion.errors import BastionError
from bastion.gate import shell_events as ev
from bastion.ssh import algorithms
from bastion.ssh.streams import streamed


class DriverError(BastionError):
    """Asked of a driver what it cannot do now: a mistake of the caller."""


class ShellOver(DriverError):
    """The shell that it was for has ended in this moment; the event that says so is on its way."""


class Listener(Protocol):
    """Who is told. Calls come from the event loop, and must not raise."""

    def tell(self, event: ev.FromDriver) -> None:
        """Something happened. DriverFailed is the last."""

    def output(self, kind: str, data: bytes) -> None:
        """`output` or `stderr` of the target, without our marks; between Began and Done it is the command's, at other
        times that of background jobs and start-up files."""

    def writable(self, yes: bool) -> None:
        """The target takes more input, or it does not for now."""


@dataclass(frozen=True, slots=True)
class Terminal:
    """What the agent asked for with `pty-req` (RFC 4254 section 6.2)."""

    name: str
    columns: int
    rows: int


class Owner(Protocol):
    """Who has the channels."""

    def received(self, channel: Channel, data: bytes, *, error: bool) -> None:
        """Something came on it."""

    def closed(self, channel: Channel) -> None:
        """It is closed. It may be one that was dropped before, and has a successor."""

    def writable(self, yes: bool) -> None:
        """The terminal takes more input, or it does not for now."""


class Channel(asyncssh.SSHClientSession[bytes]):
    """One channel; what comes goes to the driver."""

    def __init__(self, owner: Owner, role: str) -> None:
        self.owner, self.role = owner, role
        self.status: int | None = None
        """Exit status of its program, once it said so."""
        self.channel: asyncssh.SSHClientChannel[bytes] | None = None
        """While it is open."""

    def connection_made(self, chan: asyncssh.SSHClientChannel[bytes]) -> None:
        self.channel = chan
        streamed(chan)

    def data_received(self, data: bytes, datatype: asyncssh.DataType) -> None:
        self.owner.received(self, data, error=datatype is not None)

    def eof_received(self) -> bool:
        return True

    def exit_status_received(self, status: int) -> None:
        self.status = status

    def pause_writing(self) -> None:
        if self.role == "T":
            self.owner.writable(False)

    def resume_writing(self) -> None:
        if self.role == "T":
            self.owner.writable(True)

    def connection_lost(self, exc: Exception | None) -> None:
        self.channel = None
        self.owner.closed(self)

    def write(self, data: bytes) -> None:
        """Send, if it is open."""
        if self.channel is not None and not self.channel.is_closing():
            self.channel.write(data)

    def close(self) -> None:
        """End it."""
        if self.channel is not None:
            self.channel.close()

    def drop(self) -> None:
        """End its input, and then it."""
        if self.channel is not None:
            self.channel.write_eof()
            self.channel.close()


async def open_channel(
    connection: asyncssh.SSHClientConnection,
    channel: Channel,
    asked: tuple[bytes, bytes],
    *,
    terminal: Terminal | None = None,
    environment: Sequence[tuple[str, str]] = (),
) -> None:
    """Open it with the program and the first bytes of its input. Raises asyncssh.Error, OSError."""
    command, first = asked
    await connection.create_session(
        lambda: channel,
        cast(Any, command),  # bytes go out as they are; asyncssh's annotation knows only text
        env=dict(environment),
        send_env=None,
        request_pty="force" if terminal is not None else False,
        term_type=terminal.name if terminal is not None else None,
        term_size=(terminal.columns, terminal.rows) if terminal is not None else (0, 0),
        encoding=None,
        window=algorithms.WINDOW,
        max_pktsize=algorithms.PACKET,
    )
    if first:
        channel.write(first)
