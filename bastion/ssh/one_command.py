"""One command on a terminal of the target, without a shell of ours: the only I/O of `ssh -t TARGET@bastion COMMAND`.

Stands where the driver of a shell stands (`driver.py`): output goes to the same listener, what may be typed goes the
other way, and an observer says what mode the terminal is in. The target's sshd starts the command, so its end is the
end of the channel: CommandDone with what the target said, or DriverFailed where it said nothing.

The command is sent once, and never again. It has a connection of its own: so the observer, the one other channel, finds
the terminal, and a certificate has nothing else to run.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import Sequence
from typing import Any, cast

import asyncssh

from bastion.gate import shell_events as ev
from bastion.gate.shell_effects import CONTROL_KEYS
from bastion.policy.visible import visible_line
from bastion.ssh import algorithms
from bastion.ssh.driver_channels import Listener, ShellOver, Terminal
from bastion.ssh.driver_early import SAID_WIDTH
from bastion.ssh.driver_observer import OBSERVE_SECONDS, OBSERVED_LIMIT
from bastion.ssh.driver_shell import STOP_SECONDS
from bastion.ssh.pump import SIGNAL_LIMIT
from bastion.ssh.streams import streamed

UNCONFIRMED = "the target did not confirm its end, so the command may still run there"


class _Main(asyncssh.SSHClientSession[bytes]):
    """The command's channel."""

    def __init__(self, owner: OneCommand) -> None:
        self._owner = owner

    def connection_made(self, chan: asyncssh.SSHClientChannel[bytes]) -> None:
        self._owner.channel = chan
        streamed(chan)

    def data_received(self, data: bytes, datatype: asyncssh.DataType) -> None:
        self._owner.listener.output("output" if datatype is None else "stderr", data)

    def eof_received(self) -> bool:
        return True

    def exit_status_received(self, status: int) -> None:
        self._owner.status = status

    def exit_signal_received(self, signal: str, core_dumped: bool, msg: str, lang: str) -> None:
        self._owner.signal_name = signal if signal.isalnum() and len(signal) <= SIGNAL_LIMIT else "?"

    def pause_writing(self) -> None:
        self._owner.listener.writable(False)

    def resume_writing(self) -> None:
        self._owner.listener.writable(True)

    def connection_lost(self, exc: Exception | None) -> None:
        self._owner.closed()


class OneCommand:
    """See the file's header. `observer` is what the observer's channel asks for."""

    def __init__(
        self,
        connection: asyncssh.SSHClientConnection,
        listener: Listener,
        *,
        terminal: Terminal,
        environment: Sequence[tuple[str, str]],
        observer: bytes,
    ) -> None:
        self.listener = listener
        self.channel: asyncssh.SSHClientChannel[bytes] | None = None
        self.status: int | None = None
        self.signal_name = ""
        self._connection, self._terminal, self._environment = connection, terminal, environment
        self._loop = asyncio.get_running_loop()
        self._command = observer
        self._observer: asyncssh.SSHClientProcess[bytes] | None = None
        self._observing = asyncio.Lock()
        self._asked = 0
        self._nonce, self._reason = "", ""
        self._began = self._paused = self._over = False
        self._stopping: asyncio.TimerHandle | None = None

    async def start(self, nonce: str, command: bytes, seconds: float) -> None:
        """Have the target start it; CommandBegan or DriverFailed is told. Raises nothing."""
        self._nonce = nonce
        try:
            async with asyncio.timeout(seconds):
                await self._connection.create_session(
                    lambda: _Main(self),
                    cast(Any, command),  # bytes go out as they are; asyncssh's annotation knows only text
                    env=dict(self._environment),
                    send_env=None,
                    request_pty="force",
                    term_type=self._terminal.name,
                    term_size=(self._terminal.columns, self._terminal.rows),
                    encoding=None,
                    window=algorithms.WINDOW,
                    max_pktsize=algorithms.PACKET,
                )
        except asyncssh.ChannelOpenError as error:
            self._fail(f"not started: the target starts no command on a terminal: {_said(error.reason)}")
            return
        except (asyncssh.Error, OSError, TimeoutError) as error:
            why = _said(str(error)) or type(error).__name__
            self._fail(f"the target did not say whether it started the command: {why}; it may run")
            return
        if not self._over:
            self._began = True
            self.listener.tell(ev.CommandBegan(nonce))
            if self._paused and self.channel is not None:
                self.channel.pause_reading()
            if self.channel is None:  # so short that its end came first
                self._tell_end()

    def send(self, data: bytes) -> None:
        """Type. Raises ShellOver when it has ended."""
        if not self._began or self.channel is None or self._reason:
            raise ShellOver("no command runs")
        self.channel.write(data)

    def control(self, key: str) -> None:
        """One of the four keys; when it has ended, nothing."""
        with contextlib.suppress(ShellOver):
            self.send(CONTROL_KEYS[key])

    def signal(self, name: str) -> None:
        """Signal it (RFC 4254 section 6.9)."""
        if self.channel is not None and not self._reason:
            with contextlib.suppress(OSError):
                self.channel.send_signal(name)

    def resize(self, columns: int, rows: int) -> None:
        """Tell the terminal its size."""
        if self.channel is not None:
            self.channel.change_terminal_size(columns, rows)

    def pause(self) -> None:
        """Read no more output for now."""
        self._paused = True
        if self.channel is not None:
            self.channel.pause_reading()

    def resume(self) -> None:
        """Read on."""
        self._paused = False
        if self.channel is not None:
            self.channel.resume_reading()

    async def observe(self) -> ev.TtyChanged | None:
        """How the terminal is now; None where the target does not tell."""
        if not self._began or self._over:
            return None
        async with self._observing:
            try:
                async with asyncio.timeout(OBSERVE_SECONDS):
                    if self._observer is None or self._observer.is_closing():
                        self._observer = await self._connection.create_process(
                            cast(Any, self._command), encoding=None, stderr=asyncssh.DEVNULL, env={}, send_env=None
                        )
                    self._asked += 1
                    self._observer.stdin.write(b"%d\n" % self._asked)
                    return await self._answer(self._observer)
            except (TimeoutError, asyncssh.Error, OSError):
                return None

    async def _answer(self, observer: asyncssh.SSHClientProcess[bytes]) -> ev.TtyChanged | None:
        """Answers of questions that were given up come first."""
        said = 0
        while line := await observer.stdout.readline():
            match = re.fullmatch(rb"O;(\d+);([01]?);([01]);([a-z]*)\n", line)
            if match is not None and int(match[1]) == self._asked:
                echo, canonical, owner = match[2], match[3], match[4].decode()
                return ev.TtyChanged(echo == b"1", canonical == b"1", owner) if echo else None
            said += len(line)
            if said > OBSERVED_LIMIT:
                break
        return None

    def end(self, reason: str) -> None:
        """End it: hang up, and close the channel; DriverFailed says whether the target confirmed that."""
        if self._reason or self._over:
            return
        self._reason = reason
        if self.channel is None:
            self._fail("")
            return
        with contextlib.suppress(OSError):
            self.channel.send_signal("HUP")
        self.channel.close()
        self._stopping = self._loop.call_later(STOP_SECONDS, self._fail, UNCONFIRMED)

    async def close(self) -> None:
        """Nothing is read any more; the connection is closed by its owner."""
        self._over = True
        if self._stopping is not None:
            self._stopping.cancel()
        if self._observer is not None:
            self._observer.close()

    # --- what the channel calls -------------------------------------------------------------------------------------

    def closed(self) -> None:
        """The channel has closed, and everything was delivered."""
        self.channel = None
        if self._began:
            self._tell_end()

    def _tell_end(self) -> None:
        if self._reason:
            self._fail("")
        elif self.status is None and not self.signal_name:
            self._fail("the target closed the channel without a status")
        elif not self._over:
            self._over = True
            self.listener.tell(ev.CommandDone(self._nonce, self.status or 0, "", self.signal_name))

    def _fail(self, reason: str) -> None:
        if not self._over:
            self._over = True
            self.listener.tell(ev.DriverFailed(reason))


def _said(text: str) -> str:
    """The target's own words, for people."""
    return visible_line(text.encode(), SAID_WIDTH)
