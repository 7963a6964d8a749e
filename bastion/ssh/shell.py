"""One governed shell of an agent: callbacks and the driver's events in; the gate's effects, in order, out.

Theory of operation. As in `session.py`: the channel's callbacks and the driver only note what happened, and the one
task takes events one at a time, asks the gate (`gate/shell.py`) and executes its effects strictly in order; an effect
that fails ends the shell. The answer to Describe is given before any other event.

The parts stand on each other: `shell_agent.py` is the agent's channel, `shell_output.py` what comes from the target,
`shell_questions.py` what the bastion asks, `shell_lines.py` what is run; here is the task.

Before what an agent types into a program is looked at, the terminal is looked at, if there was output since: a program
that asks for a password has put the echo off before it asked (`observe`).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from typing import TypedDict, assert_never

import asyncssh

from bastion import audit, ids
from bastion.errors import BastionError
from bastion.gate import asking, intent, modes, notices
from bastion.gate import effects as do
from bastion.gate import events as ev
from bastion.gate import shell_effects as sd
from bastion.gate import shell_events as sv
from bastion.gate.channels import PASSED_ENVIRONMENT
from bastion.gate.dispatch import Dispatched
from bastion.gate.driver import Programs
from bastion.gate.gate import Circumstances
from bastion.gate.shell import Shell
from bastion.gate.shell_states import State
from bastion.model import Assessment, Request, StdinMode
from bastion.names import CERTIFIED
from bastion.policy.judge import Judgement
from bastion.ssh import nesting
from bastion.ssh.dealings import Dealings
from bastion.ssh.driver import Driver
from bastion.ssh.driver_channels import Terminal
from bastion.ssh.login_shell import login_shell_beside
from bastion.ssh.shell_agent import ShellEvent
from bastion.ssh.shell_lines import Lines, bounded
from recorder.errors import RecorderError
from recorder.recording import TERMINAL_CHUNK

log = logging.getLogger(__name__)

CLOSE_SECONDS = 5.0
"""How long a target may take to close the channels of a shell that has ended."""


class OfPolicy(TypedDict):
    """What a gate asks policy."""

    leave_running: bool
    intent: Callable[[bytes], intent.Intent]
    assess: Callable[..., Assessment]
    judge: Callable[[Request, int], Judgement]


class ShellSession(Lines):
    """One shell; see the file's header."""

    what = "a shell"

    def __init__(self, dealings: Dealings, terminal: Terminal | None) -> None:
        super().__init__(dealings, terminal)
        self._counted = False
        self._connection: asyncssh.SSHClientConnection | None = None
        self._gate = self._make_gate()
        self._status = 0
        self._idle: asyncio.TimerHandle | None = None
        limit = self._services.shells.seconds
        self._limit = self._loop.call_later(limit, self.cut, f"{self.what} lasts at most {limit:g} s here")
        self._events.post(self._request())
        self._services.spawn(self._run(), f"session {self.id}")

    def _request(self) -> ShellEvent:
        """What the agent asked for."""
        terminal = self._terminal
        size = (terminal.columns, terminal.rows) if terminal is not None else (0, 0)
        return sv.ShellRequested(terminal.name if terminal is not None else "", *size)

    def _make_gate(self) -> Shell:
        return Shell(self._circumstances(), **self._of_policy())

    def _circumstances(self) -> Circumstances:
        services, info = self._services, self._with.info
        passed = [(name, value) for name, value in self.environment.items() if name in PASSED_ENVIRONMENT]
        return Circumstances(
            identity=info.identity,
            key=info.key,
            session=info.id,
            target=self._with.target,
            login=self._with.login,
            environment=tuple(sorted([*passed, *modes.SAFER])),
            wait=True,
            approvals=services.approvals,
            timeout=services.broker.timeout,
        )

    def _of_policy(self) -> OfPolicy:
        services, environment = self._services, self.environment
        return {
            "leave_running": services.shells.leave_running,
            "intent": lambda command: intent.read(command, environment),
            "assess": services.assess,
            "judge": services.judge,
        }

    def _barred(self) -> str:
        """Why this must not even begin: a shell is on the target before any command."""
        return self._with.withdrawn() or self._with.closed()

    def exec_received(self, command: bytes, terminal: Terminal | None) -> ShellSession:
        """The channel lets only one of these through."""
        return self

    def shell_received(self, terminal: Terminal | None) -> ShellSession:
        """The channel lets only one of these through."""
        return self

    # --- the task -----------------------------------------------------------------------------------------------------

    async def _run(self) -> None:
        gate = self._gate
        self._services.sessions.open(self._with.info, self.cut, self.end_keys)
        if reason := self._barred():
            self._events.post_first(ev.Cut(reason))
        try:
            self._recording = self._services.record(self.id, self._recorder_moved, TERMINAL_CHUNK)
            for notice in self._with.take_refusals():
                self._say(notice)
            while gate.state is not State.CLOSED:
                await self._receive(await self._events.take())
        except (BastionError, RecorderError) as error:
            await self._fail(str(error))
        except Exception:
            log.exception("session %s", self.id)
            await self._fail("internal error of the bastion, or of the shell's protocol; its log says more")
        finally:
            self._over = True
            for timer in (self._window, self._idle, self._limit):
                if timer is not None:
                    timer.cancel()
            self._with.close()
            await self._close_upstream()
            if self._counted:
                self._services.open_shells[self._with.info.identity] -= 1

    async def _receive(self, event: ShellEvent) -> None:
        if isinstance(event, sv.BytesTyped):
            await self._look_first()
        elif isinstance(event, ev.Decided):
            await self._still_asked()
        elif isinstance(event, sv.DriverReady):
            depth = self._gate.depth + (self._gate.state is not State.OPENING)
            await self._ask(asking.set_up(event.kind), depth)
            self._status = 0
            if depth:
                event = replace(event, who=await self._who(event.kind, depth))
        elif isinstance(event, sv.CommandDone):
            self._status = event.status if self._beside is None else self._status  # the shell's own
            self._beside = None
        await self._execute(self._gate.receive(event))
        self._watch_idleness()
        self._was_read(event.data if isinstance(event, sv.BytesTyped) else b"", full=self._gate.full)

    def _watch_idleness(self) -> None:
        """From now on, if the shell waits for a command."""
        if self._idle is not None:
            self._idle.cancel()
            self._idle = None
        if self._gate.state is State.IDLE:
            limit = self._services.shells.idle_seconds
            self._idle = self._loop.call_later(limit, self.cut, f"nothing happened for {limit:g} s")

    def end_keys(self, reason: str) -> None:
        """A person ends the window in which keys pass."""
        if self._gate.request is not None:
            self._events.post(sv.WindowOver(self._gate.request.id, reason))

    async def _look_first(self) -> None:
        """Whether the program that is about to be typed into asks for a password."""
        if self._gate.state is State.LINE and self._stale and self._driver is not None:
            self._stale = False
            tty = await self._driver.observe()
            if tty is not None:
                await self._execute(self._gate.receive(tty))

    async def _still_asked(self) -> None:
        """Whether a password that was held is still asked for: what nobody saw must not go to who reads lines now. A
        terminal that cannot be looked at any more asks for none."""
        held = self._gate.held
        if held is not None and held.stdin is StdinMode.SECRET and self._driver is not None:
            tty = await self._driver.observe()
            await self._execute(self._gate.receive(tty or sv.TtyChanged(echo=True, canonical=True, owner="")))

    async def _fail(self, reason: str) -> None:
        """The bastion cannot do its part: end what runs, take back what is held, say so."""
        gate = self._gate
        if self._driver is not None:
            self._driver.end(reason)
        try:
            if gate.held is not None:
                await self._services.broker.withdraw(gate.held.id, reason)
            for request in self._with.records.unfinished:
                await self._finished(do.RecordFinished(request, None, "", f"its end was not seen: {reason}"))
        except (BastionError, RecorderError) as error:
            log.error("session %s: %s", self.id, error)
        self._say(notices.failed(reason))
        await self._exit(do.Exit(notices.EXIT_BASTION, why=reason))

    async def _close_upstream(self) -> None:
        driver, connection = self._driver, self._connection
        if driver is not None:
            with contextlib.suppress(TimeoutError, asyncssh.Error, OSError):
                async with asyncio.timeout(CLOSE_SECONDS):
                    await driver.close()
        if connection is not None:
            connection.abort()

    # --- effects, in order --------------------------------------------------------------------------------------------

    async def _execute(self, effects: list[sd.Effect]) -> None:  # noqa: PLR0912, PLR0915 -- one row an effect, and nothing else
        answer: sv.Event | None = None
        waiting = deque(effects)
        while waiting:
            effect = waiting.popleft()
            match effect:
                case sd.OpenShell():
                    self._services.spawn(self._open(effect), f"session {self.id} opens")
                case sd.Describe():
                    answer = await self._describe(effect)
                case do.RecordProposed(request, judgement):
                    # "proposed, started" in one list is one commit
                    follows = waiting.popleft() if waiting and isinstance(waiting[0], do.RecordStarted) else None
                    await self._with.record_proposed(request, judgement, started=follows is not None)
                case do.RecordStarted(authorization):
                    request = authorization.request
                    grounds = await self._with.use_approval(request)
                    nested = bool(waiting) and isinstance(waiting[0], sd.NestLine)
                    mode = nesting.MODE if nested else authorization.mode.value
                    await self._with.records.started(request, grounds, mode)
                case sd.RecordSent(authorization, _):
                    await self._sent(authorization)
                case do.RecordFinished():
                    await self._finished(effect)
                case do.Hold(request):
                    self._with.hold(request, self._decided, self._edited)
                    self._report_progress(request)
                    self._mark(f"{request.id} held")
                case do.Withdraw(request, reason):
                    self._with.stop_progress()
                    await self._services.broker.withdraw(request.id, reason)
                    self._mark(f"{request.id} withdrawn")
                case sd.RunLine() | sd.NestLine():
                    await self._run_line(effect)
                case sd.RunAside(authorization, nonce, cwd):
                    await self._run_aside(authorization.request, nonce, cwd)
                case sd.LeaveShell():
                    await self._in_driver(nesting.leave(self._shell, effect, self._gate.kind))
                case do.FindTwin() | do.RecordAttached() | do.Detach() | do.ForwardSignal() | sd.RunCommand():
                    answer = await self._for_command(effect) or answer
                case sd.SendTty(authorization, data):
                    self._send(authorization.request, data)
                case sd.SendControl(key):
                    self._control(key)
                case sd.Resize(columns, rows):
                    self._resize(columns, rows)
                case sd.OpenWindow():
                    self._open_window(effect)
                case sd.CloseWindow():
                    self._close_window()
                case sd.NoteSpoof(count):
                    await self._services.audit.write(audit.spoofed(self.id, count))
                case sd.EndShell(reason):
                    if self._beside is not None:
                        self._beside.interrupt()
                    if self._driver is not None:
                        self._driver.end(reason)
                    else:
                        self._events.post(sv.DriverFailed(reason))
                case sd.Echo(data, fresh):
                    if fresh and not self._fresh:
                        data = b"\r\n" + data
                    self._pass_on("output", data)
                case do.Say(notice):
                    self._say(notice)
                case do.Exit():
                    await self._exit(effect)
                case _:
                    assert_never(effect)
        if answer is not None:
            await self._execute(self._gate.receive(answer))

    async def _for_command(self, effect: sd.ForCommand) -> sv.Event | None:
        """What only a command with a terminal does (command.py); the answer, if it has one."""
        raise TypeError(f"a shell has no {type(effect).__name__}")

    def _report_progress(self, request: Request) -> None:
        self._with.report_progress(request, lambda seconds, of: self._events.post(ev.Waited(seconds, of)))

    async def _open(self, effect: sd.OpenShell) -> None:
        """Connect, and start the driver; it tells how that went."""
        pool, target, login = self._services.pool, self._with.target, self._with.login
        if reason := self._services.too_many_shells(self._with.info.identity):
            self._events.post(sv.DriverFailed(reason))
            return
        self._counted = True
        self._services.open_shells[self._with.info.identity] += 1
        mark, name = ids.nonce(), f".bastion-{secrets.token_hex(12)}"
        try:
            programs, key = Programs(mark, name, bool(effect.terminal)), None
            if target.credential == CERTIFIED:
                programs = dispatched = Dispatched(mark, name, bool(effect.terminal))
                await self._with.records.announced(
                    audit.shell_opened(self.id, target.name, login, dispatched.forced().encode())
                )
                key = pool.minting.for_shell(self.id, dispatched)
            connection = await pool.dial(target, login, key)
        except BastionError as error:
            self._events.post(sv.DriverFailed(str(error)))
            return
        if reason := self._with.unwanted() or ("the session is over" if self._over else ""):
            connection.abort()
            self._events.post(sv.DriverFailed(reason))
            return
        self._connection = connection
        terminal = None
        if effect.terminal:
            terminal = Terminal(effect.terminal, *bounded(effect.columns, effect.rows))
            self._record("resize", b"%dx%d" % (terminal.columns, terminal.rows))
        driver = Driver(
            connection, self, terminal=terminal, environment=self._gate.where.environment, programs=programs
        )
        self._driver = driver
        self._take_output_of(driver)
        await driver.start()

    async def _describe(self, effect: sd.Describe) -> sv.Described:
        tty = None
        if not effect.ask and self._driver is not None:
            tty = await self._driver.observe()
        context: tuple[tuple[str, str], ...] = ()
        plain = False
        if effect.ask:
            gate = self._gate
            context, plain = await self._meaning(effect.item, gate.kind, gate.depth, self._status)
            await login_shell_beside(self._with, effect.item, gate.depth)
        now = self._services.clock.wall()
        return sv.Described(
            self._services.new_request(), secrets.token_hex(16), now, (*context, *self._screen_before()), plain, tty
        )
