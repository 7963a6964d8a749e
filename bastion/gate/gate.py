"""One session channel with an exec, as a state machine: events in, effects out. Pure.

Theory of operation. `receive(event)` looks its handler up in states.TABLE, and returns the list of effects to execute
in that order. No row: GateError, and nothing changed. The gate never sees the bytes of a running command: between
UpstreamOpened and UpstreamEnded they flow past it, in the session.

The one rule: `Run` stands only behind `RecordStarted` in the same list, and both carry the same Authorization, which
cannot be made without an approval of exactly this digest. The session executes lists in order and stops at the first
failure, so a command that runs has its entry.

What the approver is asked about is fixed at the proposal: command, target, login, environment, and, where the
command reads code from stdin, all of stdin. A command that reads data gets its stdin streamed after approval.

How many must approve, and by when, is policy's to say: what is asked is judged first, and becomes the request on the
terms of the judgement (`Judgement.settle`), which then has another digest than the draft.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from bastion.gate import effects as do
from bastion.gate import events as ev
from bastion.gate import notices
from bastion.gate.intent import Intent
from bastion.gate.states import TABLE, State
from bastion.model import (
    CODE_STDIN_LIMIT,
    Assessment,
    Request,
    RequestKind,
    StdinMode,
    Target,
    Verdict,
)
from bastion.model import State as RequestState
from bastion.policy.ansible import described
from bastion.policy.dialects import told
from bastion.policy.judge import Judgement
from bastion.policy.running_files import brought_in
from bastion.policy.tools import fed
from bastion.policy.transfers import pushes_to

TAIL = 64
"""Bytes before what came last in which a mark of tools.py may begin."""


class GateError(Exception):
    """An event that cannot happen in this state: a bug in the caller, never in what an agent sent."""


@dataclass(frozen=True, slots=True)
class Circumstances:
    """All that is fixed before the agent asks for anything."""

    identity: str
    key: str
    """Fingerprint."""
    session: str
    target: Target
    login: str
    environment: tuple[tuple[str, str], ...]
    wait: bool
    """False with BASTION_WAIT=no."""
    approvals: int
    timeout: int
    """Seconds that a request is held at most."""


class Gate:
    """The gate of one channel. `read_intent`, `reads_code`, `assess` and `judge` are pure functions of policy."""

    def __init__(
        self,
        where: Circumstances,
        *,
        intent: Callable[[bytes], Intent],
        reads_code: Callable[[bytes], str | None],
        assess: Callable[[bytes, bytes], Assessment],
        judge: Callable[[Request, int], Judgement],
    ) -> None:
        self.state = State.OPEN
        self.where = where
        self.request: Request | None = None
        self._intent, self._reads_code, self._assess, self._judge = intent, reads_code, assess, judge
        self._command = b""
        self._id = ""
        self._why = ""
        self._stdin = bytearray()
        self._cut = ""
        self._asked_at = 0
        self._status = notices.EXIT_BASTION
        """What the agent gets when its command was cut."""

    def receive(self, event: ev.Event) -> list[do.Effect]:
        """What follows from `event`. Raises GateError when it cannot happen now; then nothing changed."""
        try:
            name = TABLE[self.state, type(event)]
        except KeyError:
            raise GateError(f"{type(event).__name__} in state {self.state.name}") from None
        if name is None:
            return []
        effects: list[do.Effect] = getattr(self, f"_{name}")(event)
        return effects

    # --- from exec to a proposal ----------------------------------------------------------------------------------

    def _propose_or_collect(self, event: ev.ExecRequested) -> list[do.Effect]:
        self._command, self._id, self._asked_at = event.command, event.request, event.now
        why = self._reads_code(event.command)
        if why is None or self._hopeless(event.now):
            gated = why is None and pushes_to(event.command)
            return self._seek(StdinMode.GATED if gated else StdinMode.STREAM, event.now)
        self.state, self._why = State.COLLECTING, why
        return [do.Collect()]

    def _still_collecting(self, _event: ev.StillReading) -> list[do.Effect]:
        return [do.Say(notices.collecting(self._why))]

    def _collect(self, event: ev.StdinReceived) -> list[do.Effect]:
        self._stdin += event.data
        if fed(bytes(self._stdin[-len(event.data) - TAIL :])):  # denied whatever follows, and no end would come
            return self._seek(StdinMode.BUNDLED, self._asked_at)
        if len(self._stdin) <= CODE_STDIN_LIMIT:
            return []
        self.state = State.CLOSED
        return [
            do.Say(notices.refused(f"stdin that may be code has at most {CODE_STDIN_LIMIT:,} bytes: {self._why}")),
            do.Exit(notices.EXIT_DENIED, why="more code on stdin than the limit"),
        ]

    def _propose_collected(self, event: ev.StdinEnded) -> list[do.Effect]:
        return self._seek(StdinMode.BUNDLED, event.now)

    def _hopeless(self, now: int) -> bool:
        """Denied whatever stdin brings: then there is no need to wait for its end."""
        return self._judge(self._ask(StdinMode.BUNDLED, now), now).verdict is Verdict.DENY

    def _seek(self, stdin: StdinMode, now: int) -> list[do.Effect]:
        self.request = self._ask(stdin, now)
        self._stdin.clear()
        self.state = State.SEEKING
        return [do.FindTwin(self.request)]

    def _ask(self, stdin: StdinMode, now: int) -> Request:
        """The request that what is known by now would make."""
        where, intent = self.where, self._intent(self._command)
        return Request(
            id=self._id,
            kind=RequestKind.EXEC,
            identity=where.identity,
            key=where.key,
            session=where.session,
            target=where.target.name,
            env=where.target.env,
            host_keys=where.target.host_keys,
            login=where.login,
            command=self._command,
            environment=where.environment,
            stdin=stdin,
            stdin_code=bytes(self._stdin),
            reason=intent.reason,
            rollback=intent.rollback,
            task=intent.task,
            emergency=intent.emergency,
            assessment=self._described(self._assess(self._command, bytes(self._stdin)), bytes(self._stdin)),
            approvals=where.approvals,
            created=now,
            expires=now + where.timeout * 1_000_000,
        )

    def _described(self, found: Assessment, program: bytes) -> Assessment:
        """With what an Ansible payload says, where the program is one."""
        return described(found, program, lambda line: self._assess(line, b"")) if program else found

    # --- judged ---------------------------------------------------------------------------------------------------

    def _asked(self) -> Request:
        if self.request is None:
            raise GateError("no request yet")
        return self.request

    def _judged(self, event: ev.NoTwinFound) -> list[do.Effect]:
        asked = self._asked()
        if event.script:
            found = self._described(asked.assessment, event.script_code)
            if said := brought_in(event.script, event.script_code):
                found = replace(found, reasons=(*found.reasons, *said), weights=(*found.weights, *[0] * len(said)))
            asked = replace(asked, script=event.script, script_code=event.script_code, assessment=found)
        asked = replace(asked, assessment=told(asked.assessment, asked.command, event.shell)) if event.shell else asked
        judgement = self._judge(asked, event.now)
        request = self.request = judgement.settle(asked)
        proposed = do.RecordProposed(request, judgement)
        match judgement.verdict:
            case Verdict.ALLOW:
                return [proposed, *self._start(do.Authorization(request, judgement))]
            case Verdict.DENY:
                self.state = State.CLOSED
                return [
                    proposed,
                    do.Say(notices.refused(judgement.reason)),
                    do.Exit(notices.EXIT_DENIED, why="refused by policy"),
                ]
            case Verdict.HOLD:
                hold: list[do.Effect] = [proposed, do.Hold(request), do.Say(notices.held(request, request.seconds))]
                return hold + self._wait_or_leave(request)

    def _take_up(self, event: ev.TwinFound) -> list[do.Effect]:
        self.request = event.request
        attached: list[do.Effect] = [do.RecordAttached(event.request)]
        if event.request.author:
            attached.append(do.Say(notices.edited(event.request)))
        if event.decision is None:
            return [*attached, do.Say(notices.attached(event.request)), *self._wait_or_leave(event.request)]
        return [
            *attached,
            do.Say(notices.ticket(event.request, event.decision.by)),
            *self._start(do.Authorization(event.request, event.decision)),
        ]

    def _wait_or_leave(self, request: Request) -> list[do.Effect]:
        if self.where.wait:
            self.state = State.HELD
            return []
        self.state = State.CLOSED
        return [
            do.Detach(request),
            do.Say(notices.later(request)),
            do.Exit(notices.EXIT_LATER, why="the agent does not wait"),
        ]

    def _start(self, authorization: do.Authorization) -> list[do.Effect]:
        self.state = State.STARTING
        return [do.RecordStarted(authorization), do.Run(authorization)]

    # --- held -----------------------------------------------------------------------------------------------------

    def _decided(self, event: ev.Decided) -> list[do.Effect]:
        request, decision = self._asked(), event.decision
        if decision.state is RequestState.APPROVED:
            say = do.Say(notices.approved(request, decision.by, event.seconds))
            return [say, *self._start(do.Authorization(request, decision))]
        self.state = State.CLOSED
        notice, status = notices.refusal(request, decision)
        return [do.Say(notice), do.Exit(status, why=f"request {decision.state.value}")]

    def _edited(self, event: ev.Edited) -> list[do.Effect]:
        if event.request.edits != self._asked().id:
            raise GateError("another request was edited than the one that is held")
        self.request = event.request
        return [do.Say(notices.edited(event.request))]

    def _waited(self, event: ev.Waited) -> list[do.Effect]:
        return [do.Say(notices.still_held(self._asked(), event.seconds, event.of))]

    def _detach(self, _event: ev.AgentLeft) -> list[do.Effect]:
        self.state = State.CLOSED
        return [do.Detach(self._asked()), do.Exit(notices.EXIT_BASTION, why="the agent left; its request stays")]

    def _interrupt(self, event: ev.SignalReceived) -> list[do.Effect]:
        self.state = State.CLOSED
        return [
            do.Withdraw(self._asked(), f"the agent sent {event.name}"),
            do.Exit(notices.EXIT_INTERRUPTED, why="withdrawn by the agent"),
        ]

    def _cut_held(self, event: ev.Cut) -> list[do.Effect]:
        self.state = State.CLOSED
        if event.keeps:
            request = self._asked()
            return [
                do.Detach(request),
                do.Say(notices.kept(request, event.reason)),
                do.Exit(notices.EXIT_BASTION, why=event.reason),
            ]
        return [
            do.Withdraw(self._asked(), event.reason),
            do.Say(notices.cut(event.reason)),
            do.Exit(notices.EXIT_BASTION, why=event.reason),
        ]

    # --- before there is a request at the desk ----------------------------------------------------------------------

    def _leave(self, _event: ev.AgentLeft) -> list[do.Effect]:
        self.state = State.CLOSED
        return [do.Exit(notices.EXIT_BASTION, why="the agent left")]

    def _interrupt_early(self, event: ev.SignalReceived) -> list[do.Effect]:
        self.state = State.CLOSED
        return [do.Exit(notices.EXIT_INTERRUPTED, why=f"the agent sent {event.name}")]

    def _cut_early(self, event: ev.Cut) -> list[do.Effect]:
        self.state = State.CLOSED
        return [do.Say(notices.cut(event.reason)), do.Exit(notices.EXIT_BASTION, why=event.reason)]

    # --- on the target ----------------------------------------------------------------------------------------------

    def _opened(self, _event: ev.UpstreamOpened) -> list[do.Effect]:
        self.state = State.RUNNING
        return []

    def _not_started(self, event: ev.UpstreamFailed) -> list[do.Effect]:
        self.state = State.CLOSED
        note = event.reason if event.sent else f"not started: {event.reason}"
        return [
            do.RecordFinished(self._asked(), None, "", note),
            do.Say(notices.failed(event.reason)),
            do.Exit(notices.EXIT_BASTION, why=note),
        ]

    def _forward_signal(self, event: ev.SignalReceived) -> list[do.Effect]:
        return [do.ForwardSignal(event.name)]

    def _refuse_stdin(self, event: ev.StdinRefused) -> list[do.Effect]:
        self._status = event.status
        return [do.Say(event.notice), *self._stop(event.why)]

    def _abandon(self, _event: ev.AgentLeft) -> list[do.Effect]:
        return self._stop("the agent left")

    def _cut_running(self, event: ev.Cut) -> list[do.Effect]:
        return [*self._stop(event.reason), do.Say(notices.cut(event.reason))]

    def _stop(self, reason: str) -> list[do.Effect]:
        self.state, self._cut = State.ENDING, reason
        return [do.StopUpstream()]

    def _ended(self, event: ev.UpstreamEnded) -> list[do.Effect]:
        self.state = State.CLOSED
        lost = event.status is None and not event.signal
        note = self._cut or ("the target closed the channel without a status" if lost else "")
        if not event.confirmed:
            note += "; the target did not confirm its end, so the command may still run there"
        finished = do.RecordFinished(self._asked(), event.status, event.signal, note)
        if self._cut or lost:
            said: list[do.Effect] = [] if self._cut else [do.Say(notices.failed(note))]
            return [finished, *said, do.Exit(self._status, why=note)]
        return [finished, do.Exit(event.status or 0, event.signal, why="")]
