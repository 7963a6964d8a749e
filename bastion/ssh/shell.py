"""One governed shell of an agent: callbacks and the driver's events in; the gate's effects, in order, out.

Theory of operation. As in `session.py`: the channel's callbacks and the driver only note what happened, and the one
task takes events one at a time, asks the gate (`gate/shell.py`) and executes its effects strictly in order; an effect
that fails ends the shell. The answer to Describe is given before any other event.

Output does not pass the gate: the driver hands it to `output`, which records it, hashes it for the command that runs,
and passes it on, in the callback in which it came. Reading is paused while the agent, the network or the recorder is
behind; the agent's bytes are not read while the task is behind with them.

Before what an agent types into a program is looked at, the terminal is looked at, if there was output since: a program
that asks for a password has put the echo off before it asked (`observe`).

With a terminal, notices stand on lines of their own between the output; without one they go to stderr.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import logging
import secrets
from collections import deque
from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import TypedDict, assert_never

import asyncssh

from bastion import audit
from bastion.directory import CERTIFIED
from bastion.errors import BastionError, Unreachable
from bastion.gate import asking, frames, intent, modes, notices
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
from bastion.gate.typeahead import TYPE_AHEAD_LIMIT
from bastion.ids import request_id
from bastion.model import Assessment, Decision, Request, StdinMode
from bastion.policy.aside import there
from bastion.policy.judge import Judgement
from bastion.policy.visible import visible_line
from bastion.ssh import nesting
from bastion.ssh.aside import Aside
from bastion.ssh.channel import AgentChannel
from bastion.ssh.dealings import Dealings, Mailbox
from bastion.ssh.driver import Driver
from bastion.ssh.driver_channels import DriverError, ShellOver, Terminal
from bastion.ssh.one_command import OneCommand
from bastion.ssh.pump import UNSENT, UNSENT_SECONDS, Side, unsent
from recorder.errors import RecorderError
from recorder.recording import TERMINAL_CHUNK, Recording, Summary

log = logging.getLogger(__name__)

EVENTS_QUEUED = 256
"""Events that wait for the task; beyond that, signals and changes of the window are dropped."""

CLOSE_SECONDS = 5.0
"""How long a target may take to close the channels of a shell that has ended."""

MARKER_WIDTH = 200
"""Characters of a command in the marker that players show."""

ASKED = "asked"
"""Nonce of the bastion's own questions; those of commands are 32 hex digits."""

ASK_SECONDS = 10.0
"""Until the shell answers one; it takes milliseconds."""

ANSWER_BYTES = 1 << 18
"""Bytes of an answer that are waited for; what is more goes to the agent, as output does."""

SCREEN_LINES, SCREEN_BYTES = 12, 2048
"""Of the output before a line that its approver is shown with it; the console shows the rest."""

SIDE_MOST = 10_000
"""Columns or rows that the target's terminal is told; a client may claim any 32 bits."""

ShellEvent = sv.Event


class OfPolicy(TypedDict):
    """What a gate asks policy."""

    leave_running: bool
    intent: Callable[[bytes], intent.Intent]
    assess: Callable[..., Assessment]
    judge: Callable[[Request, int], Judgement]


class _Source:
    """The driver's output as something that can be paused, as `pump.Side` wants it."""

    def __init__(self, driver: Driver | OneCommand, beside: Side) -> None:
        self._driver, self._beside = driver, beside

    def pause_reading(self) -> None:
        self._driver.pause()
        self._beside.pause("shell")

    def resume_reading(self) -> None:
        self._driver.resume()
        self._beside.resume("shell")


class _Output:
    """What the command that runs has put out."""

    def __init__(self) -> None:
        self.bytes = {"output": 0, "stderr": 0, "input": 0}
        self._hashes = {kind: hashlib.sha256() for kind in self.bytes}

    def add(self, kind: str, data: bytes) -> None:
        self.bytes[kind] += len(data)
        self._hashes[kind].update(data)

    def summary(self) -> Summary:
        return Summary(0, 0, dict(self.bytes), {kind: each.hexdigest() for kind, each in self._hashes.items()}, "")


class ShellSession(asyncssh.SSHServerSession[bytes]):
    """One shell; see the file's header."""

    what = "a shell"

    def __init__(self, dealings: Dealings, terminal: Terminal | None) -> None:
        self._with, self._services, self._terminal = dealings, dealings.services, terminal
        self._loop = asyncio.get_running_loop()
        self.id, self.environment = dealings.id, dealings.environment
        self._events: Mailbox[ShellEvent] = Mailbox()
        self._reading = Side()  # from the agent
        self._reading.channel = dealings.channel
        self._output_side = Side()  # from the target
        self._beside_side = Side()  # from a command that runs beside the shell
        self._beside: Aside | None = None
        self._unread = 0
        self._recording: Recording | None = None
        self._connection: asyncssh.SSHClientConnection | None = None
        self._driver: Driver | OneCommand | None = None
        self._gate = self._make_gate()
        self._outputs: dict[str, _Output] = {}  # of the commands that run: more than one where shells are nested
        self._put_out = 0
        self._tail = bytearray()
        self._status = 0
        self._asking: asyncio.Future[None] | None = None
        self._answer = bytearray()
        self._fresh = True  # the cursor is at the beginning of a line
        self._stale = False  # there was output since the terminal was looked at
        self._over = False
        self._window: asyncio.TimerHandle | None = None
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

    # --- what the channel calls -----------------------------------------------------------------------------------

    def data_received(self, data: bytes, datatype: asyncssh.DataType) -> None:
        """What the agent types, or its script."""
        if self._over:
            self._reading.pause("over")
            return
        self._unread += len(data)
        if self._unread > TYPE_AHEAD_LIMIT:
            self._reading.pause("behind")
        self._events.post(sv.BytesTyped(data))

    def eof_received(self) -> bool:
        """Nothing more comes; the channel stays open for output."""
        self._events.post(sv.InputEnded())
        return True

    def window_changed(self, columns: int, rows: int) -> None:
        """RFC 4254 section 6.7."""
        if len(self._events) < EVENTS_QUEUED:
            self._events.post(sv.WindowChanged(columns, rows))

    def signal_received(self, signal: str) -> None:
        """RFC 4254 section 6.9."""
        if len(self._events) < EVENTS_QUEUED:
            self._events.post(ev.SignalReceived(signal if signal.isalnum() and len(signal) <= 16 else "?"))

    def pause_writing(self) -> None:
        """The agent reads slower than its command writes."""
        self._output_side.pause("agent")
        self._reading.pause("agent")

    def resume_writing(self) -> None:
        """The agent caught up."""
        self._with.moved.set()
        self._output_side.resume("agent")
        self._reading.resume("agent")

    def left(self) -> None:
        """The agent closed the channel, or its connection is gone."""
        if not self._with.gone:
            self._with.gone = True
            self._with.moved.set()
            self._reading.channel = None
            self._output_side.resume("agent")
            self._events.post(ev.AgentLeft())

    def connection_lost(self, exc: Exception | None) -> None:
        """The channel is closed."""
        self.left()

    def refused(self, what: str, reason: str) -> None:
        """The channel table refused a request on this channel."""
        self._with.refused(what, "")

    def exec_received(self, command: bytes, terminal: Terminal | None) -> ShellSession:
        """The channel lets only one of these through."""
        return self

    def shell_received(self, terminal: Terminal | None) -> ShellSession:
        """The channel lets only one of these through."""
        return self

    def sftp_received(self) -> None:
        """The channel lets only one of these through."""

    def not_open(self, what: str, reason: str) -> None:
        """The channel lets only one of these through."""

    # --- what others call -----------------------------------------------------------------------------------------

    def cut(self, reason: str, keeps: bool = False) -> None:
        """A person or the daemon ends this session."""
        if not self._with.cut:
            self._with.cut = reason
            self._with.moved.set()
            self._events.post(ev.Cut(reason))

    def _decided(self, decision: Decision, seconds: float) -> None:
        self._events.post(ev.Decided(decision, seconds))

    def _edited(self, request: Request) -> None:
        self._events.post(ev.Edited(request))

    # --- what the driver calls ------------------------------------------------------------------------------------

    def tell(self, event: sv.FromDriver) -> None:
        """driver.Listener"""
        asked = isinstance(event, sv.CommandBegan | sv.CommandDone) and event.nonce == ASKED
        # the question's own end, or that of the shell that was asked
        if isinstance(event, sv.DriverFailed | sv.CommandDone) and self._asking is not None and not self._asking.done():
            self._asking.set_result(None)
        if not asked:
            self._events.post(event)

    def writable(self, yes: bool) -> None:
        """driver.Listener: the target takes input, or does not for now."""
        if yes:
            self._reading.resume("target")
        else:
            self._reading.pause("target")

    def output(self, kind: str, data: bytes) -> None:
        """driver.Listener: the hot path."""
        self._stale = True
        if self._asking is not None and kind == "output":
            if len(self._answer) < ANSWER_BYTES:
                self._answer += data
                return
            if self._answer:  # so much is no answer: it goes where output goes, in its order
                data, self._answer = bytes(self._answer) + data, bytearray()
        if self._outputs:
            self._output().add(kind, data)
        self._put_out += len(data)
        self._tail += data[-SCREEN_BYTES:]
        del self._tail[:-SCREEN_BYTES]
        self._pass_on(kind, data)

    @property
    def _shell(self) -> Driver | None:
        """The driver of a shell; a command with a terminal has none."""
        return self._driver if isinstance(self._driver, Driver) else None

    def _output(self) -> _Output:
        """Of the innermost command that runs: the line that started its shell has what came at other times."""
        return self._outputs[next(reversed(self._outputs))]

    def _pass_on(self, kind: str, data: bytes) -> None:
        """Record and send on."""
        if self._recording is not None and not self._recording.write(kind, data):
            self._output_side.pause("recorder")
        self._with.seen(kind, data)
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

    # --- the task -------------------------------------------------------------------------------------------------

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

    async def _receive(self, event: ShellEvent) -> None:
        if isinstance(event, sv.BytesTyped):
            await self._look_first()
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
        if isinstance(event, sv.BytesTyped):
            self._unread -= len(event.data)
            if self._unread <= TYPE_AHEAD_LIMIT // 2:
                self._reading.resume("behind")
        if self._gate.full:
            self._reading.pause("full")
        else:
            self._reading.resume("full")

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

    # --- effects, in order ------------------------------------------------------------------------------------------

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
                    await self._proposed(request, judgement, started=follows is not None)
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
        mark, name = frames.nonce_of(secrets.randbits(128)), f".bastion-{secrets.token_hex(12)}"
        try:
            programs, key = Programs(mark, name, bool(effect.terminal)), None
            if target.credential == CERTIFIED:
                programs = dispatched = Dispatched(mark, name, bool(effect.terminal))
                await self._with.records.announced(
                    audit.shell_opened(self.id, target.name, login, dispatched.forced().encode())
                )
                key = await pool.minting.for_shell(self.id, dispatched)
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

    def _take_output_of(self, driver: Driver | OneCommand) -> None:
        self._output_side.channel = _Source(driver, self._beside_side)

    def _begin_output(self, request: Request) -> None:
        self._outputs[request.id] = _Output()

    async def _describe(self, effect: sd.Describe) -> sv.Described:
        tty = None
        if not effect.ask and self._driver is not None:
            tty = await self._driver.observe()
        context: tuple[tuple[str, str], ...] = ()
        plain = False
        if effect.ask:
            mark = f"{secrets.randbits(128):039d}"
            question = asking.question(effect.item, self._gate.kind, mark, self._status)
            if question is not None and (answer := await self._ask(question, self._gate.depth, mark)) is not None:
                context, plain = asking.context(answer), asking.plain(answer)
        now = self._services.clock.wall()
        return sv.Described(request_id(), secrets.token_hex(16), now, (*context, *self._screen_before()), plain, tty)

    async def _ask(self, question: bytes, depth: int, mark: str = "") -> bytes | None:
        """Run our own text in the shell, between the agent's commands; the answer between its marks, if there is one.
        `depth`: shells round the one that is asked; where that has just ended, no other one is. Raises Unreachable when
        the shell does not come back: nothing can be run in it any more."""
        shell = self._shell
        if shell is None or shell.depth != depth or self._with.unwanted():
            return None
        self._asking, self._answer = self._loop.create_future(), bytearray()
        try:
            async with asyncio.timeout(ASK_SECONDS):
                await shell.run(ASKED, question)
                await self._asking
        except TimeoutError:
            raise Unreachable("the shell on the target does not answer") from None
        except ShellOver:  # which is told next
            return None
        finally:
            self._asking = None
        answer, rest = asking.sift(bytes(self._answer), mark) if mark else (None, bytes(self._answer))
        if rest:
            self._pass_on("output", rest)
        return answer

    def _screen_before(self) -> tuple[tuple[str, str], ...]:
        """The last lines that were put out, for the approver."""
        lines = bytes(self._tail).decode("utf-8", "backslashreplace").replace("\r\n", "\n").split("\n")
        text = "\n".join(lines[-SCREEN_LINES:]).strip("\n")
        return (("before it", text),) if text else ()

    async def _proposed(self, request: Request, judgement: Judgement, *, started: bool) -> None:
        await self._with.record_proposed(request, judgement, started=started)

    async def _who(self, kind: str, depth: int) -> str:
        """Who and where one is in an inner shell, as that says itself."""
        mark = f"{secrets.randbits(128):039d}"
        answer = await self._ask(asking.who(kind, mark), depth, mark)
        return (answer or b"").decode("utf-8", "backslashreplace").strip()

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
        self._outputs[request.id] = _Output()
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
        self._outputs[request.id] = _Output()
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
        summary = output.summary() if output is not None else None
        self._services.sessions.change(self.id, output_bytes=self._put_out)
        ended = await self._with.records.finished(effect.request, summary, effect.status, effect.signal, effect.note)
        self._services.broker.ran(effect.request.id, ended)
        self._mark(f"{effect.request.id} {ended}")

    # --- windows and sizes ------------------------------------------------------------------------------------------

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
        line = notices.line(notice, as_json=self._with.as_json).replace(b"\n", b"\r\n")
        self._pass_on("output", line if self._fresh else b"\r\n" + line)

    async def _exit(self, effect: do.Exit) -> None:
        self._reading.pause("over")
        recording, self._recording = self._recording, None
        if recording is not None:
            await asyncio.wrap_future(recording.finish())
        await self._with.exit(effect)


def bounded(columns: int, rows: int) -> tuple[int, int]:
    """What the target's terminal is told; 0 is unknown."""
    return min(columns, SIDE_MOST) or 80, min(rows, SIDE_MOST) or 24
