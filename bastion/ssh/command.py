"""One command with a terminal, as a session: that of a shell (`shell.py`), with the command's own gate
(`gate/command.py`), and one command on the target (`one_command.py`) instead of a driver.

Nothing is on the target before it is approved. Notices go to stderr, so that stdout is the command's; each line ends as
a terminal in raw mode needs it.
"""

from __future__ import annotations

import secrets
from dataclasses import replace

from bastion.errors import BastionError
from bastion.gate import dispatch, driver, notices
from bastion.gate import effects as do
from bastion.gate import events as ev
from bastion.gate import shell_effects as sd
from bastion.gate import shell_events as sv
from bastion.gate.command import Command
from bastion.gate.shell import Shell
from bastion.model import Request, script_hash
from bastion.names import CERTIFIED
from bastion.policy.running_files import pinned
from bastion.policy.visible import visible_line
from bastion.ssh.dealings import Dealings
from bastion.ssh.driver_channels import Terminal
from bastion.ssh.one_command import OneCommand
from bastion.ssh.shell import ShellSession
from bastion.ssh.shell_lines import MARKER_WIDTH, bounded
from bastion.ssh.twins import find_twin
from bastion.ssh.upstream import FORCED


class CommandSession(ShellSession):
    """See the file's header."""

    what = "a command with a terminal"

    def __init__(self, dealings: Dealings, terminal: Terminal, command: bytes) -> None:
        self._asked_command, self._size = command, terminal
        self._one: OneCommand | None = None
        super().__init__(dealings, terminal)

    def _request(self) -> sv.Event:
        size = self._size
        now = self._services.clock.wall()
        return sv.CommandRequested(
            self._asked_command,
            size.name,
            size.columns,
            size.rows,
            self._services.new_request(),
            secrets.token_hex(16),
            now,
        )

    def _make_gate(self) -> Shell:
        where = replace(self._circumstances(), wait=self.environment.get("BASTION_WAIT", "") != "no")
        return Command(where, **self._of_policy())

    def _barred(self) -> str:
        """Nothing is on the target before the command was judged, which minds grants and freezes."""
        return self._with.withdrawn()

    def cut(self, reason: str, keeps: bool = False) -> None:
        """See ShellSession; what is held can be kept for the daemon's next start."""
        if not self._with.cut:
            self._with.cut = reason
            self._with.moved.set()
            self._events.post(ev.Cut(reason, keeps))

    async def _for_command(self, effect: sd.ForCommand) -> sv.Event | None:
        match effect:
            case do.FindTwin(request):
                found = await find_twin(self._with, request, self._decided, self._edited)
                if isinstance(found, ev.TwinFound) and found.decision is None:
                    self._report_progress(found.request)
                return found
            case do.RecordAttached(request):
                await self._with.records.attached(request)
                self._with.list_request(request)
            case do.Detach(request):
                self._services.broker.detach(request.id, self.id)
            case do.ForwardSignal(name):
                if self._one is not None:
                    self._one.signal(name)
            case sd.RunCommand(authorization, nonce):
                await self._run_command(authorization.request, nonce)
        return None

    async def _run_command(self, request: Request, nonce: str) -> None:
        """Connect, and have it started; what became of that is told."""
        self._with.stop_progress()
        services, target, pool = self._services, self._with.target, self._services.pool
        stored = services.stored(request.id, request.digest)
        try:
            key = None
            if target.credential == CERTIFIED:
                key = pool.minting.for_request(request.id, request.digest)
            connection = await pool.dial(target, request.login, key, held=self.id)
        except BastionError as error:
            self._events.post(sv.DriverFailed(f"not started: {error}"))
            return
        self._connection = connection
        if reason := self._with.unwanted():
            self._events.post(sv.DriverFailed(f"not started: {reason}"))
            return
        self._mark(f"{request.id} {visible_line(stored, MARKER_WIDTH)}")
        command, observer = pinned(stored, request.script, script_hash(request.script_code)), driver.finder()
        if target.credential == CERTIFIED:
            command, observer = FORCED, dispatch.OBSERVER
        self._begin_output(request)
        services.broker.ran(request.id, "running")
        terminal = Terminal(request.terminal, *bounded(self._size.columns, self._size.rows))
        self._record("resize", b"%dx%d" % (terminal.columns, terminal.rows))
        one = OneCommand(connection, self, terminal=terminal, environment=request.environment, observer=observer)
        self._one = self._driver = one
        self._take_output_of(one)
        await one.start(nonce, command, pool.connect_seconds)

    def _report_progress(self, request: Request) -> None:
        """It is held, and the agent waits; what can be done beforehand is, once."""
        super()._report_progress(request)
        if self._one is None and self._gate.where.wait:
            self._services.pool.expect(self.id, self._with.target, request.login, own=True)

    def _resize(self, columns: int, rows: int) -> None:
        self._size = Terminal(self._size.name, columns, rows)
        super()._resize(columns, rows)

    def _say(self, notice: notices.Notice) -> None:
        line = notices.line(notice, as_json=self._with.as_json).replace(b"\n", b"\r\n")
        self._pass_on("stderr", line if self._fresh else b"\r\n" + line)
