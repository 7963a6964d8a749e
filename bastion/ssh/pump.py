"""Bytes between an agent and its running command, recorded on the way. The hot path.

Theory of operation. Each chunk is appended to the recording and handed on, in the callback in which it arrived: no
tasks, no copies, no parsing. Back-pressure goes both ways and has two causes: the far side's send buffer is full, or
the recorder is behind (its backlog is above its high-water mark). A side is paused while it has any cause.

The exit status is kept until the target's channel has closed, which asyncssh reports after the last byte: relaying it
when it arrives loses the tail of the output under back-pressure.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import Any

import asyncssh

from bastion.gate.events import UpstreamEnded
from bastion.overwriting import Covers
from bastion.ssh import algorithms
from bastion.ssh.streams import streamed
from recorder.recording import Recording

UNSENT = 8 << 20
"""Bytes handed to a connection that the network has not taken; OpenSSH's window is 2 MiB. Windows are the other end's
to choose, up to 4 GiB, and asyncssh does not look at the socket: without this, whoever grants a huge window and does
not read fills the memory."""

UNSENT_SECONDS = 0.02
"""Between two looks at it, while it is too much."""

Ended = Callable[[UpstreamEnded], None]
Seen = Callable[[str, bytes], None]
Channel = asyncssh.SSHServerChannel[bytes] | asyncssh.SSHClientChannel[bytes]


SIGNAL_LIMIT = 16
"""Characters of a signal's name; RFC 4254 section 6.10 has at most 4."""


class Side:
    """Reading from one channel, paused while there is a cause. Without a channel there is nothing left to read:
    asyncssh raises when one that has closed is resumed, in whatever callback of another connection that happens."""

    def __init__(self) -> None:
        self.channel: Any = None
        self._causes: set[str] = set()

    @property
    def paused(self) -> bool:
        """There is a cause."""
        return bool(self._causes)

    def pause(self, cause: str) -> None:
        """Stop reading for this cause."""
        if not self._causes and self.channel is not None:
            self.channel.pause_reading()
        self._causes.add(cause)

    def resume(self, cause: str) -> None:
        """This cause is gone."""
        self._causes.discard(cause)
        if not self._causes and self.channel is not None:
            self.channel.resume_reading()


class Upstream(asyncssh.SSHClientSession[bytes]):
    """The target's end of one running command."""

    def __init__(
        self,
        agent: asyncssh.SSHServerChannel[bytes],
        agent_reading: Side,
        recording: Recording,
        *,
        ended: Ended,
        seen: Seen,
        covers: Covers | None = None,
    ) -> None:
        """`covers`: the agent gets secrets overwritten; the recording keeps them."""
        self._covers = covers
        self.reading = Side()
        self.agent_reading = agent_reading
        self.channel: asyncssh.SSHClientChannel[bytes] | None = None
        self._agent: asyncssh.SSHServerChannel[bytes] | None = agent
        self._recording: Recording | None = recording
        self._ended, self._seen = ended, seen
        self._status: int | None = None
        self._signal = ""
        self._stopped = False
        self._over = False

    def connection_made(self, chan: asyncssh.SSHClientChannel[bytes]) -> None:
        """The channel is open; the exec request goes out next."""
        self.channel = self.reading.channel = chan
        streamed(chan)

    # --- target to agent ------------------------------------------------------------------------------------------

    def data_received(self, data: bytes, datatype: asyncssh.DataType) -> None:
        """Output (RFC 4254 section 5.2)."""
        if self._recording is None:
            return
        kind = "output" if datatype is None else "stderr"
        if not self._recording.write(kind, data):
            self.reading.pause("recorder")
            self.agent_reading.pause("recorder")
        self._seen(kind, data)
        if self._covers is not None:
            data = self._covers.cover(kind, data)
        if self._agent is not None and data:
            self._agent.write(data, datatype)
            if unsent(self._agent) > UNSENT:
                self.reading.pause("network")
                self._look_again(self._agent, self.reading)

    def agent_full(self) -> None:
        """The agent reads slower than the target writes."""
        self.reading.pause("agent")

    def agent_drained(self) -> None:
        """The agent caught up."""
        self.reading.resume("agent")

    def agent_left(self) -> None:
        """Nobody reads any more: what still comes is recorded, and dropped."""
        self._agent = None
        self.reading.resume("agent")

    # --- agent to target ------------------------------------------------------------------------------------------

    def send(self, data: bytes) -> None:
        """Stdin for the command. What comes after its end is dropped, and not recorded: nobody got it."""
        if self.channel is None or self.channel.is_closing() or self._recording is None:
            return
        if not self._recording.write("input", data):
            self.reading.pause("recorder")
            self.agent_reading.pause("recorder")
        self.channel.write(data)
        if unsent(self.channel) > UNSENT:
            self.agent_reading.pause("network")
            self._look_again(self.channel, self.agent_reading)

    def _look_again(self, channel: Channel, side: Side) -> None:
        if unsent(channel) > UNSENT // 2 and not self._over:
            asyncio.get_running_loop().call_later(UNSENT_SECONDS, self._look_again, channel, side)
        else:
            side.resume("network")

    def send_eof(self) -> None:
        """End of stdin."""
        if self.channel is not None and not self._stopped:
            self.channel.write_eof()

    def pause_writing(self) -> None:
        """The target reads slower than the agent writes."""
        self.agent_reading.pause("target")

    def resume_writing(self) -> None:
        """The target caught up."""
        self.agent_reading.resume("target")

    def recorder_caught_up(self) -> None:
        """The recorder's backlog fell below its low-water mark."""
        self.reading.resume("recorder")
        self.agent_reading.resume("recorder")

    # --- the end ----------------------------------------------------------------------------------------------------

    def eof_received(self) -> bool:
        """The target will send no more; its channel stays open until it closes it."""
        return True

    def exit_status_received(self, status: int) -> None:
        """RFC 4254 section 6.10; kept until everything is delivered."""
        self._status = status

    def exit_signal_received(self, signal: str, core_dumped: bool, msg: str, lang: str) -> None:
        """RFC 4254 section 6.10; kept until everything is delivered. The name is the target's: it is no free text."""
        self._signal = signal if signal.isalnum() and len(signal) <= SIGNAL_LIMIT else "?"

    def connection_lost(self, exc: Exception | None) -> None:
        """The channel has closed and everything was delivered."""
        self._over = True
        if self._covers is not None and self._agent is not None:
            for kind, data in self._covers.flush():
                self._agent.write(data, None if kind == "output" else asyncssh.EXTENDED_DATA_STDERR)
        self.channel = self.reading.channel = None
        self._ended(UpstreamEnded(self._status, self._signal))

    def forget(self) -> None:
        """Its end is not waited for any more. The channel stays until the target closes it, which may take as long as
        the command runs there; the session it was for shall not stay with it."""
        self._agent = self._recording = None
        self.agent_reading = Side()
        self._ended, self._seen = _nobody, _nobody

    def signal(self, name: str) -> None:
        """Signal the command (RFC 4254 section 6.9); the name has no SIG."""
        if self.channel is not None and not self._stopped:
            with contextlib.suppress(OSError):
                self.channel.send_signal(name)

    def stop(self, *, hard: bool) -> None:
        """End the command: hang up, or kill; then close the channel.

        Closing alone would leave a command running that neither reads nor writes. asyncssh's own `is_closing` is no
        guide here: it is true as soon as stdin has ended.
        """
        if self.channel is None or self._stopped:
            return
        self._stopped = True
        with contextlib.suppress(OSError):  # the channel has closed by itself
            self.channel.send_signal("KILL" if hard else "HUP")
        self.channel.close()


def _nobody(*_: object) -> None:
    """Who is told when nobody is."""


def unsent(channel: Channel) -> int:
    """Bytes that its connection has not put on the wire, about; while keys are exchanged, it keeps packets."""
    connection = channel._conn
    if connection is None or connection._transport is None:
        return 0
    return connection._transport.get_write_buffer_size() + len(connection._deferred_packets) * algorithms.PACKET


async def drained(channel: asyncssh.SSHServerChannel[bytes], moved: asyncio.Event, give_up: Callable[[], bool]) -> None:
    """Wait until everything written to the agent has left the buffer. `moved` is set when the buffer emptied, and when
    `give_up` may have changed; the caller has set the channel's water marks to 0."""
    while channel.get_write_buffer_size() and not channel.is_closing() and not give_up():
        moved.clear()
        await moved.wait()
