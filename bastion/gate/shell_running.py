"""A command runs in the governed shell: what of the agent's bytes reaches it. Pure.

The four control keys do at any time. Keys pass in VIEW and RAW, under the Authorization that opened that window. In
LINE each line is an item of its own: SendTty of one stands only behind RecordSent, in the same list, with its
Authorization. A line that is still held when its command ends is taken back, and is type-ahead again: if it runs at
all, then as a command that somebody approved as a command. A password never comes back.
"""

from __future__ import annotations

import re

from bastion.gate import effects as do
from bastion.gate import events as ev
from bastion.gate import modes, notices
from bastion.gate import shell_effects as sd
from bastion.gate import shell_events as sv
from bastion.gate.gate import GateError
from bastion.gate.line import BELL, Entered, Pressed
from bastion.gate.shell_asking import MOVERS
from bastion.gate.shell_core import Waiting
from bastion.gate.shell_prompt import AtPrompt
from bastion.gate.shell_states import State
from bastion.gate.talk import Talk
from bastion.gate.ungoverned import leads_to
from bastion.model import State as RequestState
from bastion.model import StdinMode, TtyMode, Verdict

STDIN_LIMIT = 4_095
"""Bytes of a line for a program: a canonical tty takes 4,095 and its newline (N_TTY_BUF_SIZE), and drops the rest."""
KEYS_PENDING = 8
"""Control keys remembered while a command is being started."""

_INTERRUPTS = re.compile(rb"[\x03\x1a\x1c]")
_KEY_NAMES = {code[0]: name for name, code in sd.CONTROL_KEYS.items()}
_SIGNALS = {"INT": "^C", "QUIT": "^\\", "TSTP": "^Z"}
"""Signals that a client may send (RFC 4254 section 6.9) and that have a key."""


class Running(AtPrompt):
    """See the file's header."""

    def _began(self, event: sv.CommandBegan) -> list[sd.Effect]:
        authorization = self._authorization
        if event.nonce != self._nonce or authorization is None:
            raise GateError("another command began than the one that was sent")
        keys: list[sd.Effect] = [sd.SendControl(key) for key in self._keys]
        self._keys.clear()
        self._eof_told, self._talk = False, Talk(authorization.request.command)
        mode = TtyMode.NONE if self._script is not None else authorization.mode
        if mode in MOVERS:
            self.state, self._view = State(State.RAW if mode is TtyMode.RAW else State.VIEW), b""
            seconds = min(authorization.seconds or modes.WINDOW_SECONDS, modes.WINDOW_MOST)
            window = sd.OpenWindow(authorization.request, mode, seconds)
            return [window, do.Say(notices.window(authorization.request, mode.value, seconds)), *keys]
        if mode is TtyMode.NONE:
            self.state = State.NONE
            return keys
        said: list[sd.Effect] = []
        if not self._nests.coming and leads_to(authorization.request.command) is not None:
            said.append(do.Say(notices.by_lines(authorization.request)))
        return [*keys, *said, *self._take_lines()]

    def _take_lines(self) -> list[sd.Effect]:
        self.state = State.LINE
        self._editor.program(echo=self._tty.echo)
        return self._pump()

    # --- keys ---------------------------------------------------------------------------------------------------------

    def _typed_while_running(self, event: sv.BytesTyped) -> list[sd.Effect]:
        if self._script is not None:
            return self._enqueue(event.data)
        effects: list[sd.Effect] = []
        data = event.data
        while (found := _INTERRUPTS.search(data)) is not None:
            key = _KEY_NAMES[found[0][0]]
            data = data[found.end() :]
            self._ahead.clear()
            self._editor.interrupted()
            effects += [*self._take_back(f"the agent pressed {key}"), *self._press(key)]
        if data == b"\x04" and self.state is State.NONE and not len(self._ahead):
            return [*effects, *self._press("^D")]
        effects += self._enqueue(data)
        if self.state is State.LINE_HELD and self._stdin is None:
            effects += self._take_lines()
        return effects

    def _press(self, key: str) -> list[sd.Effect]:
        if self.state is State.STARTING:  # nothing goes to the terminal before the command has it
            self._keys = [*self._keys, key][-KEYS_PENDING:]
            return []
        return [self._control(key)]

    def _signalled(self, event: ev.SignalReceived) -> list[sd.Effect]:
        key = _SIGNALS.get(event.name)
        return [self._control(key)] if key is not None else []

    def _key_pressed(self, event: sv.BytesTyped) -> list[sd.Effect]:
        authorization = self._authorization
        if authorization is None:
            raise GateError("no window is open")
        if self.state is State.RAW:
            return [sd.SendTty(authorization, event.data)]
        effects: list[sd.Effect] = []
        data = self._view + event.data
        while (found := _INTERRUPTS.search(data)) is not None:
            effects += [*self._move(authorization, data[: found.start()]), sd.SendControl(_KEY_NAMES[found[0][0]])]
            data, self._view = data[found.end() :], b""
        return [*effects, *self._move(authorization, data)]

    def _move(self, authorization: do.Authorization, data: bytes) -> list[sd.Effect]:
        keys, self._view, refused = modes.take_keys(data, modes.view_keys(authorization.request.command))
        effects: list[sd.Effect] = [sd.SendTty(authorization, keys)] if keys else []
        return [*effects, sd.Echo(BELL)] if refused else effects

    def _window_over(self, event: sv.WindowOver) -> list[sd.Effect]:
        request = self._line()
        if event.request != request.id:
            return []
        ended = do.Say(notices.window_over(request, event.reason))
        self._talk.lost()
        return [sd.CloseWindow(request), ended, *self._take_lines()]

    # --- stdin --------------------------------------------------------------------------------------------------------

    def _for_program(self, typed: Entered | Pressed) -> list[sd.Effect]:
        if isinstance(typed, Pressed):
            return [self._control(typed.key)]
        data = typed.text.encode() + b"\n"
        if len(data) > STDIN_LIMIT:
            return [do.Say(notices.refused(f"a line for a program has at most {STDIN_LIMIT:,} bytes"))]
        self.state, self._asked = State.LINE_ASKING, data
        return [sd.Describe(b"" if self.secret else data, ask=False)]

    def _propose_stdin(self, event: sv.Described) -> list[sd.Effect]:
        data = self._asked
        self._asked, self._tty = b"", event.tty or self._tty
        owner = self._tty.owner if self.secret else ""
        asked = self._asker.stdin(event, data, self._line(), cwd=self._cwd, owner=owner, talk=self._talk)
        request, judgement = asked.request, asked.judgement
        self._stdin = Waiting(request, data)
        proposed = do.RecordProposed(request, judgement)
        match judgement.verdict:
            case Verdict.DENY:
                self._stdin = None
                return [proposed, do.Say(notices.refused(judgement.reason)), *self._take_lines()]
            case _:
                self.state = State.LINE_HELD
                return [proposed, do.Hold(request), do.Say(notices.held(request, request.seconds))]

    def _decided_stdin(self, event: ev.Decided) -> list[sd.Effect]:
        decision = event.decision
        if self._stdin is None or decision.request != self._stdin.request.id:
            return []
        request = self._stdin.request
        if decision.state is RequestState.APPROVED:
            say = do.Say(notices.approved(request, decision.by, event.seconds))
            return [say, *self._send(do.Authorization(request, decision))]
        self._stdin = None
        return [do.Say(notices.refusal(request, decision)[0]), *self._take_lines()]

    def _send(self, authorization: do.Authorization) -> list[sd.Effect]:
        waiting, self._stdin = self._stdin, None
        if waiting is None:
            raise GateError("no line waits")
        request = waiting.request
        if request.stdin is StdinMode.SECRET and not self.secret:  # it would be read, and perhaps shown, by another
            reason = "the program does not ask for a password any more"
            said = do.Say(notices.withdrawn(request, reason))
            return [do.Withdraw(request, reason), said, *self._take_lines()]
        self._talk.said(waiting.data)
        sent = sd.RecordSent(authorization, self._line())
        return [sent, sd.SendTty(authorization, waiting.data), *self._take_lines()]
