"""One command with a terminal (`ssh -t TARGET@bastion COMMAND`) as a state machine: events in, effects out. Pure.

Theory of operation. Until it starts it is an exec as in `gate.py`: the same request, with the terminal and what may be
typed in its digest; the same looking for one like it that was left behind; held while its client is away. Nothing is on
the target by then. Once it runs, it is a command of a governed shell (`shell.py`, from which all of that comes): what
is typed is a line that is held, or keys in a window that a person opened, or one of the four keys. Its end is the end.

It runs in a process of its own, as sshd starts it: no shell state, no frames. So there is nothing to come back to: what
was typed and not sent when it ends is dropped, and a shell that it starts is a program like any other, typed into line
by line.

Policy lets no keys through: what it allows, and what would want them, a person decides.
"""

from __future__ import annotations

from dataclasses import replace

from bastion.gate import effects as do
from bastion.gate import events as ev
from bastion.gate import notices
from bastion.gate import shell_effects as sd
from bastion.gate import shell_events as sv
from bastion.gate.gate import GateError
from bastion.gate.line import Editor
from bastion.gate.shell import Shell
from bastion.gate.shell_states import TABLE as OF_SHELLS
from bastion.gate.shell_states import State
from bastion.model import Request, Verdict
from bastion.policy.ansible import described
from bastion.policy.dialects import told

S = State

TABLE: dict[tuple[State, type], str | None] = {
    **{row: handler for row, handler in OF_SHELLS.items() if row[0] is not S.OPENING and row[0] is not S.IDLE},
    (S.NEW, sv.CommandRequested): "seek",
    (S.ASKING, ev.TwinFound): "take_up",
    (S.ASKING, ev.NoTwinFound): "judged",
    (S.HELD, ev.AgentLeft): "detach",
    (S.HELD, ev.SignalReceived): "interrupt",
    (S.HELD, ev.Cut): "cut_held",
}
"""That of a shell, without its prompt; ASKING waits for the answer to FindTwin."""
del TABLE[S.NEW, sv.ShellRequested]


class Command(Shell):
    """The gate of one command with a terminal. Arguments as of Shell."""

    table = TABLE

    def _seek(self, event: sv.CommandRequested) -> list[sd.Effect]:
        self.state, self._asker.terminal, self._nonce = State.ASKING, event.terminal, event.nonce
        self._editor = Editor(event.columns, full=event.terminal != "dumb")
        self.request = self._asker.command(event)
        return [do.FindTwin(self.request)]

    def _judged(self, event: ev.NoTwinFound) -> list[sd.Effect]:
        asked = self._line()
        if event.script:
            found = described(asked.assessment, event.script_code, self._asker.assess)
            asked = replace(asked, script=event.script, script_code=event.script_code, assessment=found)
        asked = replace(asked, assessment=told(asked.assessment, asked.command, event.shell))
        judged = self._asker.judged(asked, event.now)
        request, judgement = judged.request, judged.judgement
        self.request = request
        proposed = do.RecordProposed(request, judgement)
        match judgement.verdict:
            case Verdict.ALLOW:
                return [proposed, *self._start(do.Authorization(request, judgement))]
            case Verdict.DENY:
                return [proposed, do.Say(notices.refused(judgement.reason)), *self._without(notices.EXIT_DENIED)]
            case Verdict.HOLD:
                said = do.Say(notices.held(request, request.seconds))
                return [proposed, do.Hold(request), said, *self._wait_or_leave(request)]

    def _take_up(self, event: ev.TwinFound) -> list[sd.Effect]:
        request = self.request = event.request
        effects: list[sd.Effect] = [do.RecordAttached(request)]
        if request.author:
            effects.append(do.Say(notices.edited(request)))
        if event.decision is None:
            return [*effects, do.Say(notices.attached(request)), *self._wait_or_leave(request)]
        said = do.Say(notices.ticket(request, event.decision.by))
        return [*effects, said, *self._start(do.Authorization(request, event.decision))]

    def _wait_or_leave(self, request: Request) -> list[sd.Effect]:
        if self.where.wait:
            self.state = State.HELD
            return []
        self.state = State.CLOSED
        later = do.Say(notices.later(request))
        return [do.Detach(request), later, do.Exit(notices.EXIT_LATER, why="the agent does not wait")]

    def _start(self, authorization: do.Authorization) -> list[sd.Effect]:
        self.state, self.request, self._authorization = State.STARTING, authorization.request, authorization
        return [do.RecordStarted(authorization), sd.RunCommand(authorization, self._nonce)]

    def _without(self, status: int) -> list[sd.Effect]:
        """It does not run: that is all."""
        self.state = State.CLOSED
        return [do.Exit(status, why="refused" if self.request is None else f"request {self._line().id} did not run")]

    # --- held -------------------------------------------------------------------------------------------------------

    def _typed_ahead(self, event: sv.BytesTyped) -> list[sd.Effect]:
        if b"\x03" not in event.data:
            return self._enqueue(event.data)
        return [sd.Echo(b"^C\r\n"), *self._taken_back("the agent pressed ^C")]

    def _interrupt(self, event: ev.SignalReceived) -> list[sd.Effect]:
        return self._taken_back(f"the agent sent {event.name}")

    def _taken_back(self, reason: str) -> list[sd.Effect]:
        self.state = State.CLOSED
        taken: list[sd.Effect] = [do.Withdraw(self._line(), reason), do.Say(notices.withdrawn(self._line(), reason))]
        return [*taken, do.Exit(notices.EXIT_INTERRUPTED, why="withdrawn by the agent")]

    def _detach(self, _event: ev.AgentLeft) -> list[sd.Effect]:
        self.state = State.CLOSED
        return [do.Detach(self._line()), do.Exit(notices.EXIT_BASTION, why="the agent left; its request stays")]

    def _cut_held(self, event: ev.Cut) -> list[sd.Effect]:
        self.state = State.CLOSED
        request, end = self._line(), do.Exit(notices.EXIT_BASTION, why=event.reason)
        if event.keeps:
            return [do.Detach(request), do.Say(notices.kept(request, event.reason)), end]
        return [do.Withdraw(request, event.reason), do.Say(notices.cut(event.reason)), end]

    # --- it runs ----------------------------------------------------------------------------------------------------

    def _signalled(self, event: ev.SignalReceived) -> list[sd.Effect]:
        """Those that have a key come as one, which the terminal turns into the signal; the rest as for any exec."""
        return super()._signalled(event) or [do.ForwardSignal(event.name)]

    def _done(self, event: sv.CommandDone) -> list[sd.Effect]:
        if event.nonce != self._nonce:
            raise GateError("another command ended than the one that runs")
        effects = self._wind_up("its command ended before somebody decided")
        self.state = State.CLOSED
        finished = do.RecordFinished(self._line(), None if event.signal else event.status, event.signal, "")
        return [*effects, finished, do.Exit(event.status, event.signal, why="")]

    def _done_after_leaving(self, event: sv.CommandDone) -> list[sd.Effect]:
        if event.nonce != self._nonce:
            raise GateError("another command ended than the one that runs")
        self.state = State.CLOSED
        finished = do.RecordFinished(self._line(), None if event.signal else event.status, event.signal, "")
        return [finished, do.Exit(notices.EXIT_BASTION, why="the agent had left")]

    def _ended_by_us(self, event: sv.DriverFailed) -> list[sd.Effect]:
        self.state = State.CLOSED
        note = f"{self._why}; {event.reason}" if event.reason else self._why
        return [do.RecordFinished(self._line(), None, "", note), do.Exit(notices.EXIT_BASTION, why=self._why)]
