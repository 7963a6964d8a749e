"""A command of the governed shell ends; and shells in it, which come up and end with theirs. Pure.

Theory of operation. A line that starts a shell can be run as a governed one (`shell_nesting.py`): IDLE is then the
prompt of that shell, and what is asked there is for it alone. ^D there, or the end of the line that started it, leads
back. The end of a line is told by its nonce: that of the innermost command, or of a line that started a shell, and then
all that is inside has ended, whatever it was about to do.
"""

from __future__ import annotations

from bastion.gate import effects as do
from bastion.gate import notices
from bastion.gate import shell_effects as sd
from bastion.gate import shell_events as sv
from bastion.gate.gate import GateError
from bastion.gate.shell_running import Running
from bastion.gate.shell_states import RUNNING, State


class Inside(Running):
    """See the file's header."""

    def _done(self, event: sv.CommandDone) -> list[sd.Effect]:
        if event.nonce != self._nonce:
            return self._inner_over(event)
        again = self._unread()
        effects = self._wind_up("its command ended before somebody decided")
        self._ahead.put_back(again)
        self._cwd, self._status, self._nonce, self._nests.coming = event.cwd, event.status, "", False
        return [*effects, do.RecordFinished(self._line(), event.status, "", ""), *self._idle()]

    # --- a shell inside -----------------------------------------------------------------------------------------------

    def _inner_ready(self, event: sv.DriverReady) -> list[sd.Effect]:
        if not self._nests.coming:
            raise GateError("a shell came up that nothing started")
        again = self._unread()
        effects = self._wind_up("the shell inside is up")
        self._ahead.put_back(again)
        self._nests.enter(self._line(), self._nonce, kind=self.kind, cwd=self._cwd, who=event.who)
        self._cwd, self.kind, self._status, self._nonce = event.cwd, event.kind, 0, ""
        return [*effects, *self._idle()]

    def _inner_over(self, event: sv.CommandDone) -> list[sd.Effect]:
        """The line ended that started a shell, and with it all that was inside; or the shell did not exit on ^D."""
        stays = self._nests.stayed = self.state is State.EXITING and event.nonce == self._nonce
        effects = [] if stays else self._out_of(event)
        self._cwd, self._status, self._nonce = event.cwd, event.status, ""
        return [*effects, *self._idle()]

    def _out_of(self, event: sv.CommandDone) -> list[sd.Effect]:
        left = self._nests.leave(event.nonce)
        if left is None:
            raise GateError("another command ended than the one that runs")
        level, inside = left
        note = "the shell that it ran in ended"
        effects: list[sd.Effect] = []
        if self.state is State.STARTING:
            effects.append(do.RecordFinished(self._line(), None, "", f"{note}, perhaps before it began"))
        elif self.state in RUNNING | {State.LEFT}:
            effects += self._wind_up(note)
            status = None if inside else event.status  # `exit 3`: the status of its shell is its own
            effects.append(do.RecordFinished(self._line(), status, "", note if inside else ""))
        elif self.state is State.HELD:
            effects += [do.Withdraw(self._line(), note), do.Say(notices.withdrawn(self._line(), note))]
        if self.state in (State.IDLE, State.HELD, State.STARTING):  # unasked: what was typed was for inside
            self._ahead.clear()
            self._item.forget()
            self._keys.clear()
            self._editor.interrupted()
            effects.append(do.Say(notices.shell_lost(level.request, event.status)))
        effects += [do.RecordFinished(request, None, "", note) for request in inside]
        self.kind = level.kind
        return [*effects, do.RecordFinished(level.request, event.status, "", "")]

    def _typed_while_exiting(self, event: sv.BytesTyped) -> list[sd.Effect]:
        key: list[sd.Effect] = [sd.SendControl("^C")] if b"\x03" in event.data else []  # what its traps run
        return [*key, *self._typed_ahead(event)]

    def _done_after_leaving(self, event: sv.CommandDone) -> list[sd.Effect]:
        finished: list[sd.Effect] = [do.RecordFinished(self._line(), event.status, "", "")]
        if event.nonce != self._nonce:
            finished = self._out_of(event)
        return [*finished, *self._end("the agent had left", notices.EXIT_BASTION)]
