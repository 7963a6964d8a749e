"""Output of a governed shell: to the recording, to those who watch, to the agent; and what the bastion itself says.

Theory of operation. Output does not pass the gate: the driver hands it to `output`, which records it, hashes it for the
command that runs, and passes it on, in the callback in which it came. It is paused while the agent, the network or the
recorder is behind. With a terminal, notices stand on lines of their own between the output; without one they go to
stderr.
"""

from __future__ import annotations

import asyncio

import asyncssh

from bastion.gate import effects as do
from bastion.gate import notices
from bastion.model import Request
from bastion.overwriting import Covers
from bastion.ssh.channel import AgentChannel
from bastion.ssh.dealings import Dealings
from bastion.ssh.driver import Driver
from bastion.ssh.driver_channels import Terminal
from bastion.ssh.one_command import OneCommand
from bastion.ssh.pump import UNSENT, UNSENT_SECONDS, Side, unsent
from bastion.ssh.shell_agent import AgentSide
from recorder.recording import Recording, Summary

SCREEN_LINES, SCREEN_BYTES = 12, 2048
"""Of the output before a line that its approver is shown with it; the console shows the rest."""


class Source:
    """The driver's output as something that can be paused, as `pump.Side` wants it."""

    def __init__(self, driver: Driver | OneCommand, beside: Side) -> None:
        self._driver, self._beside = driver, beside

    def pause_reading(self) -> None:
        self._driver.pause()
        self._beside.pause("shell")

    def resume_reading(self) -> None:
        self._driver.resume()
        self._beside.resume("shell")


class Output:
    """What the command that runs has put out."""

    def __init__(self) -> None:
        self.bytes = {"output": 0, "stderr": 0, "input": 0}

    def add(self, kind: str, data: bytes) -> None:
        self.bytes[kind] += len(data)

    def summary(self) -> Summary:
        return Summary(0, 0, dict(self.bytes), "", "")


class Outflow(AgentSide):
    """See the file's header."""

    def __init__(self, dealings: Dealings, terminal: Terminal | None) -> None:
        super().__init__(dealings, terminal)
        self._beside_side = Side()  # from a command that runs beside the shell
        self._recording: Recording | None = None
        self._outputs: dict[str, Output] = {}  # of the commands that run: more than one where shells are nested
        self._put_out = 0
        self._tail = bytearray()
        self._fresh = True  # the cursor is at the beginning of a line
        self._covers: Covers | None = None  # of the command that began last
        self._stale = False  # there was output since the terminal was looked at

    def writable(self, yes: bool) -> None:
        """driver.Listener: the target takes input, or does not for now."""
        if yes:
            self._reading.resume("target")
        else:
            self._reading.pause("target")

    def output(self, kind: str, data: bytes) -> None:
        """driver.Listener: the hot path."""
        self._stale = True
        if self._outputs:
            self._output().add(kind, data)
        self._put_out += len(data)
        self._tail += data[-SCREEN_BYTES:]
        del self._tail[:-SCREEN_BYTES]
        self._pass_on(kind, data)

    def _output(self) -> Output:
        """Of the innermost command that runs: the line that started its shell has what came at other times."""
        return self._outputs[next(reversed(self._outputs))]

    def _begin_output(self, request: Request) -> None:
        self._outputs[request.id] = Output()
        self._send_kept()
        self._covers = Covers() if self._services.masked(request) else None

    def _send_kept(self) -> None:
        """What was kept back since it could have become a secret: what comes next is somebody else's."""
        for kind, data in self._covers.flush() if self._covers is not None else ():
            self._hand_out(kind, data)

    def _take_output_of(self, driver: Driver | OneCommand) -> None:
        self._output_side.channel = Source(driver, self._beside_side)

    def _screen_before(self) -> tuple[tuple[str, str], ...]:
        """The last lines that were put out, for the approver."""
        lines = bytes(self._tail).decode("utf-8", "backslashreplace").replace("\r\n", "\n").split("\n")
        text = "\n".join(lines[-SCREEN_LINES:]).strip("\n")
        return (("before it", text),) if text else ()

    def _pass_on(self, kind: str, data: bytes) -> None:
        """Record and send on."""
        if self._recording is not None and not self._recording.write(kind, data):
            self._output_side.pause("recorder")
        self._with.seen(kind, data)
        if self._covers is not None:
            data = self._covers.cover(kind, data)
        if data:
            self._hand_out(kind, data)

    def _hand_out(self, kind: str, data: bytes) -> None:
        channel = self._with.channel
        if channel is None or self._with.gone or channel.is_closing():
            return
        if kind == "output":
            self._fresh = data.endswith(b"\n")
        channel.write(data, None if kind == "output" else asyncssh.EXTENDED_DATA_STDERR)
        if unsent(channel) > UNSENT:
            self._output_side.pause("network")
            self._look_again(channel)

    def _look_again(self, channel: AgentChannel) -> None:
        if unsent(channel) > UNSENT // 2 and not self._over:
            self._loop.call_later(UNSENT_SECONDS, self._look_again, channel)
        else:
            self._output_side.resume("network")

    def _recorder_moved(self) -> None:
        """Called from the recorder's thread: it caught up, or it failed."""
        self._loop.call_soon_threadsafe(self._after_recorder)

    def _after_recorder(self) -> None:
        if self._recording is not None and self._recording.failed is not None:
            self.cut(self._with.recording_failed())
        self._output_side.resume("recorder")

    # --- recording, and to the agent ----------------------------------------------------------------------------------

    def _record(self, kind: str, data: bytes) -> None:
        if self._recording is not None:
            self._recording.write(kind, data)
        self._with.seen(kind, data)

    def _mark(self, text: str) -> None:
        self._record("marker", text.encode())

    def _say(self, notice: notices.Notice) -> None:
        if self._terminal is None:
            self._with.say(notice)
            return
        self._send_kept()
        line = notices.line(notice, as_json=self._with.as_json).replace(b"\n", b"\r\n")
        self._pass_on("output", line if self._fresh else b"\r\n" + line)

    async def _exit(self, effect: do.Exit) -> None:
        self._reading.pause("over")
        self._send_kept()
        recording, self._recording = self._recording, None
        if recording is not None:
            await asyncio.wrap_future(recording.finish())
        await self._with.exit(effect)
