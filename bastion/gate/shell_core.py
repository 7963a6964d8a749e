"""What all parts of a governed shell's state machine share: what they know, and what each of them does. Pure.

Theory of operation: see `shell.py`. The parts stand on each other in this order, and a file knows those above it.

    shell_core     what is known; what is open round a running command, and how it is closed
    shell_prompt   from bytes to a whole item; held, decided, started
    shell_running  a command runs: control keys, windows in which keys pass, lines for its stdin
    shell_inside   a shell in the shell comes up, and ends
    shell_end      the agent leaves, somebody cuts, the target's shell is gone
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

from bastion.gate import effects as do
from bastion.gate import notices
from bastion.gate import shell_effects as sd
from bastion.gate import shell_events as sv
from bastion.gate.gate import Circumstances, GateError
from bastion.gate.intent import Intent
from bastion.gate.line import BELL, Editor, Entered, Pressed
from bastion.gate.shell_asking import Asker
from bastion.gate.shell_item import Item
from bastion.gate.shell_nesting import Nests
from bastion.gate.shell_states import State
from bastion.gate.talk import Talk
from bastion.gate.typeahead import Script, TypeAhead
from bastion.model import Assessment, Request, StdinMode
from bastion.policy.judge import Judgement


@dataclass(frozen=True, slots=True)
class Waiting:
    """A line for the running program, while it is held."""

    request: Request
    data: bytes
    """What would be sent; with SECRET it stands nowhere else."""


class Core(ABC):
    """See the file's header."""

    def __init__(
        self,
        where: Circumstances,
        *,
        leave_running: bool,
        intent: Callable[[bytes], Intent],
        assess: Callable[..., Assessment],
        judge: Callable[[Request, int], Judgement],
    ) -> None:
        self.state = State.NEW
        self.where = where
        self.request: Request | None = None
        """The line that is held or runs."""
        self._leave_running = leave_running
        self._asker = Asker(where, intent=intent, assess=assess, judge=judge)
        self._editor = Editor()
        self._script: Script | None = None
        self._ahead = TypeAhead()
        self._nests = Nests()
        self.kind = self._cwd = ""
        self._status = 0
        self._ended = self._eof_told = False
        self._tty = sv.TtyChanged(echo=True, canonical=True, owner="")
        self._item = Item()
        self._nonce = ""
        self._aside = False
        self._authorization: do.Authorization | None = None
        self._stdin: Waiting | None = None
        self._asked: bytes = b""
        self._talk = Talk(b"")
        self._keys: list[str] = []
        self._view = b""
        self._why = ""

    @property
    def full(self) -> bool:
        """The agent's channel should not be read for now: a script's type-ahead has its limit."""
        return self._script is not None and self._ahead.full

    @property
    def held(self) -> Request | None:
        """The request that waits for a decision."""
        if self.state is State.HELD:
            return self.request
        return self._stdin.request if self.state is State.LINE_HELD and self._stdin else None

    @property
    def depth(self) -> int:
        """Shells round the one whose prompt this is."""
        return self._nests.depth

    @property
    def secret(self) -> bool:
        """A password is being asked for: nothing typed now may be kept anywhere."""
        return not self._tty.echo and self._tty.owner != ""

    # --- what every part does -----------------------------------------------------------------------------------------

    def _line(self) -> Request:
        if self.request is None:
            raise GateError("no request yet")
        return self.request

    def _enqueue(self, data: bytes) -> list[sd.Effect]:
        if self._script is not None:
            self._ahead.keep(data)
            return []
        return [] if self._ahead.add(data) else [sd.Echo(BELL)]

    def _control(self, key: str) -> sd.Effect:
        self._talk.interrupted()
        return sd.SendControl(key)

    def _take_back(self, reason: str) -> list[sd.Effect]:
        """The held line of stdin, if there is one."""
        waiting, self._stdin = self._stdin, None
        if waiting is None:
            return []
        return [do.Withdraw(waiting.request, reason), do.Say(notices.withdrawn(waiting.request, reason))]

    def _unread(self) -> bytes:
        """What was typed for the program, and did not go there."""
        if self._stdin is not None and self._stdin.request.stdin is not StdinMode.SECRET:
            return self._stdin.data[:-1] + b"\r"
        if self.state is State.LINE and not self.secret:
            return self._editor.text.encode()
        return b""

    def _wind_up(self, reason: str) -> list[sd.Effect]:
        """What is open round a running command: a held line of stdin, a window."""
        effects = self._take_back(reason)
        if self.state in (State.VIEW, State.RAW):
            effects.append(sd.CloseWindow(self._line()))
        return effects

    # --- what later parts do, and earlier ones call for -------------------------------------------------------------

    @abstractmethod
    def receive(self, event: sv.Event) -> list[sd.Effect]:
        """What follows from `event`."""

    @abstractmethod
    def _idle(self) -> list[sd.Effect]:
        """Back at the prompt."""

    @abstractmethod
    def _take_lines(self) -> list[sd.Effect]:
        """A line for the running program may be edited."""

    @abstractmethod
    def _for_program(self, typed: Entered | Pressed) -> list[sd.Effect]:
        """Something whole was typed for the running program."""

    @abstractmethod
    def _end(self, why: str, status: int) -> list[sd.Effect]:
        """From the prompt: nothing runs."""
