"""One session channel of an agent: callbacks to events; effects, in order, to audit, broker, upstream, agent.

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
from bastion.history import info_of, outcome
from bastion.ids import request_id, session_id
from bastion.model import Decision, Identity, Request, State, StdinMode, Target, Verdict
from bastion.policy.judge import Judgement, judge
from bastion.policy.visible import visible_line
from bastion.ssh.channel import AgentChannel
from bastion.ssh.pump import Side, Upstream, drained
from bastion.ssh.services import Services
from recorder.errors import RecorderError
from recorder.recording import Recording, Summary

log = logging.getLogger(__name__)

MARKER_WIDTH = 200
"""Characters of a command in the marker that players show."""

PROGRESS_SECONDS = 15
"""Between two words of progress to a waiting agent: agent tools give up on a silent call after 60-120 s."""

STOP_SECONDS = 2.0
"""How long a target may take to close the channel of a command that was stopped."""


class AgentSession(asyncssh.SSHServerSession[bytes]):
    """One session channel; see the file's header."""

    def __init__(self, services: Services, identity: Identity, key: str, target: Target, login: str, client: str):
        self._services = services
        self.id = session_id()
        self.environment: dict[str, str] = {}
        self._identity, self._key, self._target, self._login, self._client = identity, key, target, login, client
        self._channel: AgentChannel | None = None
        self._loop = asyncio.get_running_loop()
        self._events: deque[ev.Event] = deque()
        self._wake = asyncio.Event()
        self._moved = asyncio.Event()
        self._drafts = [audit.session_opened(self.id, identity.name, key, target.name, login, client)]
        self._refusals: list[notices.Notice] = []
        self._reading = Side()
        self._early: deque[bytes] = deque()
        self._early_eof = False
        self._collecting = False
        self._gone = False
        self._no_terminal = False
        self._over = False
        self._cut = ""
        self._opened = services.clock.wall()
        self._gate: Gate | None = None
        self._recording: Recording | None = None
        self._upstream: Upstream | None = None
        self._progress: asyncio.TimerHandle | None = None
        self._stopping: asyncio.TimerHandle | None = None
        self._proposal = ""
        self._started = ""
        self._finished = False
        self._end = ""

    # --- what the channel calls -----------------------------------------------------------------------------------

    def connection_made(self, chan: asyncssh.SSHServerChannel[bytes]) -> None:
        """The channel is open."""
        assert isinstance(chan, AgentChannel)  # noqa: S101 -- server.py makes no other
        self._channel = self._reading.channel = chan
        chan.set_write_buffer_limits(high=1 << 20, low=1 << 18)

    def refused(self, what: str, reason: str) -> None:
        """The channel table refused a request on this channel."""
        if len(self._drafts) < 64:
            self._drafts.append(audit.channel_refused(self.id, self._identity.name, what))
        if what == "pty-req":
            self._no_terminal = True
        if reason and len(self._refusals) < 8:
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
        self._reading.pause("held")
        self._events.append(ev.ExecRequested(command, request_id(), self._services.clock.wall()))
        self._begin(self._run())

    def data_received(self, data: bytes, datatype: asyncssh.DataType) -> None:
        """Stdin."""
        if self._over:
            self._reading.pause("over")
        elif self._upstream is not None:
            self._upstream.send(data)
        elif self._collecting:
            self._post(ev.StdinReceived(data))
        else:
            self._early.append(data)

    def eof_received(self) -> bool:
        """End of stdin; the channel stays open for output."""
        if self._upstream is not None:
            self._upstream.send_eof()
        elif self._collecting:
            self._post(ev.StdinEnded(self._services.clock.wall()))
        else:
            self._early_eof = True
        return True

    def signal_received(self, signal: str) -> None:
        """RFC 4254 section 6.9."""
        self._post(ev.SignalReceived(signal if signal.isalnum() and len(signal) <= 16 else "?"))

    def pause_writing(self) -> None:
        """The agent reads slower than its command writes."""
        if self._upstream is not None:
            self._upstream.agent_full()

    def resume_writing(self) -> None:
        """The agent caught up."""
        self._moved.set()
        if self._upstream is not None:
            self._upstream.agent_drained()

    def left(self) -> None:
        """The agent closed the channel, or its connection is gone."""
        if not self._gone:
            self._gone = True
            self._moved.set()
            if self._upstream is not None:
                self._upstream.agent_left()
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

    def _recorder_moved(self) -> None:
        """Called from the recorder's thread: it caught up, or it failed."""
        self._loop.call_soon_threadsafe(self._after_recorder)

    def _after_recorder(self) -> None:
        if self._recording is not None and self._recording.failed is not None:
            self.cut("the recording failed, so the session ends")
        if self._upstream is not None:
            self._upstream.recorder_caught_up()

    def _post(self, event: ev.Event) -> None:
        self._events.append(event)
        self._wake.set()

    # --- the task -------------------------------------------------------------------------------------------------

    def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        self._services.spawn(work, f"session {self.id}")

    async def _turn_away(self) -> None:
        try:
            self._say_refusals()
            await self._services.audit.write(*self._drafts, audit.session_closed(self.id, "refused by the table"))
        except BastionError as error:
            self._say(notices.failed(str(error)))
        finally:
            await self._exit(do.Exit(notices.EXIT_DENIED))

    async def _run(self) -> None:
        services = self._services
        info = SessionInfo(
            id=self.id,
            identity=self._identity.name,
            key=self._key,
            target=self._target.name,
            login=self._login,
            client=self._client,
            state="open",
            opened=self._opened,
            closed=0,
            end="",
            requests=[],
            output_bytes=0,
        )
        services.sessions.open(info, self.cut)
        self._gate = self._make_gate()
        try:
            self._say_refusals()
            while self._gate.state is not GateState.CLOSED:
                while not self._events:
                    self._wake.clear()
                    await self._wake.wait()
                await self._execute(self._gate.receive(self._events.popleft()))
        except (BastionError, RecorderError) as error:
            await self._fail(str(error))
        except Exception:
            log.exception("session %s", self.id)
            await self._fail("internal error of the bastion; its log says more")
        finally:
            self._finish()

    def _make_gate(self) -> Gate:
        services, environment = self._services, self.environment
        where = Circumstances(
            identity=self._identity.name,
            key=self._key,
            session=self.id,
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

    async def _fail(self, reason: str) -> None:
        """The bastion cannot do its part: stop what runs, take back what is held, say so."""
        gate = self._gate
        if self._upstream is not None:
            self._upstream.stop(hard=True)
        if self._started and not self._finished and gate is not None and gate.request is not None:
            await self._note_lost(gate.request, reason)
        if gate is not None and gate.request is not None and gate.state is GateState.HELD:
            try:
                await self._services.broker.withdraw(gate.request.id, reason)
            except BastionError as error:
                log.error("session %s: %s", self.id, error)
        self._say(notices.failed(reason))
        await self._exit(do.Exit(notices.EXIT_BASTION, why=reason))

    async def _note_lost(self, request: Request, reason: str) -> None:
        """The command was started and its end will not be seen: say so in the ledger, if that still works."""
        try:
            await self._record_finished(request, None, "", f"its end was not seen: {reason}")
        except (BastionError, RecorderError) as error:
            log.error("end of %s not recorded: %s", request.id, error)

    def _finish(self) -> None:
        self._over = True
        for timer in (self._progress, self._stopping):
            if timer is not None:
                timer.cancel()
        self._services.sessions.close(self.id, self._services.clock.wall(), self._end)
        self._services.spawn(self._record_closed(), f"close {self.id}")

    async def _record_closed(self) -> None:
        drafts, self._drafts = self._drafts, []
        try:
            await self._services.audit.write(*drafts, audit.session_closed(self.id, self._end))
        except BastionError as error:
            log.error("end of session %s not recorded: %s", self.id, error)

    # --- effects, in order ------------------------------------------------------------------------------------------

    async def _execute(self, effects: list[do.Effect]) -> None:  # noqa: PLR0912 -- one row an effect, and nothing else
        answer: ev.Event | None = None
        waiting = deque(effects)
        while waiting:
            effect = waiting.popleft()
            match effect:
                case do.RecordProposed(request, judgement):
                    follows = waiting.popleft() if waiting and isinstance(waiting[0], do.RecordStarted) else None
                    await self._record_proposed(request, judgement, started=follows is not None)
                case do.RecordAttached(request):
                    draft = audit.attached(request, self.id, self._proposal)
                    await self._write(draft)
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
                    self._services.broker.hold(request, self._proposal, self.id, self._decided)
                    self._report_progress(request)
                case do.Withdraw(request, reason):
                    await self._services.broker.withdraw(request.id, reason)
                case do.Detach(request):
                    self._services.broker.detach(request.id, self.id)
                case do.Run(authorization):
                    answer = await self._start(authorization)
                case do.ForwardSignal(name):
                    self._signal_upstream(name)
                case do.StopUpstream():
                    self._stop_upstream()
                case do.Exit():
                    await self._exit(effect)
                case _:
                    assert_never(effect)
        if answer is not None and self._gate is not None:
            await self._execute(self._gate.receive(answer))

    async def _write(self, *drafts: audit.Draft) -> list[audit.Entry]:
        """Commit `drafts`, and before them what was noted since the last time."""
        noted, self._drafts = self._drafts, []
        entries = await self._services.audit.write(*noted, *drafts)
        return list(entries[len(noted) :])

    async def _record_proposed(self, request: Request, judgement: Judgement, *, started: bool) -> None:
        if judgement.verdict is Verdict.HOLD:
            self._services.broker.check_room(len(request.command) + len(request.stdin_code))
        drafts = [audit.proposed(request, judgement)]
        if started:
            drafts.append(audit.started(request, self.id, audit.CAUSE_PREVIOUS))
        entries = await self._write(*drafts)
        self._proposal = entries[0].leaf
        self._services.sessions.change(self.id, requests=[request.id])
        if started:
            self._started = entries[1].leaf
        if judgement.verdict is not Verdict.HOLD:
            state = State.ALLOWED if judgement.verdict is Verdict.ALLOW else State.REFUSED
            self._services.broker.record_unheld(info_of(request, state, self._proposal))

    async def _record_started(self, request: Request) -> None:
        broker = self._services.broker
        if not broker.take(request.id, self.id):
            raise Conflict(f"the approval of {request.id} was used or is void")
        entries = await self._write(audit.started(request, self.id, await broker.grounds(request.id)))
        self._started = entries[0].leaf

    async def _record_finished(self, request: Request, status: int | None, signal: str, note: str) -> None:
        body: dict[str, object] = {"status": status, "signal": signal, "note": note[:1000]}
        streams = {"output": "stdout", "stderr": "stderr", "input": "stdin"}
        summary = await self._finish_recording()
        for kind, name in streams.items():
            body[f"{name}_bytes"] = summary.bytes[kind] if summary is not None else 0
            body[f"{name}_sha256"] = summary.sha256[kind] if summary is not None else ""
        await self._write(audit.finished(request, self.id, body, self._started))
        self._finished = True
        self._services.broker.ran(request.id, outcome(body))

    async def _find_twin(self, request: Request) -> ev.Event:
        found = await self._services.broker.claim(request, self.id, self._decided)
        if found is None:
            return ev.NoTwinFound(self._services.clock.wall())
        twin, decision, self._proposal = found
        if decision is None:
            self._report_progress(twin)
        return ev.TwinFound(twin, decision)

    def _collect(self) -> None:
        """Let stdin through to the gate: first what came early, then the rest as it comes."""
        self._collecting = True
        while self._early:
            self._post(ev.StdinReceived(self._early.popleft()))
        if self._early_eof:
            self._post(ev.StdinEnded(self._services.clock.wall()))
        self._reading.resume("held")

    def _report_progress(self, request: Request) -> None:
        begun, of = self._services.clock.monotonic(), self._services.broker.timeout

        def report() -> None:
            self._post(ev.Waited(round(self._services.clock.monotonic() - begun), of))
            self._progress = self._loop.call_later(PROGRESS_SECONDS, report)

        self._progress = self._loop.call_later(PROGRESS_SECONDS, report)

    # --- on the target ----------------------------------------------------------------------------------------------

    async def _start(self, authorization: do.Authorization) -> ev.Event:
        request = authorization.request
        if self._progress is not None:
            self._progress.cancel()
        channel = self._channel
        if channel is None or self._gone or self._cut:
            return ev.UpstreamFailed(self._cut or "the agent left")
        command = self._services.stored(request.id, request.digest)
        self._recording = self._services.record(self.id, self._recorder_moved)
        self._recording.write("marker", f"{request.id} {visible_line(command, MARKER_WIDTH)}".encode())
        upstream = Upstream(channel, self._reading, self._recording, ended=self._post, seen=self._seen)
        try:
            await self._services.pool.start(
                self._target,
                request.login,
                command,
                request.environment,
                lambda: upstream,
                wanted=lambda: self._cut or ("the agent left" if self._gone else ""),
            )
        except BastionError as error:
            return ev.UpstreamFailed(str(error))
        self._upstream = upstream
        self._services.broker.ran(request.id, "running")
        self._feed_stdin(upstream, request)
        return ev.UpstreamOpened()

    def _feed_stdin(self, upstream: Upstream, request: Request) -> None:
        """Code that was read and approved goes as it was approved; data goes as it comes from now on."""
        if request.stdin is StdinMode.BUNDLED:
            upstream.send(request.stdin_code)
            upstream.send_eof()
            return
        if self._channel is not None:
            self._channel.widen()
        while self._early:
            upstream.send(self._early.popleft())
        if self._early_eof:
            upstream.send_eof()
        self._reading.resume("held")

    def _seen(self, kind: str, data: bytes) -> None:
        at = self._services.clock.wall() - self._opened
        self._services.sessions.output(self.id, FrameInfo(at=at, kind=kind, data=data))

    def _signal_upstream(self, name: str) -> None:
        if self._upstream is not None:
            self._upstream.signal(name)

    def _stop_upstream(self) -> None:
        """End the command. A target that does not say that it ended is not waited for: OpenSSH's sshd passes signals on
        for every login but root (it needs its privilege separation for that), and closes the channel only when the
        command has ended."""
        if self._upstream is None:
            return
        self._upstream.stop(hard=bool(self._cut))
        self._stopping = self._loop.call_later(STOP_SECONDS, self._post, ev.UpstreamEnded(None, confirmed=False))

    async def _finish_recording(self) -> Summary | None:
        """What was recorded, once all of it is durable; None without a recording, and when asked again."""
        recording, self._recording = self._recording, None
        return await asyncio.wrap_future(recording.finish()) if recording is not None else None

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
