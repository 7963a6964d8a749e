"""The governed shell's prompt: from bytes to a whole item, and from that to a request, held, decided and started. Pure.

While a line is asked about and held, nothing goes to the target: what is typed meanwhile is type-ahead. A script (no
terminal) does not go on without one of its commands: a denial ends it.
"""

from __future__ import annotations

from bastion.gate import effects as do
from bastion.gate import events as ev
from bastion.gate import notices
from bastion.gate import shell_effects as sd
from bastion.gate import shell_events as sv
from bastion.gate.line import Editor, Entered, Pressed
from bastion.gate.shell_core import Core
from bastion.gate.shell_item import ITEM_LIMIT
from bastion.gate.shell_states import State
from bastion.gate.typeahead import Script
from bastion.gate.ungoverned import edits_lines
from bastion.model import State as RequestState
from bastion.model import Verdict
from bastion.policy.judge import Judgement
from bastion.policy.visible import visible_line

NO_EDITOR = "the bastion edits your lines, and the shell on the target would die of set -o vi or emacs"

CWD_SHOWN = 60
"""Characters of the directory in the prompt."""


class AtPrompt(Core):
    """See the file's header."""

    # --- beginning ----------------------------------------------------------------------------------------------------

    def _open(self, event: sv.ShellRequested) -> list[sd.Effect]:
        self.state, self._asker.terminal = State.OPENING, event.terminal
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
        if self._item.begun:
            return [sd.Echo(self._editor.prompt("> "), fresh=True)]
        name = f"{self.where.login}@{self.where.target.name}{self._nests.where()}"
        where = f"{name}:{visible_line(self._cwd, CWD_SHOWN)}$ "
        return [sd.Echo(self._editor.prompt(where), fresh=True)]

    # --- from bytes to an item ----------------------------------------------------------------------------------------

    def _typed(self, event: sv.BytesTyped) -> list[sd.Effect]:
        return [*self._enqueue(event.data), *self._pump()]

    _typed_for_program = _typed

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
            elif self._script is not None and self._item.size + self._script.unfinished > ITEM_LIMIT:
                effects += self._too_long()  # now: the end of a script's line may never come
        if self._ended and not len(self._ahead):
            effects += self._input_over()
        return effects

    def _at_prompt(self, typed: Entered | Pressed) -> list[sd.Effect]:
        if isinstance(typed, Pressed):
            begun = self._item.begun
            self._item.forget()
            if typed.key == "^D" and not begun and self._nests.depth:
                self.state, self._nonce = State.EXITING, sd.LEAVING
                return [sd.Echo(b"exit\r\n"), sd.LeaveShell(self._nests.depth, again=self._nests.stayed)]
            if typed.key == "^D" and not begun:
                return self._end("the agent ended its shell", self._status)
            return self._prompt()
        more = self._item.add(typed.text)
        if self._item.size > ITEM_LIMIT:
            return self._too_long()
        if more:
            return self._prompt()
        return self._whole_item()

    def _too_long(self) -> list[sd.Effect]:
        self._item.forget()
        refused = do.Say(notices.refused(f"one item has at most {ITEM_LIMIT:,} bytes"))
        return [refused, *self._without(notices.EXIT_DENIED)]

    def _whole_item(self) -> list[sd.Effect]:
        item = self._item.take()
        if item is None:  # a comment belongs to the command behind it
            return self._prompt()
        if self._script is None:
            self._editor.remember(item)
        if self.kind == "bash" and edits_lines(item.encode("utf-8", "surrogateescape")):
            return [do.Say(notices.refused(NO_EDITOR)), *self._without(notices.EXIT_DENIED)]
        self.state, self._asked = State.ASKING, item.encode("utf-8", "surrogateescape")
        return [sd.Describe(self._asked, ask=True)]

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
        if self._script is not None and self._item.begun:  # not whole: the shell says what is missing
            return self._whole_item()
        return self._end("the agent's input ended", self._status)

    # --- an item is asked for -----------------------------------------------------------------------------------------

    def _propose(self, event: sv.Described) -> list[sd.Effect]:
        asked = self._asker.line(event, self._asked, self._cwd, self._nests)
        request, judgement = asked.request, asked.judgement
        self._nonce, self._aside = event.nonce, asked.aside
        proposed = do.RecordProposed(request, judgement)
        match judgement.verdict:
            case Verdict.ALLOW:
                return [proposed, *self._start(do.Authorization(request, judgement))]
            case Verdict.DENY:
                return [proposed, do.Say(notices.refused(judgement.reason)), *self._without(notices.EXIT_DENIED)]
            case Verdict.HOLD:
                self.state, self.request = State.HELD, request
                return [proposed, do.Hold(request), do.Say(notices.held(request, request.seconds))]

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

    # --- held ---------------------------------------------------------------------------------------------------------

    def _decided(self, event: ev.Decided) -> list[sd.Effect]:
        request, decision = self._line(), event.decision
        if decision.request != request.id:
            return []  # of an earlier item, which was taken back meanwhile
        if decision.state is RequestState.APPROVED:
            say = do.Say(notices.approved(request, decision.by, event.seconds))
            return [say, *self._start(do.Authorization(request, decision))]
        notice, status = notices.refusal(request, decision)
        return [do.Say(notice), *self._without(status)]

    def _edited(self, event: ev.Edited) -> list[sd.Effect]:
        if event.request.edits != self._line().id:
            return []  # of an earlier item, which was taken back meanwhile
        self.request = event.request
        return [do.Say(notices.edited(event.request))]

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

    # --- at any time --------------------------------------------------------------------------------------------------

    def _resize(self, event: sv.WindowChanged) -> list[sd.Effect]:
        self._editor.resize(event.columns)
        return [sd.Resize(event.columns, event.rows)]

    def _tty_changed(self, event: sv.TtyChanged) -> list[sd.Effect]:
        self._tty = event
        self._editor.echo(on=event.echo)
        return []

    def _spoofed(self, event: sv.SpoofSeen) -> list[sd.Effect]:
        return [sd.NoteSpoof(event.count)]
