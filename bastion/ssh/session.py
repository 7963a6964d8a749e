"""One session channel of an agent: callbacks to events; effects, in order, to ledger, broker, target, agent.

Theory of operation. asyncssh calls the callbacks; each only notes what happened and wakes the channel's one task. The
task takes events one at a time, asks the gate, and executes the effects strictly in order. An effect that fails ends
the channel: nothing after it happens (P1, P4). The answer to an effect (a twin found, the command started) is handed
to the gate before any other event.

Once the command runs, bytes flow in the callbacks, past the gate, through `pump.Upstream`.

No callback may raise: asyncssh would drop the whole connection, and with it the agent's other channels.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Coroutine
from typing import Any, assert_never

import asyncssh

from bastion.errors import BastionError
from bastion.gate import effects as do
from bastion.gate import events as ev
from bastion.gate import intent, notices
from bastion.gate.channels import PASSED_ENVIRONMENT
from bastion.gate.gate import Circumstances, Gate
from bastion.gate.states import State as GateState
from bastion.model import Decision, Request
from bastion.policy.transfers import pushes_to
from bastion.ssh.channel import Agent, AgentChannel
from bastion.ssh.command import CommandSession
from bastion.ssh.dealings import Dealings, Mailbox, end_of
from bastion.ssh.driver_channels import Terminal
from bastion.ssh.execution import Execution, Intake, Nowhere, Stdin
from bastion.ssh.pump import Upstream
from bastion.ssh.push import Push
from bastion.ssh.shell import ShellSession
from bastion.ssh.twins import find_twin
from recorder.errors import RecorderError

log = logging.getLogger(__name__)

QUIET_SECONDS = 1.0
"""Before the agent is told that its stdin is being read: most stdin ends at once, and needs no word."""

EVENTS_QUEUED = 64
"""Events that wait for the task; beyond that, signals are dropped."""


class AgentSession(asyncssh.SSHServerSession[bytes]):
    """One session channel; see the file's header."""

    def __init__(self, dealings: Dealings) -> None:
        self._with, self._services = dealings, dealings.services
        self.id, self.environment = dealings.id, dealings.environment
        self._events: Mailbox[ev.Event] = Mailbox()
        self._execution = Execution(
            dealings.services,
            self.id,
            tell=self._events.post,
            seen=dealings.seen,
            failed=lambda: self.cut(dealings.recording_failed()),
        )
        self._stdin = Stdin()
        self._gate: Gate | None = None
        self._push: Push | None = None
        self._collecting = self._over = False

    # --- what the channel calls -----------------------------------------------------------------------------------

    def connection_made(self, chan: asyncssh.SSHServerChannel[bytes]) -> None:
        """The channel is open."""
        assert isinstance(chan, AgentChannel)  # noqa: S101 -- server.py makes no other
        self._with.channel = self._stdin.reading.channel = chan
        chan.set_write_buffer_limits(high=1 << 20, low=1 << 18)

    def refused(self, what: str, reason: str) -> None:
        """The channel table refused a request on this channel."""
        self._with.refused(what, reason)

    def not_open(self, what: str, reason: str) -> None:
        """A shell or subsystem was asked for, which the table refuses: say why, where people look, and end."""
        self.refused(what, reason)
        self._begin(self._turn_away())

    def shell_received(self, terminal: Terminal | None) -> ShellSession:
        """RFC 4254 section 6.5 `shell`: another kind of session takes over."""
        return ShellSession(self._with, terminal)

    def sftp_received(self) -> Agent | None:
        """The subsystem sftp: another kind of session takes over."""
        session: Agent = self._services.transfers(self._with, None)
        return session

    def window_changed(self, columns: int, rows: int) -> None:
        """There is no terminal."""

    def exec_received(self, command: bytes, terminal: Terminal | None) -> Agent:
        """RFC 4254 section 6.5 `exec`. For one with a terminal, and for the far ends of transfers that end here,
        another kind of session takes over."""
        if terminal is not None:
            return CommandSession(self._with, terminal, command)
        transfer: Agent | None = self._services.transfers(self._with, command)
        if transfer is not None:
            return transfer
        self._stdin.hold()
        self._events.post(ev.ExecRequested(command, self._services.new_request(), self._services.clock.wall()))
        self._begin(self._run())
        return self

    def data_received(self, data: bytes, datatype: asyncssh.DataType) -> None:
        """Stdin."""
        upstream = self._execution.upstream
        if self._over:
            self._stdin.reading.pause("over")
        elif upstream is not None:
            self._execution.intake.send(data)
        elif self._collecting:
            self._events.post(ev.StdinReceived(data))
        else:
            self._stdin.early.append(data)

    def eof_received(self) -> bool:
        """End of stdin; the channel stays open for output."""
        upstream = self._execution.upstream
        if upstream is not None:
            self._execution.intake.send_eof()
        elif self._collecting:
            self._events.post(ev.StdinEnded(self._services.clock.wall()))
        else:
            self._stdin.ended = True
        return True

    def signal_received(self, signal: str) -> None:
        """RFC 4254 section 6.9. A client that floods them must not fill the memory."""
        if len(self._events) < EVENTS_QUEUED:
            self._events.post(ev.SignalReceived(signal if signal.isalnum() and len(signal) <= 16 else "?"))

    def pause_writing(self) -> None:
        """The agent reads slower than its command writes."""
        if self._execution.upstream is not None:
            self._execution.upstream.agent_full()

    def resume_writing(self) -> None:
        """The agent caught up."""
        self._with.moved.set()
        if self._execution.upstream is not None:
            self._execution.upstream.agent_drained()

    def left(self) -> None:
        """The agent closed the channel, or its connection is gone."""
        if not self._with.gone:
            self._with.gone = True
            self._with.moved.set()
            self._stdin.reading.channel = None
            if self._execution.upstream is not None:
                self._execution.upstream.agent_left()
            self._events.post(ev.AgentLeft())

    def connection_lost(self, exc: Exception | None) -> None:
        """The channel is closed."""
        self.left()

    # --- what others call -----------------------------------------------------------------------------------------

    def cut(self, reason: str, keeps: bool = False) -> None:
        """A person or the daemon ends this session."""
        if not self._with.cut:
            self._with.cut = reason
            self._with.moved.set()
            self._events.post(ev.Cut(reason, keeps))

    def _decided(self, decision: Decision, seconds: float) -> None:
        self._events.post(ev.Decided(decision, seconds))

    def _edited(self, request: Request) -> None:
        self._events.post(ev.Edited(request))

    # --- the task -------------------------------------------------------------------------------------------------

    def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        self._services.spawn(work, f"session {self.id}")

    async def _turn_away(self) -> None:
        self._with.say_refusals()
        await self._with.records.closed("refused by the table")
        await self._exit(do.Exit(notices.EXIT_DENIED))

    async def _run(self) -> None:
        self._services.sessions.open(self._with.info, self.cut)
        gate = self._gate = self._make_gate()
        if reason := self._with.withdrawn():
            self._events.post_first(ev.Cut(reason))
        try:
            self._with.say_refusals()
            while gate.state is not GateState.CLOSED:
                await self._execute(gate.receive(await self._events.take()))
        except (BastionError, RecorderError) as error:
            await self._fail(gate, str(error))
        except Exception:
            log.exception("session %s", self.id)
            await self._fail(gate, "internal error of the bastion; its log says more")
        finally:
            self._over = True
            self._with.close()

    def _make_gate(self) -> Gate:
        services, environment, info = self._services, self.environment, self._with.info
        where = Circumstances(
            identity=info.identity,
            key=info.key,
            session=info.id,
            target=self._with.target,
            login=self._with.login,
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
            judge=services.judge,
        )

    async def _fail(self, gate: Gate, reason: str) -> None:
        """The bastion cannot do its part: stop what runs, take back what is held, say so. What cannot be written any
        more is in the log; the next start of the daemon says the rest in the ledger."""
        request = gate.request
        self._execution.stop(hard=True)
        try:
            if request is not None and self._with.records.unfinished:
                await self._record_finished(do.RecordFinished(request, None, "", f"its end was not seen: {reason}"))
            if request is not None and gate.state is GateState.HELD:
                await self._services.broker.withdraw(request.id, reason)
        except (BastionError, RecorderError) as error:
            log.error("session %s: %s", self.id, error)
        self._with.say(notices.failed(reason))
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
                    await self._with.record_proposed(request, judgement, started=follows is not None)
                case do.RecordAttached(request):
                    await self._with.records.attached(request)
                    self._with.list_request(request)
                case do.RecordStarted(authorization):
                    request = authorization.request
                    await self._with.records.started(request, await self._with.use_approval(request))
                case do.RecordFinished():
                    # "finished, exit" in one list is one commit, with the session's end; exit then finds it done
                    follows_exit = waiting[0] if waiting and isinstance(waiting[0], do.Exit) else None
                    await self._record_finished(effect, follows_exit)
                case do.Say(notice):
                    self._with.say(notice)
                case do.Collect():
                    self._collect()
                case do.FindTwin(request):
                    answer = await self._find_twin(request)
                case do.Hold(request):
                    self._with.hold(request, self._decided, self._edited)
                    self._report_progress(request)
                    self._expect_approval(request)
                case do.Withdraw(request, reason):
                    await broker.withdraw(request.id, reason)
                case do.Detach(request):
                    broker.detach(request.id, self.id)
                case do.Run(authorization):
                    answer = await self._start(authorization.request)
                case do.ForwardSignal(name):
                    self._execution.signal(name)
                case do.StopUpstream():
                    self._execution.stop(hard=bool(self._with.cut))
                case do.Exit():
                    await self._exit(effect)
                case _:
                    assert_never(effect)
        if answer is not None and self._gate is not None:
            await self._execute(self._gate.receive(answer))

    async def _record_finished(self, effect: do.RecordFinished, following: do.Exit | None = None) -> None:
        """The end of the command, and with `following`, where nothing waits for the agent, of the session. The agent
        hears of it while it is committed: what it does next is another command, and waits for a commit of its own. If
        we crash here, the ledger has the command's start, and the next start of the daemon says that its end was not
        seen."""
        if self._push is not None:
            await self._push.close("its command ended")
        records, request = self._with.records, effect.request
        closing = end_of(following) if following is not None and self._with.delivered else None
        ending = records.ending(request, effect.status, effect.signal, effect.note, closing)
        finished = self._execution.finish(ending.drafts)
        if finished is None:
            await self._services.audit.write(*ending.drafts(None))
            self._services.broker.ran(request.id, records.ended(ending, None))
            return
        self._services.audit.expect(finished)
        if following is not None and closing is not None:
            await self._exit(following)
        summary = await finished
        put_out = summary.bytes["output"] + summary.bytes["stderr"]
        self._services.sessions.change(self.id, output_bytes=put_out)
        self._services.broker.ran(request.id, records.ended(ending, summary))

    async def _find_twin(self, request: Request) -> ev.Event:
        found = await find_twin(self._with, request, self._decided, self._edited)
        if isinstance(found, ev.TwinFound) and found.decision is None:
            self._report_progress(found.request)
            self._expect_approval(found.request)
        return found

    async def _start(self, request: Request) -> ev.Event:
        self._with.stop_progress()
        channel, unwanted = self._with.channel, self._with.unwanted
        if channel is None or unwanted():
            return ev.UpstreamFailed(unwanted())
        event = await self._execution.start(request, self._with.target, channel, self._stdin, unwanted, self._gated)
        if isinstance(event, ev.UpstreamOpened):
            self._services.broker.ran(request.id, "running")
        return event

    def _gated(self, request: Request, upstream: Upstream) -> Intake:
        """A git push: what it changes is a request of its own."""
        repository = pushes_to(request.command)
        if not repository:
            return Nowhere()

        def refuse(notice: notices.Notice, status: int, why: str) -> None:
            self._events.post(ev.StdinRefused(notice, status, why))

        self._push = Push(self._with, request, repository, upstream, self._stdin.reading, refuse)
        return self._push

    def _collect(self) -> None:
        """Let stdin through to the gate: first what came early, then the rest as it comes."""
        self._collecting = True
        while self._stdin.early:
            self._events.post(ev.StdinReceived(self._stdin.early.popleft()))
        if self._stdin.ended:
            self._events.post(ev.StdinEnded(self._services.clock.wall()))
        self._stdin.flow()
        self._with.call_later(QUIET_SECONDS, lambda: self._events.post(ev.StillReading()))

    def _report_progress(self, request: Request) -> None:
        self._with.report_progress(request, lambda seconds, of: self._events.post(ev.Waited(seconds, of)))

    def _expect_approval(self, request: Request) -> None:
        """It is held, and the agent waits: what can be done beforehand is."""
        if self._gate is not None and self._gate.where.wait:
            self._services.pool.expect(self.id, self._with.target, request.login)

    async def _exit(self, effect: do.Exit) -> None:
        self._stdin.reading.pause("over")
        await self._with.exit(effect)
