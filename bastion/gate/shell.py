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
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace

from bastion.gate import effects as do
from bastion.gate import events as ev
from bastion.gate import modes, notices
from bastion.gate import shell_effects as sd
from bastion.gate import shell_events as sv
from bastion.gate.gate import Circumstances, GateError
from bastion.gate.intent import Intent
from bastion.gate.line import BELL, Editor, Entered, Pressed
from bastion.gate.shell_nesting import Nests
from bastion.gate.shell_states import RUNNING, TABLE, State
from bastion.gate.talk import Talk
from bastion.gate.typeahead import Script, TypeAhead
from bastion.model import (
    UNRATED,
    Assessment,
    Decision,
    Request,
    RequestKind,
    StdinMode,
    TtyMode,
    Verdict,
)
from bastion.model import State as RequestState
from bastion.policy.aside import aside, changes_directory
from bastion.policy.complete import Reader
from bastion.policy.judge import Judgement
from bastion.policy.visible import visible_line

ITEM_LIMIT = 65_536
"""Bytes of one item, as of type-ahead: what was pasted in one go."""
STDIN_LIMIT = 4_095
"""Bytes of a line for a program: a canonical tty takes 4,095 and its newline (N_TTY_BUF_SIZE), and drops the rest."""
CWD_SHOWN = 60
"""Characters of the directory in the prompt."""
KEYS_PENDING = 8
"""Control keys remembered while a command is being started."""

NOT_PLAIN = (
    "it would be allowed by itself, but this shell's aliases, functions or state could make something else of it"
)
"""Why a line is held that policy, or the whitelist, lets through."""

NOT_A_COMMAND = "a line for a program is no command: a person decides"
"""Why a line of stdin is held that would be allowed as a command."""

MOVERS = frozenset({TtyMode.VIEW, TtyMode.RAW})
_INTERRUPTS = re.compile(rb"[\x03\x1a\x1c]")
_KEY_NAMES = {code[0]: name for name, code in sd.CONTROL_KEYS.items()}
_SIGNALS = {"INT": "^C", "QUIT": "^\\", "TSTP": "^Z"}
"""Signals that a client may send (RFC 4254 section 6.9) and that have a key."""


@dataclass(frozen=True, slots=True)
class _Stdin:
    """A line for the running program, while it is held."""

    request: Request
    data: bytes
    """What would be sent; with SECRET it stands nowhere else."""


class Shell:
    """The gate of one shell. `intent`, `assess` and `judge` are pure functions of policy; `assess` is risk.assess."""

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
        self._intent, self._assess, self._judge = intent, assess, judge
        self._editor = Editor()
        self._script: Script | None = None
        self._ahead = TypeAhead()
        self._nests = Nests()
        self._terminal = self.kind = ""
        self._cwd = ""
        self._status = self._sequence = 0
        self._ended = self._eof_told = False
        self._tty = sv.TtyChanged(echo=True, canonical=True, owner="")
        self._reader = Reader()
        self._lines: list[str] = []
        self._comments: list[str] = []
        self._size = 0  # of both, in bytes, kept beside them: many short lines must not be added up for each
        self._nonce = ""
        self._aside = False
        self._authorization: do.Authorization | None = None
        self._stdin: _Stdin | None = None
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

    def receive(self, event: sv.Event) -> list[sd.Effect]:
        """What follows from `event`. Raises GateError when it cannot happen now; then nothing changed."""
        try:
            name = TABLE[self.state, type(event)]
        except KeyError:
            raise GateError(f"{type(event).__name__} in state {self.state.name}") from None
        if name is None:
            return []
        effects: list[sd.Effect] = getattr(self, f"_{name}")(event)
        return effects

    # --- beginning ------------------------------------------------------------------------------------------------

    def _open(self, event: sv.ShellRequested) -> list[sd.Effect]:
        self.state, self._terminal = State.OPENING, event.terminal
        if event.terminal:
            self._editor = Editor(event.columns, full=event.terminal != "dumb")
        else:
            self._script = Script()
        return [sd.OpenShell(event.terminal, event.columns, event.rows)]

    def _ready(self, event: sv.DriverReady) -> list[sd.Effect]:
        self._cwd, self.kind = event.cwd, event.kind
        return self._idle()

    def _idle(self) -> list[sd.Effect]:
        """Prompt, and go on with what was typed ahead."""
        self.state, self._authorization = State.IDLE, None
        self._tty = sv.TtyChanged(echo=True, canonical=True, owner="")
        return [*self._prompt(), *self._pump()]

    def _prompt(self) -> list[sd.Effect]:
        if self._script is not None:
            return []
        if self._lines:
            return [sd.Echo(self._editor.prompt("> "), fresh=True)]
        name = f"{self.where.login}@{self.where.target.name}{self._nests.where()}"
        where = f"{name}:{visible_line(self._cwd, CWD_SHOWN)}$ "
        return [sd.Echo(self._editor.prompt(where), fresh=True)]

    # --- from bytes to an item --------------------------------------------------------------------------------------

    def _typed(self, event: sv.BytesTyped) -> list[sd.Effect]:
        return [*self._enqueue(event.data), *self._pump()]

    _typed_for_program = _typed

    def _enqueue(self, data: bytes) -> list[sd.Effect]:
        if self._script is not None:
            self._ahead.keep(data)
            return []
        return [] if self._ahead.add(data) else [sd.Echo(BELL)]

    def _pump(self) -> list[sd.Effect]:
        """Read what was typed, as long as somebody takes it."""
        effects: list[sd.Effect] = []
        while len(self._ahead) and self.state in (State.IDLE, State.LINE):
            fed = (self._script or self._editor).feed(self._ahead.take())
            self._ahead.put_back(fed.rest)
            if fed.echo:
                effects.append(sd.Echo(fed.echo))
            if fed.typed is not None:
                effects += self._at_prompt(fed.typed) if self.state is State.IDLE else self._for_program(fed.typed)
            elif self._script is not None and self._size + self._script.unfinished > ITEM_LIMIT:
                effects += self._too_long()  # now: the end of a script's line may never come
        if self._ended and not len(self._ahead):
            effects += self._input_over()
        return effects

    def _at_prompt(self, typed: Entered | Pressed) -> list[sd.Effect]:
        if isinstance(typed, Pressed):
            begun = bool(self._lines)
            self._forget_item()
            if typed.key == "^D" and not begun and self._nests.depth:
                self.state, self._nonce = State.EXITING, sd.LEAVING
                return [sd.Echo(b"exit\r\n"), sd.LeaveShell(self._nests.depth, again=self._nests.stayed)]
            if typed.key == "^D" and not begun:
                return self._end("the agent ended its shell", self._status)
            return self._prompt()
        for line in typed.text.split("\n"):
            self._lines.append(line)
            self._size += _size(line)
            more = self._reader.open(line)
        if self._size > ITEM_LIMIT:
            return self._too_long()
        if more:
            return self._prompt()
        return self._whole_item()

    def _too_long(self) -> list[sd.Effect]:
        self._forget_item()
        refused = do.Say(notices.refused(f"one item has at most {ITEM_LIMIT:,} bytes"))
        return [refused, *self._without(notices.EXIT_DENIED)]

    def _whole_item(self) -> list[sd.Effect]:
        lines = [line.strip() for line in self._lines]
        if all(not line or line.startswith("#") for line in lines):  # a comment belongs to the command behind it
            self._comments += [line for line in self._lines if line.strip()]
            self._size -= sum(_size(line) for line in self._lines if not line.strip())
            self._lines, self._reader = [], Reader()
            return self._prompt()
        item = "\n".join([*self._comments, *self._lines])
        self._forget_item()
        if self._script is None:
            self._editor.remember(item)
        self.state, self._asked = State.ASKING, item.encode("utf-8", "surrogateescape")
        return [sd.Describe(self._asked, ask=True)]

    def _forget_item(self) -> None:
        self._lines, self._comments, self._size, self._reader = [], [], 0, Reader()

    def _input_ended(self, _event: sv.InputEnded) -> list[sd.Effect]:
        self._ended = True
        return self._pump()

    def _input_over(self) -> list[sd.Effect]:
        """Everything was read, and nothing more will come."""
        if self.state is State.LINE:
            told, self._eof_told = self._eof_told, True
            return [] if told else [self._control("^D")]  # once, as sshd does it
        if self.state is not State.IDLE:
            return []
        if self._script is not None and self._script.text:  # the last line has no newline
            self._ahead.add(b"\n")
            return self._pump()
        if self._script is not None and self._lines:  # not whole: the shell says what is missing
            return self._whole_item()
        return self._end("the agent's input ended", self._status)

    # --- an item is asked for ---------------------------------------------------------------------------------------

    def _propose(self, event: sv.Described) -> list[sd.Effect]:
        mode = TtyMode.NONE if self._script is not None else modes.asked_for(self._asked)
        said = self._intent(self._asked)
        found = self._assess(self._asked, terminal=self._script is None, cwd=self._cwd)
        opens = self._script is None and self._nests.opens(self._asked, mode)
        if self._script is None:
            event = replace(event, context=(*self._nests.context(self._asked), *event.context))
        parent = self._nests.parent
        asked = self._ask(event, RequestKind.LINE, self._asked, found, mode=mode, intent=said, parent=parent)
        self._nonce = event.nonce
        judgement = self._judge(asked, event.now)
        outermost = not self._nests.depth  # beside an inner shell would be outside it
        allowed = judgement.verdict is Verdict.ALLOW and outermost and not opens
        self._aside = allowed and self._cwd.startswith("/") and aside(self._asked)
        if self._aside:  # it gets no input there
            asked = replace(asked, mode=TtyMode.NONE)
            judgement = self._judge(asked, event.now)
        request = judgement.settle(asked)
        same = self._aside or (event.plain and changes_directory(self._asked))
        if judgement.verdict is Verdict.ALLOW and (opens or self._nests.depth or not same):
            judgement = replace(judgement, verdict=Verdict.HOLD, reason=NOT_PLAIN)
        proposed = do.RecordProposed(request, judgement)
        match judgement.verdict:
            case Verdict.ALLOW:
                return [proposed, *self._start(do.Authorization(request, judgement))]
            case Verdict.DENY:
                return [proposed, do.Say(notices.refused(judgement.reason)), *self._without(notices.EXIT_DENIED)]
            case Verdict.HOLD:
                self.state, self.request = State.HELD, request
                return [proposed, do.Hold(request), do.Say(notices.held(request, request.seconds))]

    def _ask(
        self,
        event: sv.Described,
        kind: RequestKind,
        command: bytes,
        assessment: Assessment,
        *,
        mode: TtyMode = TtyMode.NONE,
        stdin: StdinMode = StdinMode.GATED,
        intent: Intent = Intent(),  # noqa: B008 -- frozen
        parent: str = "",
    ) -> Request:
        where = self.where
        self._sequence += 1
        return Request(
            id=event.request,
            kind=kind,
            identity=where.identity,
            key=where.key,
            session=where.session,
            target=where.target.name,
            env=where.target.env,
            host_keys=where.target.host_keys,
            login=where.login,
            command=command,
            environment=where.environment,
            stdin=stdin,
            stdin_code=b"",
            reason=intent.reason,
            rollback=intent.rollback,
            task=intent.task,
            emergency=intent.emergency,
            assessment=assessment,
            approvals=where.approvals,
            created=event.now,
            expires=event.now + where.timeout * 1_000_000,
            cwd=self._cwd,
            sequence=self._sequence,
            parent=parent,
            mode=mode,
            terminal=self._terminal,
            context=event.context,
        )

    def _start(self, authorization: do.Authorization) -> list[sd.Effect]:
        self.state, self.request, self._authorization = State.STARTING, authorization.request, authorization
        depth, command = self._nests.depth, authorization.request.command
        self._nests.stayed = False
        self._nests.coming = self._script is None and self._nests.opens(command, authorization.mode)
        run: sd.Effect = sd.RunLine(authorization, self._nonce, depth)
        if self._nests.coming:
            run = sd.NestLine(authorization, self._nonce, depth, self._nests.inside)
        elif self._aside and isinstance(authorization.grounds, Judgement):
            run = sd.RunAside(authorization, self._nonce, self._cwd)
        return [do.RecordStarted(authorization), run]

    def _without(self, status: int) -> list[sd.Effect]:
        """The item does not run: the next, or, in a script, the end."""
        if self._script is None:
            return self._idle()
        return self._end("one of the script's commands did not run", status)

    # --- held -------------------------------------------------------------------------------------------------------

    def _decided(self, event: ev.Decided) -> list[sd.Effect]:
        request, decision = self._line(), event.decision
        if decision.request != request.id:
            return []  # of an earlier item, which was taken back meanwhile
        if decision.state is RequestState.APPROVED:
            say = do.Say(notices.approved(request, decision.by, event.seconds))
            return [say, *self._start(do.Authorization(request, decision))]
        notice, status = self._refusal(request, decision)
        return [do.Say(notice), *self._without(status)]

    def _edited(self, event: ev.Edited) -> list[sd.Effect]:
        if event.request.edits != self._line().id:
            return []  # of an earlier item, which was taken back meanwhile
        self.request = event.request
        return [do.Say(notices.edited(event.request))]

    def _refusal(self, request: Request, decision: Decision) -> tuple[notices.Notice, int]:
        match decision.state:
            case RequestState.DENIED:
                return notices.denied(request, ", ".join(decision.by), decision.reason), notices.EXIT_DENIED
            case RequestState.EXPIRED:
                return notices.expired(request, request.seconds), notices.EXIT_EXPIRED
            case _:
                return notices.withdrawn(request, decision.reason), notices.EXIT_BASTION

    def _waited(self, event: ev.Waited) -> list[sd.Effect]:
        held = self.held
        return [do.Say(notices.still_held(held, event.seconds, event.of))] if held is not None else []

    def _typed_ahead(self, event: sv.BytesTyped) -> list[sd.Effect]:
        _, interrupt, after = event.data.rpartition(b"\x03")
        if self._script is not None or not interrupt:
            return self._enqueue(event.data)
        self._ahead.clear()
        self._editor.interrupted()
        effects: list[sd.Effect] = [sd.Echo(b"^C\r\n")]
        if self.state is State.HELD:
            reason = "the agent pressed ^C"
            effects += [do.Withdraw(self._line(), reason), do.Say(notices.withdrawn(self._line(), reason))]
            effects += self._idle()
        return [*effects, *self._typed_again(after)]

    def _typed_again(self, data: bytes) -> list[sd.Effect]:
        return self.receive(sv.BytesTyped(data)) if data and self.state is not State.CLOSED else []

    # --- a command runs ---------------------------------------------------------------------------------------------

    def _line(self) -> Request:
        if self.request is None:
            raise GateError("no request yet")
        return self.request

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
        return [*keys, *self._take_lines()]

    def _take_lines(self) -> list[sd.Effect]:
        self.state = State.LINE
        self._editor.program(echo=self._tty.echo)
        return self._pump()

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

    def _control(self, key: str) -> sd.Effect:
        self._talk.interrupted()
        return sd.SendControl(key)

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

    def _resize(self, event: sv.WindowChanged) -> list[sd.Effect]:
        self._editor.resize(event.columns)
        return [sd.Resize(event.columns, event.rows)]

    def _tty_changed(self, event: sv.TtyChanged) -> list[sd.Effect]:
        self._tty = event
        self._editor.echo(on=event.echo)
        return []

    def _spoofed(self, event: sv.SpoofSeen) -> list[sd.Effect]:
        return [sd.NoteSpoof(event.count)]

    # --- stdin of a running command ---------------------------------------------------------------------------------

    def _for_program(self, typed: Entered | Pressed) -> list[sd.Effect]:
        if isinstance(typed, Pressed):
            return [self._control(typed.key)]
        data = typed.text.encode() + b"\n"
        if len(data) > STDIN_LIMIT:
            return [do.Say(notices.refused(f"a line for a program has at most {STDIN_LIMIT:,} bytes"))]
        self.state, self._asked = State.LINE_ASKING, data
        return [sd.Describe(b"" if self.secret else data, ask=False)]

    def _propose_stdin(self, event: sv.Described) -> list[sd.Effect]:
        parent, data = self._line(), self._asked
        self._asked, self._tty = b"", event.tty or self._tty
        command, stdin = data, StdinMode.GATED
        if self.secret:
            command = f"password of {len(data.decode()) - 1} characters for {self._tty.owner}".encode()
            stdin = StdinMode.SECRET
        found = UNRATED if stdin is StdinMode.SECRET else self._talk.assess(data, self._assess)
        asked = self._ask(event, RequestKind.STDIN, command, found, stdin=stdin, parent=parent.id)
        judgement = self._judge(asked, event.now)
        request = judgement.settle(asked)
        if judgement.verdict is Verdict.ALLOW:
            judgement = replace(judgement, verdict=Verdict.HOLD, reason=NOT_A_COMMAND)
        self._stdin = _Stdin(request, data)
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
        return [do.Say(self._refusal(request, decision)[0]), *self._take_lines()]

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

    def _take_back(self, reason: str) -> list[sd.Effect]:
        """The held line of stdin, if there is one."""
        waiting, self._stdin = self._stdin, None
        if waiting is None:
            return []
        return [do.Withdraw(waiting.request, reason), do.Say(notices.withdrawn(waiting.request, reason))]

    # --- the command's end ------------------------------------------------------------------------------------------

    def _done(self, event: sv.CommandDone) -> list[sd.Effect]:
        if event.nonce != self._nonce:
            return self._inner_over(event)
        again = self._unread()
        effects = self._wind_up("its command ended before somebody decided")
        self._ahead.put_back(again)
        self._cwd, self._status, self._nonce, self._nests.coming = event.cwd, event.status, "", False
        return [*effects, do.RecordFinished(self._line(), event.status, "", ""), *self._idle()]

    def _unread(self) -> bytes:
        """What was typed for the program, and did not go there."""
        if self._stdin is not None and self._stdin.request.stdin is not StdinMode.SECRET:
            return self._stdin.data[:-1] + b"\r"
        if self.state is State.LINE and not self.secret:
            return self._editor.text.encode()
        return b""

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
        if self.state in (
            State.IDLE,
            State.HELD,
            State.STARTING,
        ):  # not asked for: what was typed is for inside
            self._ahead.clear()
            self._forget_item()
            self._keys.clear()
            self._editor.interrupted()
            effects.append(do.Say(notices.shell_lost(level.request, event.status)))
        effects += [do.RecordFinished(request, None, "", note) for request in inside]
        self.kind = level.kind
        return [*effects, do.RecordFinished(level.request, event.status, "", "")]

    def _typed_while_exiting(self, event: sv.BytesTyped) -> list[sd.Effect]:
        key: list[sd.Effect] = [sd.SendControl("^C")] if b"\x03" in event.data else []  # what its traps run
        return [*key, *self._typed_ahead(event)]

    def _wind_up(self, reason: str) -> list[sd.Effect]:
        """What is open round a running command: a held line of stdin, a window."""
        effects = self._take_back(reason)
        if self.state in (State.VIEW, State.RAW):
            effects.append(sd.CloseWindow(self._line()))
        return effects

    def _done_after_leaving(self, event: sv.CommandDone) -> list[sd.Effect]:
        finished: list[sd.Effect] = [do.RecordFinished(self._line(), event.status, "", "")]
        if event.nonce != self._nonce:
            finished = self._out_of(event)
        return [*finished, *self._end("the agent had left", notices.EXIT_BASTION)]

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


def _size(line: str) -> int:
    """Bytes of a line and its end."""
    return len(line.encode("utf-8", "surrogateescape")) + 1
