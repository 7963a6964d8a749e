"""A line of a governed shell that runs beside it: one channel of the pool, its output on the shell's terminal.

It gets no stdin. ^C ends it; the shell itself is not touched.
"""

from __future__ import annotations

from collections.abc import Callable

import asyncssh

from bastion.ssh.pump import Side


class Aside(asyncssh.SSHClientSession[bytes]):
    """One command. `output` gets (`output` or `stderr`, bytes); `ended` its exit status, once everything has come."""

    def __init__(
        self, side: Side, *, terminal: bool, output: Callable[[str, bytes], None], ended: Callable[[int], None]
    ) -> None:
        self._side, self._terminal, self._output, self._ended = side, terminal, output, ended
        self._channel: asyncssh.SSHClientChannel[bytes] | None = None
        self._status = 255
        self._over = False

    def connection_made(self, chan: asyncssh.SSHClientChannel[bytes]) -> None:
        """The channel is open."""
        self._channel = chan
        self._side.channel = chan

    def session_started(self) -> None:
        """The command was granted."""
        if self._channel is not None:
            self._channel.write_eof()
            if self._side.paused:
                self._channel.pause_reading()

    def data_received(self, data: bytes, datatype: asyncssh.DataType) -> None:
        """What it puts out; on a terminal as a terminal would have it."""
        if self._terminal:
            self._output("output", data.replace(b"\n", b"\r\n"))
        else:
            self._output("output" if datatype is None else "stderr", data)

    def eof_received(self) -> bool:
        """The status is still to come."""
        return True

    def exit_status_received(self, status: int) -> None:
        """How it ended."""
        self._status = status

    def exit_signal_received(self, signal: str, core_dumped: bool, msg: str, lang: str) -> None:
        """A signal ended it: told as a shell tells it (bash(1), EXIT STATUS), without its number, which SSH has not."""
        self._status = 128

    def connection_lost(self, exc: Exception | None) -> None:
        """Everything has come."""
        self._channel = self._side.channel = None
        self.over()

    def over(self) -> None:
        """It has ended, or never began."""
        if not self._over:
            self._over = True
            self._ended(self._status)

    def interrupt(self) -> None:
        """^C, or the end of the session."""
        if self._channel is not None:
            self._channel.send_signal("INT")
            self._channel.close()
