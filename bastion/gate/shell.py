"""One governed shell as a state machine: events in, effects out. Pure.

Theory of operation. `receive(event)` looks its handler up in shell_states.TABLE and returns the effects to execute, in
that order. No row: GateError, and nothing changed; the session then ends the shell, since a protocol that went wrong is
not guessed at.

The agent's bytes are read by the bastion's own editor (`line.py`), or as lines of a script where there is no terminal.
A whole item (`policy.complete`) becomes a request. While it is asked about and held, nothing goes to the target: what
is typed meanwhile is type-ahead (`typeahead.py`). The rule of `gate.py` holds here for both ways to the target:
RunLine stands only behind RecordStarted, SendTty of an item only behind RecordSent, in the same list, with the same
Authorization; keys pass only in VIEW and RAW, under the Authorization that opened that window. A command has ended when
the driver says so with the nonce of its frame, and at no other time.

A line of stdin that is still held when its command ends is taken back, and is type-ahead again: if it runs at all, then
as a command that somebody approved as a command. A password never comes back.

What policy allows does not run in the shell, where aliases and functions could make something else of it, but beside it
(policy/aside.py, RunAside); what cannot is held.

A line that starts a shell can be run as a governed one (`shell_nesting.py`): IDLE is then the prompt of that shell, and
what is asked there is for it alone. ^D there, or the end of the line that started it, leads back.

A script (no terminal) does not go on without one of its commands: a denial ends it.

The parts are in `shell_core.py`, which says which.
"""

from __future__ import annotations

from bastion.gate import shell_effects as sd
from bastion.gate import shell_events as sv
from bastion.gate.gate import GateError
from bastion.gate.shell_end import Ending
from bastion.gate.shell_states import TABLE


class Shell(Ending):
    """The gate of one shell. `intent`, `assess` and `judge` are pure functions of policy; `assess` is risk.assess."""

    table = TABLE

    def receive(self, event: sv.Event) -> list[sd.Effect]:
        """What follows from `event`. Raises GateError when it cannot happen now; then nothing changed."""
        try:
            name = self.table[self.state, type(event)]
        except KeyError:
            raise GateError(f"{type(event).__name__} in state {self.state.name}") from None
        if name is None:
            return []
        effects: list[sd.Effect] = getattr(self, f"_{name}")(event)
        return effects
