"""Lines of a governed shell, run: in it, in a shell inside, or beside it; and what is typed into the one that runs.

What is sent is the bytes that the ledger holds under the request's digest, never the session's own copy.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine

from bastion.covering import visible_line
from bastion.errors import BastionError
from bastion.gate import effects as do
from bastion.gate import notices
from bastion.gate import shell_effects as sd
from bastion.gate import shell_events as sv
from bastion.model import Decision, Request, StdinMode
from bastion.policy.aside import there
from bastion.ssh import nesting
from bastion.ssh.aside import Aside
from bastion.ssh.dealings import Dealings
from bastion.ssh.driver_channels import DriverError, ShellOver, Terminal
from bastion.ssh.shell_questions import Questions

MARKER_WIDTH = 200
"""Characters of a command in the marker that players show."""

SIDE_MOST = 10_000
"""Columns or rows that the target's terminal is told; a client may claim any 32 bits."""


class Lines(Questions):
    """See the file's header."""

    def __init__(self, dealings: Dealings, terminal: Terminal | None) -> None:
        super().__init__(dealings, terminal)
        self._beside: Aside | None = None
        self._window: asyncio.TimerHandle | None = None

    async def _in_driver(self, work: Coroutine[None, None, None]) -> None:
        try:
            await work
        except ShellOver as error:  # which is told next
            self._mark(f"not run: {error}")

    async def _open_inside(self, effect: sd.NestLine, command: bytes) -> None:
        """A while can pass until it is begun, in which the agent may leave: so not in the session's task."""
        try:
            await self._in_driver(nesting.nest(self._shell, effect, command))
        except DriverError as error:
            self._events.post(sv.DriverFailed(str(error)))

    async def _run_line(self, effect: sd.RunLine | sd.NestLine) -> None:
        request = effect.authorization.request
        self._with.stop_progress()
        if reason := self._with.unwanted():
            self._events.post(sv.DriverFailed(reason))
            return
        command = self._services.stored(request.id, request.digest)
        self._mark(f"{request.id} {visible_line(command, MARKER_WIDTH)}")
        self._record("input", command + b"\n")
        self._begin_output(request)
        self._services.broker.ran(request.id, "running")
        if isinstance(effect, sd.RunLine):
            await self._in_driver(nesting.run(self._shell, effect, command))
        else:
            self._services.spawn(self._open_inside(effect, command), f"session {self.id} opens a shell inside")

    async def _run_aside(self, request: Request, nonce: str, cwd: str) -> None:
        self._with.stop_progress()
        if reason := self._with.unwanted():
            self._events.post(sv.DriverFailed(reason))
            return
        command = self._services.stored(request.id, request.digest)
        self._mark(f"{request.id} beside the shell: {visible_line(command, MARKER_WIDTH)}")
        self._record("input", command + b"\n")
        self._begin_output(request)
        self._services.broker.ran(request.id, "running")
        self._events.post(sv.CommandBegan(nonce))
        self._beside = beside = Aside(
            self._beside_side,
            terminal=self._terminal is not None,
            output=self.output,
            ended=lambda status: self._events.post(sv.CommandDone(nonce, status, cwd)),
        )
        try:
            await self._services.pool.start(
                self._with.target, request, there(cwd, command), lambda: beside, wanted=self._with.unwanted
            )
        except BastionError as error:
            self._say(notices.failed(str(error)))
            beside.over()

    def _control(self, key: str) -> None:
        if self._beside is not None:
            if key in ("^C", "^\\"):
                self._beside.interrupt()
        elif self._driver is not None:
            self._driver.control(key)

    async def _sent(self, authorization: do.Authorization) -> None:
        request = authorization.request
        grounds = self._with.records.proposal
        if isinstance(authorization.grounds, Decision):
            grounds = await self._with.use_approval(request)
        self._with.stop_progress()
        await self._with.records.sent(request, grounds)
        self._services.broker.ran(request.id, "sent")

    def _send(self, request: Request, data: bytes) -> None:
        """Into the command's terminal: an approved line, or keys inside their window."""
        if self._driver is None:
            return
        try:
            self._driver.send(data)
        except ShellOver:  # which the gate hears of next
            self._mark(f"{request.id} not delivered: the command had ended")
            return
        if request.stdin is StdinMode.SECRET:
            self._mark(f"{request.id} a password was sent")
            return
        self._record("input", data)
        if self._outputs:
            self._output().add("input", data)

    async def _finished(self, effect: do.RecordFinished) -> None:
        output = self._outputs.pop(effect.request.id, None)
        self._send_kept()
        summary = output.summary() if output is not None else None
        self._services.sessions.change(self.id, output_bytes=self._put_out)
        ended = await self._with.records.finished(effect.request, summary, effect.status, effect.signal, effect.note)
        self._services.broker.ran(effect.request.id, ended)
        self._mark(f"{effect.request.id} {ended}")

    # --- windows and sizes --------------------------------------------------------------------------------------------

    def _resize(self, columns: int, rows: int) -> None:
        columns, rows = bounded(columns, rows)
        self._record("resize", b"%dx%d" % (columns, rows))
        if self._driver is not None:
            self._driver.resize(columns, rows)

    def _open_window(self, effect: sd.OpenWindow) -> None:
        over = sv.WindowOver(effect.request.id, f"{effect.seconds} s are over")
        self._window = self._loop.call_later(effect.seconds, self._events.post, over)
        until = self._services.clock.wall() + effect.seconds * 1_000_000
        self._services.sessions.change(self.id, mode=effect.mode.value, until=until)
        self._mark(f"{effect.request.id} {effect.mode.value}: keys pass for {effect.seconds} s")

    def _close_window(self) -> None:
        if self._window is not None:
            self._window.cancel()
            self._window = None
        self._services.sessions.change(self.id, mode="", until=0)
        self._mark("keys pass no more")


def bounded(columns: int, rows: int) -> tuple[int, int]:
    """What the target's terminal is told; 0 is unknown."""
    return min(columns, SIDE_MOST) or 80, min(rows, SIDE_MOST) or 24
