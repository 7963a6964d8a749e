"""A governed shell ends: the agent left, somebody cut it, the shell on the target is gone. Pure.

What is held is taken back, what ran is written down as ended, the innermost first; what policy leaves running goes on
without its agent (LEFT).
"""

from __future__ import annotations

from bastion.gate import effects as do
from bastion.gate import events as ev
from bastion.gate import notices
from bastion.gate import shell_effects as sd
from bastion.gate import shell_events as sv
from bastion.gate.shell_inside import Inside
from bastion.gate.shell_states import State


class Ending(Inside):
    """See the file's header."""

    def _failed_running(self, event: sv.DriverFailed) -> list[sd.Effect]:
        effects = self._wind_up("its shell ended")
        status = None if self._nests.depth else event.status
        effects.append(do.RecordFinished(self._line(), status, "", event.reason if status is None else ""))
        return [*effects, *self._failed(event)]

    def _failed(self, event: sv.DriverFailed) -> list[sd.Effect]:
        effects: list[sd.Effect] = []
        if self.state is State.HELD:
            effects.append(do.Withdraw(self._line(), "its shell ended"))
        effects += self._nests.over(event.reason)
        self.state = State.CLOSED
        if event.status is None:
            return [*effects, do.Say(notices.failed(event.reason)), do.Exit(notices.EXIT_BASTION, why=event.reason)]
        return [*effects, do.Exit(event.status, why=event.reason)]

    def _end(self, why: str, status: int) -> list[sd.Effect]:
        """From the prompt: nothing runs."""
        self.state = State.CLOSED
        self._ahead.clear()
        return [sd.EndShell(why), *self._nests.over(why), do.Exit(status, why=why)]

    def _leave_new(self, _event: ev.AgentLeft) -> list[sd.Effect]:
        self.state = State.CLOSED
        return [do.Exit(notices.EXIT_BASTION, why="the agent left")]

    def _cut_new(self, event: ev.Cut) -> list[sd.Effect]:
        self.state = State.CLOSED
        return [do.Say(notices.cut(event.reason)), do.Exit(notices.EXIT_BASTION, why=event.reason)]

    def _leave(self, _event: ev.AgentLeft) -> list[sd.Effect]:
        return [*self._take_back_held("the agent left"), *self._end("the agent left", notices.EXIT_BASTION)]

    def _cut(self, event: ev.Cut) -> list[sd.Effect]:
        taken = self._take_back_held(event.reason)
        return [*taken, do.Say(notices.cut(event.reason)), *self._end(event.reason, notices.EXIT_BASTION)]

    def _take_back_held(self, reason: str) -> list[sd.Effect]:
        return [do.Withdraw(self._line(), reason)] if self.state is State.HELD else []

    def _leave_command(self, _event: ev.AgentLeft) -> list[sd.Effect]:
        effects = self._wind_up("the agent left")
        if self._leave_running and self.state is not State.STARTING and not self._nests.coming:
            self.state = State.LEFT
            return effects
        self.state, self._why = State.ENDING, "the agent left"
        return [*effects, sd.EndShell(self._why)]

    def _cut_running(self, event: ev.Cut) -> list[sd.Effect]:
        effects = self._wind_up(event.reason)
        self.state, self._why = State.ENDING, event.reason
        return [*effects, sd.EndShell(event.reason), do.Say(notices.cut(event.reason))]

    def _ended_by_us(self, _event: sv.DriverFailed) -> list[sd.Effect]:
        self.state = State.CLOSED
        finished = do.RecordFinished(self._line(), None, "", self._why)
        return [finished, *self._nests.over(self._why), do.Exit(notices.EXIT_BASTION, why=self._why)]
