"""One session channel of an agent: callbacks to events; effects, in order, to ledger, broker, target, agent.

Theory of operation. asyncssh calls the callbacks; each only notes what happened and wakes the channel's one task. The
task takes events one at a time, asks the gate, and executes the effects strictly in order. An effect that fails ends
the channel: nothing after it happens (P1, P4). The answer to an effect (a twin found, the command started) is handed
to the gate before any other event.

Once the command runs, bytes flow in the callbacks, past the gate, through `pump.Upstream`.

No callback may raise: asyncssh would drop the whole connection, and with it the agent's other channels.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Coroutine
from typing import Any, assert_never

import asyncssh

from bastion import audit
from bastion.control.wire import FrameInfo, SessionInfo
from bastion.errors import BastionError, Conflict
from bastion.gate import effects as do
from bastion.gate import events as ev
from bastion.gate import intent, notices
from bastion.gate.channels import PASSED_ENVIRONMENT
from bastion.gate.gate import Circumstances, Gate
from bastion.gate.states import State as GateState
from bastion.history import info_of
from bastion.ids import request_id, session_id
from bastion.model import Decision, Identity, Request, State, Target, Verdict
from bastion.policy.judge import Judgement, judge
from bastion.ssh.channel import AgentChannel
from bastion.ssh.execution import Execution, Stdin
from bastion.ssh.pump import drained
from bastion.ssh.records import Records
from bastion.ssh.services import Services
from recorder.errors import RecorderError

log = logging.getLogger(__name__)

PROGRESS_SECONDS = 15
"""Between two words of progress to a waiting agent: agent tools give up on a silent call after 60-120 s."""

QUIET_SECONDS = 1.0
"""Before the agent is told that its stdin is being read: most stdin ends at once, and needs no word."""

EVENTS_QUEUED = 64
"""Events that wait for the task; beyond that, signals are dropped."""

REFUSALS_TOLD = 8
"""Refused requests that the agent is told of before its command."""


class AgentSession(asyncssh.SSHServerSession[bytes]):
    """One session channel; see the file's header."""

    def __init__(self, services: Services, identity: Identity, key: str, target: Target, login: str, client: str):
        self._services, self._target, self._login = services, target, login
        self.environment: dict[str, str] = {}
        self._info = SessionInfo(
            id=session_id(),
            identity=identity.name,
            key=key,
            target=target.name,
            login=login,
            client=client,
            state="open",
            opened=services.clock.wall(),
            closed=0,
            end="",
            requests=[],
            output_bytes=0,
        )
        self.id = self._info.id
        opened = audit.session_opened(self.id, identity.name, key, target.name, login, client)
        self._records = Records(services.audit, self.id, identity.name, opened)
        self._execution = Execution(services, self.id, tell=self._post, seen=self._seen, failed=self._recording_failed)
        self._stdin = Stdin()
        self._channel: AgentChannel | None = None
        self._gate: Gate | None = None
        self._events: deque[ev.Event] = deque()
        self._wake = asyncio.Event()
        self._moved = asyncio.Event()
        self._refusals: list[notices.Notice] = []
        self._progress: asyncio.TimerHandle | None = None
        self._collecting = self._no_terminal = self._gone = self._over = False
        self._cut = self._end = ""

    # --- what the channel calls -----------------------------------------------------------------------------------

    def connection_made(self, chan: asyncssh.SSHServerChannel[bytes]) -> None:
        """The channel is open."""
        assert isinstance(chan, AgentChannel)  # noqa: S101 -- server.py makes no other
        self._channel = self._stdin.reading.channel = chan
        chan.set_write_buffer_limits(high=1 << 20, low=1 << 18)

    def refused(self, what: str, reason: str) -> None:
        """The channel table refused a request on this channel."""
        self._records.refused(what)
        if what == "pty-req":
            self._no_terminal = True
        if reason and len(self._refusals) < REFUSALS_TOLD:
            self._refusals.append(notices.refused(f"{what}: {reason}"))

    def not_open(self, what: str, reason: str) -> None:
        """A shell or subsystem was asked for, which the table refuses: say why, where people look, and end."""
        self.refused(what, reason)
        self._begin(self._turn_away())

    def exec_received(self, command: bytes) -> None:
        """RFC 4254 section 6.5 `exec`. One that wants a terminal is turned away, not held."""
        if self._no_terminal:
            self._begin(self._turn_away())
            return
        self._stdin.hold()
        self._events.append(ev.ExecRequested(command, request_id(), self._services.clock.wall()))
        self._begin(self._run())

    def data_received(self, data: bytes, datatype: asyncssh.DataType) -> None:
        """Stdin."""
        upstream = self._execution.upstream
        if self._over:
            self._stdin.reading.pause("over")
        elif upstream is not None:
            upstream.send(data)
        elif self._collecting:
            self._post(ev.StdinReceived(data))
        else:
            self._stdin.early.append(data)

    def eof_received(self) -> bool:
        """End of stdin; the channel stays open for output."""
        upstream = self._execution.upstream
        if upstream is not None:
            upstream.send_eof()
        elif self._collecting:
            self._post(ev.StdinEnded(self._services.clock.wall()))
        else:
            self._stdin.ended = True
        return True

    def signal_received(self, signal: str) -> None:
        """RFC 4254 section 6.9. A client that floods them must not fill the memory."""
        if len(self._events) < EVENTS_QUEUED:
            self._post(ev.SignalReceived(signal if signal.isalnum() and len(signal) <= 16 else "?"))

    def pause_writing(self) -> None:
        """The agent reads slower than its command writes."""
        if self._execution.upstream is not None:
            self._execution.upstream.agent_full()

    def resume_writing(self) -> None:
        """The agent caught up."""
        self._moved.set()
        if self._execution.upstream is not None:
            self._execution.upstream.agent_drained()

    def left(self) -> None:
        """The agent closed the channel, or its connection is gone."""
        if not self._gone:
            self._gone = True
            self._moved.set()
            self._stdin.reading.channel = None
            if self._execution.upstream is not None:
                self._execution.upstream.agent_left()
            self._post(ev.AgentLeft())

    def connection_lost(self, exc: Exception | None) -> None:
        """The channel is closed."""
        self.left()

    # --- what others call -----------------------------------------------------------------------------------------

    def cut(self, reason: str) -> None:
        """A person or the daemon ends this session."""
        if not self._cut:
            self._cut = reason
            self._moved.set()
            self._post(ev.Cut(reason))

    def _decided(self, decision: Decision, seconds: float) -> None:
        self._post(ev.Decided(decision, seconds))

    def _recording_failed(self) -> None:
        self.cut("the recording failed, so the session ends")

    def _seen(self, kind: str, data: bytes) -> None:
        at = self._services.clock.wall() - self._info.opened
        self._services.sessions.output(self.id, FrameInfo(at=at, kind=kind, data=data))

    def _post(self, event: ev.Event) -> None:
        self._events.append(event)
        self._wake.set()

    # --- the task -------------------------------------------------------------------------------------------------

    def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        self._services.spawn(work, f"session {self.id}")

    async def _turn_away(self) -> None:
        self._say_refusals()
        await self._records.closed("refused by the table")
        await self._exit(do.Exit(notices.EXIT_DENIED))

    async def _run(self) -> None:
        self._services.sessions.open(self._info, self.cut)
        gate = self._gate = self._make_gate()
        if reason := self._withdrawn():
            self._events.appendleft(ev.Cut(reason))
        try:
            self._say_refusals()
            while gate.state is not GateState.CLOSED:
                while not self._events:
                    self._wake.clear()
                    await self._wake.wait()
                await self._execute(gate.receive(self._events.popleft()))
        except (BastionError, RecorderError) as error:
            await self._fail(gate, str(error))
        except Exception:
            log.exception("session %s", self.id)
            await self._fail(gate, "internal error of the bastion; its log says more")
        finally:
            self._over = True
            if self._progress is not None:
                self._progress.cancel()
            self._services.sessions.close(self.id, self._services.clock.wall(), self._end)
            self._begin(self._records.closed(self._end))

    def _make_gate(self) -> Gate:
        services, environment, info = self._services, self.environment, self._info
        where = Circumstances(
            identity=info.identity,
            key=info.key,
            session=info.id,
            target=self._target,
            login=self._login,
            environment=tuple(sorted((k, v) for k, v in environment.items() if k in PASSED_ENVIRONMENT)),
            wait=environment.get("BASTION_WAIT", "") != "no",
            approvals=services.approvals,
            timeout=services.broker.timeout,
        )
        return Gate(
            where,
            intent=lambda command: intent.read(command, environment),
            reads_code=services.reads_code,
            assess=services.assess,
            judge=lambda request, now: judge(request, services.directory, now),
        )

    async def _fail(self, gate: Gate, reason: str) -> None:
        """The bastion cannot do its part: stop what runs, take back what is held, say so. What cannot be written any
        more is in the log; the next start of the daemon says the rest in the ledger."""
        request = gate.request
        self._execution.stop(hard=True)
        try:
            if request is not None and self._records.unfinished:
                await self._record_finished(request, None, "", f"its end was not seen: {reason}")
            if request is not None and gate.state is GateState.HELD:
                await self._services.broker.withdraw(request.id, reason)
        except (BastionError, RecorderError) as error:
            log.error("session %s: %s", self.id, error)
        self._say(notices.failed(reason))
        await self._exit(do.Exit(notices.EXIT_BASTION, why=reason))

    # --- effects, in order ------------------------------------------------------------------------------------------

    async def _execute(self, effects: list[do.Effect]) -> None:  # noqa: PLR0912 -- one row an effect, and nothing else
        broker = self._services.broker
        answer: ev.Event | None = None
        waiting = deque(effects)
        while waiting:
            effect = waiting.popleft()
            match effect:
                case do.RecordProposed(request, judgement):
                    # "proposed, started" in one list is one commit
                    follows = waiting.popleft() if waiting and isinstance(waiting[0], do.RecordStarted) else None
                    await self._record_proposed(request, judgement, started=follows is not None)
                case do.RecordAttached(request):
                    await self._records.attached(request)
                    self._services.sessions.change(self.id, requests=[request.id])
                case do.RecordStarted(authorization):
                    await self._record_started(authorization.request)
                case do.RecordFinished(request, status, signal, note):
                    await self._record_finished(request, status, signal, note)
                case do.Say(notice):
                    self._say(notice)
                case do.Collect():
                    self._collect()
                case do.FindTwin(request):
                    answer = await self._find_twin(request)
                case do.Hold(request):
                    broker.hold(request, self._records.proposal, self.id, self._decided)
                    self._report_progress()
                case do.Withdraw(request, reason):
                    await broker.withdraw(request.id, reason)
                case do.Detach(request):
                    broker.detach(request.id, self.id)
                case do.Run(authorization):
                    answer = await self._start(authorization.request)
                case do.ForwardSignal(name):
                    self._execution.signal(name)
                case do.StopUpstream():
                    self._execution.stop(hard=bool(self._cut))
                case do.Exit():
                    await self._exit(effect)
                case _:
                    assert_never(effect)
        if answer is not None and self._gate is not None:
            await self._execute(self._gate.receive(answer))

    async def _record_proposed(self, request: Request, judgement: Judgement, *, started: bool) -> None:
        broker = self._services.broker
        if judgement.verdict is Verdict.HOLD:
            broker.check_room(len(request.command) + len(request.stdin_code))
        await self._records.proposed(request, judgement, started=started)
        self._services.sessions.change(self.id, requests=[request.id])
        if judgement.verdict is not Verdict.HOLD:
            state = State.ALLOWED if judgement.verdict is Verdict.ALLOW else State.REFUSED
            broker.record_unheld(info_of(request, state, self._records.proposal))

    async def _record_started(self, request: Request) -> None:
        broker = self._services.broker
        if not broker.take(request.id, self.id):
            raise Conflict(f"the approval of {request.id} was used or is void")
        await self._records.started(request, await broker.grounds(request.id))

    async def _record_finished(self, request: Request, status: int | None, signal: str, note: str) -> None:
        summary = await self._execution.finish()
        if summary is not None:
            put_out = summary.bytes["output"] + summary.bytes["stderr"]
            self._services.sessions.change(self.id, output_bytes=put_out)
        ended = await self._records.finished(request, summary, status, signal, note)
        self._services.broker.ran(request.id, ended)

    async def _find_twin(self, request: Request) -> ev.Event:
        found = await self._services.broker.claim(request, self.id, self._decided)
        if found is None:
            return ev.NoTwinFound(self._services.clock.wall())
        twin, decision, self._records.proposal = found
        if decision is None:
            self._report_progress()
        return ev.TwinFound(twin, decision)

    async def _start(self, request: Request) -> ev.Event:
        if self._progress is not None:
            self._progress.cancel()
        if self._channel is None or self._unwanted():
            return ev.UpstreamFailed(self._unwanted())
        event = await self._execution.start(request, self._target, self._channel, self._stdin, self._unwanted)
        if isinstance(event, ev.UpstreamOpened):
            self._services.broker.ran(request.id, "running")
        return event

    def _unwanted(self) -> str:
        """Why the command shall not be started any more; empty while it shall."""
        return self._cut or ("the agent left" if self._gone else "") or self._withdrawn()

    def _withdrawn(self) -> str:
        """Why this identity may not be on this target any more: the channel can be older than the revocation."""
        directory, name = self._services.directory, self._info.identity
        if directory.identities[name].revoked:
            return f"identity {name} was revoked"
        if directory.targets.get(self._target.name) != self._target:
            return f"target {self._target.name} was removed"
        return ""

    def _collect(self) -> None:
        """Let stdin through to the gate: first what came early, then the rest as it comes."""
        self._collecting = True
        while self._stdin.early:
            self._post(ev.StdinReceived(self._stdin.early.popleft()))
        if self._stdin.ended:
            self._post(ev.StdinEnded(self._services.clock.wall()))
        self._stdin.flow()
        loop = asyncio.get_running_loop()
        self._progress = loop.call_later(QUIET_SECONDS, self._post, ev.StillReading())

    def _report_progress(self) -> None:
        clock, loop = self._services.clock, asyncio.get_running_loop()
        begun, of = clock.monotonic(), self._services.broker.timeout
        if self._progress is not None:
            self._progress.cancel()

        def report() -> None:
            self._post(ev.Waited(round(clock.monotonic() - begun), of))
            self._progress = loop.call_later(PROGRESS_SECONDS, report)

        self._progress = loop.call_later(PROGRESS_SECONDS, report)

    # --- to the agent -----------------------------------------------------------------------------------------------

    def _say_refusals(self) -> None:
        for notice in self._refusals:
            self._say(notice)
        self._refusals.clear()

    def _say(self, notice: notices.Notice) -> None:
        if self._channel is not None and not self._gone and not self._channel.is_closing():
            as_json = self.environment.get("BASTION_OUTPUT", "") == "json"
            self._channel.write(notices.line(notice, as_json=as_json), asyncssh.EXTENDED_DATA_STDERR)

    async def _exit(self, effect: do.Exit) -> None:
        """Send the status after everything sent before it; a client that does not read can be cut."""
        self._end = effect.why or (f"signal {effect.signal}" if effect.signal else f"exit {effect.status}")
        self._stdin.reading.pause("over")
        channel = self._channel
        if channel is None or self._gone or channel.is_closing():
            return
        channel.set_write_buffer_limits(high=0, low=0)  # so that asyncssh says when the last byte is gone
        await drained(channel, self._moved, lambda: self._gone or bool(self._cut))
        if self._gone or channel.is_closing():
            return
        channel.write_eof()
        if effect.signal:
            channel.exit_with_signal(effect.signal)
        else:
            channel.exit(effect.status)
