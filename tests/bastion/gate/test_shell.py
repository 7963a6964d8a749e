"""The governed shell's gate: what an agent may do, and what no order of events may ever do."""

from __future__ import annotations

import dataclasses
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule

from bastion.gate import effects as do
from bastion.gate import events as ev
from bastion.gate import shell_effects as sd
from bastion.gate import shell_events as sv
from bastion.gate.gate import GateError
from bastion.gate.line import LINE_LIMIT
from bastion.gate.shell import Shell
from bastion.gate.shell_item import ITEM_LIMIT
from bastion.gate.shell_running import STDIN_LIMIT
from bastion.gate.shell_states import OPEN, RUNNING, TABLE, State
from bastion.gate.typeahead import TYPE_AHEAD_LIMIT
from bastion.model import UNRATED, Assessment, Decision, RequestKind, StdinMode, TtyMode, Verdict
from bastion.model import State as RequestState
from tests.support.gated import NOW, WHERE, Driven, kinds


def test_a_line_is_recorded_held_and_only_then_run() -> None:
    shell = Driven()
    effects = shell.type("touch X\r")
    assert kinds(effects) == [sd.Describe, do.RecordProposed, do.Hold, do.Say]
    request = shell.held
    assert (request.kind, request.command, request.cwd, request.sequence) == (RequestKind.LINE, b"touch X", "/srv", 1)
    assert (request.environment, request.terminal, request.mode) == (WHERE.environment, "xterm", TtyMode.NONE)
    assert kinds(shell.decide()) == [do.Say, do.RecordStarted, sd.RunLine]
    shell.do(sv.CommandBegan("11111111"))
    effects = shell.do(sv.CommandDone("11111111", 3, "/tmp"))
    assert effects[0] == do.RecordFinished(request, 3, "", "")
    assert isinstance(effects[1], sd.Echo)
    assert b"deploy@web-1:/tmp$ " in effects[1].data


@pytest.mark.parametrize("state", [RequestState.DENIED, RequestState.EXPIRED, RequestState.WITHDRAWN])
def test_what_is_not_approved_does_not_run(state: RequestState) -> None:
    shell = Driven()
    shell.type("touch X\r")
    assert kinds(shell.decide(state)) == [do.Say]
    assert shell.shell.state is State.IDLE
    assert not shell.of(sd.RunLine)


def test_policy_denies_without_a_person() -> None:
    shell = Driven(verdict=lambda request: Verdict.DENY)
    assert kinds(shell.type("rm x\r")) == [sd.Describe, do.RecordProposed, do.Say]


def test_what_policy_allows_is_held_in_a_shell_that_could_make_something_else_of_it() -> None:
    shell = Driven(verdict=lambda request: Verdict.ALLOW)
    assert kinds(shell.type("ls $X\r")) == [sd.Describe, do.RecordProposed, do.Hold, do.Say]
    shell = Driven(verdict=lambda request: Verdict.ALLOW)
    shell.plain = True
    assert kinds(shell.type("export X=y\r")) == [sd.Describe, do.RecordProposed, do.Hold, do.Say]


def test_what_means_the_same_outside_runs_beside_the_shell() -> None:
    """ST-01: `alias ls=…`, and then an allowed `ls`."""
    shell = Driven(verdict=lambda request: Verdict.ALLOW)
    *_, run = shell.type("less x\r")
    assert isinstance(run, sd.RunAside)
    assert (run.nonce, run.cwd, run.authorization.request.mode) == ("11111111", "/srv", TtyMode.NONE)
    shell.do(sv.CommandBegan("11111111"))
    shell.type("ls\r")
    assert kinds(shell.type("\x03")) == [sd.SendControl]
    done = shell.do(sv.CommandDone("11111111", 0, "/srv"))
    assert kinds(done)[:1] == [do.RecordFinished]
    held = Driven()
    held.type("less x\r")
    assert sd.RunLine in kinds(held.decide()), "what a person approved runs in the shell"


def test_cd_runs_in_the_shell_where_it_is_the_builtin() -> None:
    shell = Driven(verdict=lambda request: Verdict.ALLOW)
    assert do.Hold in kinds(shell.type("cd /tmp\r"))
    shell = Driven(verdict=lambda request: Verdict.ALLOW)
    shell.plain = True
    assert kinds(shell.type("cd /tmp\r")) == [sd.Describe, do.RecordProposed, do.RecordStarted, sd.RunLine]


def test_without_a_directory_nothing_runs_beside_it() -> None:
    shell = Driven(verdict=lambda request: Verdict.ALLOW)
    shell.shell._cwd = ""
    assert do.Hold in kinds(shell.type("ls\r"))


def test_type_ahead_of_a_held_line_is_held_line_by_line() -> None:
    """TA-02, TA-04: `true` and `touch X` in one packet are two items, in order."""
    shell = Driven()
    shell.type("true\ntouch X\nwho")
    assert shell.requests() == [("line", b"true")]
    shell.decide()
    shell.do(sv.CommandBegan("11111111"))
    shell.do(sv.CommandDone("11111111", 0, "/srv"))
    assert shell.requests() == [("line", b"true"), ("line", b"touch X")]


def test_what_is_typed_into_a_program_is_held_and_comes_back_as_a_command() -> None:
    """TA-01: the line of stdin is withdrawn at the command's end, and is a command to be approved anew."""
    shell = Driven()
    nonce = shell.run("python3")
    shell.type("touch X\r")
    held = shell.held
    assert (held.kind, held.command, held.parent) == (RequestKind.STDIN, b"touch X\n", "r-1")
    effects = shell.do(sv.CommandDone(nonce, 0, "/srv"))
    assert do.Withdraw(held, "its command ended before somebody decided") in effects
    assert (shell.held.kind, shell.held.command) == (RequestKind.LINE, b"touch X")
    shell.do(ev.Decided(Decision(held.id, held.digest, RequestState.APPROVED, ("ana",), ""), 1.0))
    assert not shell.of(sd.SendTty)
    assert len(shell.of(sd.RunLine)) == 1


def test_half_a_line_for_a_program_comes_back_too() -> None:
    shell = Driven()
    nonce = shell.run("python3")
    shell.type("touch")
    shell.do(sv.CommandDone(nonce, 0, "/srv"))
    shell.type(" X\r")
    assert shell.held.command == b"touch X"


def test_an_approved_line_of_stdin_goes_as_it_is() -> None:
    shell = Driven()
    shell.run("psql")
    shell.type("select 1;\r")
    effects = shell.decide()
    assert kinds(effects) == [do.Say, sd.RecordSent, sd.SendTty]
    (send,) = shell.of(sd.SendTty)
    assert isinstance(send, sd.SendTty)
    assert send.data == b"select 1;\n"
    assert send.authorization.request.parent == "r-1"


def test_a_statement_is_judged_whole_in_its_own_language() -> None:
    shell = Driven()
    judged: list[tuple[bytes, str]] = []

    def assess(text: bytes, *, language: str = "bash", **_more: object) -> Assessment:
        judged.append((text, language))
        return UNRATED

    shell.shell._asker.assess = assess
    shell.run("psql")
    for line in ("drop table", "t;", "select 1;"):
        shell.type(line + "\r")
        shell.decide()
    assert judged[1:] == [(b"drop table\n", "psql"), (b"drop table\nt;\n", "psql"), (b"select 1;\n", "psql")]


def test_a_program_that_reads_nothing_gets_nothing() -> None:
    shell = Driven()
    nonce = shell.run("sleep 9")
    shell.type("touch X\r")
    assert shell.requests() == [("line", b"sleep 9")]
    shell.do(sv.CommandDone(nonce, 0, "/srv"))
    assert shell.requests()[1:] == [("line", b"touch X")]


def test_control_keys_reach_a_running_command_only() -> None:
    shell = Driven()
    shell.type("\x1a\x1c")
    shell.type("sleep 9\r")
    shell.type("\x1a\x1c")
    assert not shell.of(sd.SendControl)
    shell.type("\x03")
    assert shell.shell.state is State.IDLE
    assert [each.reason for each in shell.of(do.Withdraw)] == ["the agent pressed ^C"]  # type: ignore[union-attr]
    nonce = shell.run("sleep 9")
    shell.type("abc\x03\x1adef\x1c")
    assert shell.of(sd.SendControl) == [sd.SendControl("^C"), sd.SendControl("^Z"), sd.SendControl("^\\")]
    shell.type("\x04")
    shell.do(ev.SignalReceived("INT"))
    shell.do(ev.SignalReceived("KILL"))
    assert shell.of(sd.SendControl)[3:] == [sd.SendControl("^D"), sd.SendControl("^C")]
    shell.do(sv.CommandDone(nonce, 130, "/srv"))
    assert len(shell.requests()) == 2


def test_a_key_pressed_while_a_command_starts_waits_for_it() -> None:
    shell = Driven()
    shell.type("sleep 9\r")
    shell.decide()
    shell.type("\x03" * 100)
    assert not shell.of(sd.SendControl)
    shell.do(sv.CommandBegan("11111111"))
    assert 1 <= len(shell.of(sd.SendControl)) <= 8


def test_signals_do_nothing_while_held() -> None:
    shell = Driven()
    shell.type("true\r")
    for name in ("INT", "TERM", "KILL", "HUP", "USR1"):
        assert shell.do(ev.SignalReceived(name)) == []
    assert shell.held.command == b"true"


def test_an_approval_in_the_moment_of_the_withdrawal_runs_nothing() -> None:
    """AP-08."""
    shell = Driven()
    shell.type("touch X\r")
    request = shell.held
    shell.type("\x03")
    approval = ev.Decided(Decision(request.id, request.digest, RequestState.APPROVED, ("ana",), ""), 1.0)
    assert shell.do(approval) == []
    shell.type("true\r")
    assert shell.do(approval) == []
    assert not shell.of(sd.RunLine)


def test_several_lines_are_one_item() -> None:
    """KE-16."""
    shell = Driven()
    shell.type("cat <<E\r$(touch X)\rE\r")
    assert shell.held.command == b"cat <<E\n$(touch X)\nE"


def test_interrupting_forgets_the_lines_before() -> None:
    shell = Driven()
    shell.type("if true; then\rtouch X\r\x03true\r")
    assert shell.held.command == b"true"


def test_comments_belong_to_the_command_behind_them() -> None:
    shell = Driven()
    shell.type("# reason: the disk is full\r\r# rollback: none\rrm x\r")
    request = shell.held
    assert request.command == b"# reason: the disk is full\n# rollback: none\nrm x"
    assert (request.reason, request.rollback) == ("the disk is full", "none")


def test_exit_throws_type_ahead_away() -> None:
    """TA-09."""
    shell = Driven()
    shell.type("exit\rtouch X\r")
    shell.decide()
    shell.do(sv.CommandBegan("11111111"))
    effects = shell.do(sv.DriverFailed("the shell ended", 3))
    assert effects == [do.RecordFinished(shell.shell.request, 3, "", ""), do.Exit(3, why="the shell ended")]  # type: ignore[arg-type]
    assert shell.shell.state is State.CLOSED
    assert shell.type("touch Y\r") == []


def test_end_of_input_at_the_prompt_ends_the_shell() -> None:
    shell = Driven()
    assert kinds(shell.type("\x04")) == [sd.EndShell, do.Exit]


# --- keys ---------------------------------------------------------------------------------------------------------


def test_raw_is_granted_by_the_decision_and_ends() -> None:
    shell = Driven()
    shell.type("sleep 9\r")
    shell.decide(mode=TtyMode.RAW)
    shell.type("typed too early\r")
    effects = shell.do(sv.CommandBegan("11111111"))
    assert kinds(effects) == [sd.OpenWindow, do.Say]
    shell.type("\x1b:q!\r")
    (send,) = shell.of(sd.SendTty)
    assert isinstance(send, sd.SendTty)
    assert send.data == b"\x1b:q!\r"
    assert shell.do(sv.WindowOver("r-9", "another")) == []
    assert kinds(shell.do(sv.WindowOver("r-1", "its time is over")))[:2] == [sd.CloseWindow, do.Say]
    assert shell.held.command == b"typed too early\n"
    assert len(shell.of(sd.SendTty)) == 1


def test_raw_can_be_refused_for_a_program_that_asks_for_it() -> None:
    shell = Driven()
    shell.run("vim x", mode=TtyMode.LINE)
    shell.type(":q\r")
    assert shell.held.command == b":q\n"


def test_view_passes_keys_of_its_list_only() -> None:
    """SI-07, SI-08."""
    shell = Driven()
    nonce = shell.run("less f")
    for piece in (b"j!touch X\r", b"\x1b[", b"5~q\x1b[1;", b"5C\x1bx|v", b"\x1b[200~"):
        shell.type(piece)
    sent = b"".join(each.data for each in shell.of(sd.SendTty))  # type: ignore[union-attr]
    assert b"!" not in sent
    assert sent == b"juh \r\x1b[5~q"
    shell.type("\x03")
    assert shell.of(sd.SendControl) == [sd.SendControl("^C")]
    shell.do(sv.CommandDone(nonce, 0, "/srv"))
    assert len(shell.of(sd.CloseWindow)) == 1


def test_no_window_opens_without_a_terminal() -> None:
    shell = Driven(terminal="")
    shell.type("vim x\n")
    assert shell.held.mode is TtyMode.NONE
    shell.decide(mode=TtyMode.RAW)
    shell.do(sv.CommandBegan("11111111"))
    shell.type(":q\n")
    assert not shell.of(sd.OpenWindow) + shell.of(sd.SendTty)


# --- passwords ----------------------------------------------------------------------------------------------------


def asking_for_a_password() -> tuple[Driven, str]:
    shell = Driven()
    nonce = shell.run("sudo id")
    shell.do(sv.TtyChanged(echo=False, canonical=True, owner="sudo"))
    return shell, nonce


def test_a_password_stands_nowhere_but_in_what_is_sent() -> None:
    shell, _ = asking_for_a_password()
    shell.type("hunter2\r")
    assert shell.held.stdin is StdinMode.SECRET
    assert shell.held.command == b"password of 7 characters for sudo"
    shell.decide()
    (send,) = shell.of(sd.SendTty)
    assert isinstance(send, sd.SendTty)
    assert send.data == b"hunter2\n"
    shell.effects.remove(send)
    assert "hunter2" not in repr(shell.effects)


def test_a_password_whose_prompt_is_gone_is_not_sent() -> None:
    shell, nonce = asking_for_a_password()
    shell.type("hunter2\r")
    shell.do(sv.TtyChanged(echo=True, canonical=True, owner=""))
    assert do.Withdraw in kinds(shell.decide())
    assert not shell.of(sd.SendTty)
    shell.do(sv.TtyChanged(echo=False, canonical=True, owner="su"))
    shell.type("hunter2\r")
    shell.do(sv.CommandDone(nonce, 1, "/srv"))
    assert shell.shell.held is None
    assert "hunter2" not in repr(shell.effects)


def test_echo_off_alone_hides_nothing_from_the_approver() -> None:
    """`stty -echo` of an approved program must not make a line invisible."""
    shell = Driven()
    shell.run("python3")
    shell.do(sv.TtyChanged(echo=False, canonical=True, owner=""))
    shell.type("import os\r")
    assert shell.held.command == b"import os\n"


def test_the_newest_look_at_the_terminal_decides() -> None:
    shell = Driven()
    shell.run("sudo id")
    assert shell.shell.receive(sv.BytesTyped(b"hunter2\r"))[-1] == sd.Describe(b"hunter2\n", ask=False)
    look = sv.TtyChanged(echo=False, canonical=True, owner="sudo")
    shell.shell.receive(sv.Described("r-2", "2" * 8, NOW, tty=look))
    assert shell.held.stdin is StdinMode.SECRET


# --- scripts ------------------------------------------------------------------------------------------------------


def test_a_script_is_held_command_by_command_and_ends_with_its_status() -> None:
    shell = Driven(terminal="")
    shell.type("f() {\n echo f\n}\ncat <<E\n\tx \xff\nE\nf")
    shell.do(sv.InputEnded())
    for number in (1, 2, 3):
        shell.decide()
        shell.do(sv.CommandBegan(f"{number}" * 8))
        effects = shell.do(sv.CommandDone(f"{number}" * 8, number, "/srv"))
    assert shell.requests() == [
        ("line", b"f() {\n echo f\n}"),
        ("line", "cat <<E\n\tx \xff\nE".encode()),
        ("line", b"f"),
    ]
    assert kinds(effects) == [do.RecordFinished, sd.EndShell, do.Exit]
    assert effects[-1] == do.Exit(3, why="the agent's input ended")
    assert not shell.of(sd.Echo)


def test_a_script_keeps_every_byte() -> None:
    shell = Driven(terminal="")
    shell.type(b"echo \xff\x85\x1b[0m\x03\t\r\n")
    assert shell.held.command == b"echo \xff\x85\x1b[0m\x03\t\r"


def test_a_script_does_not_go_on_without_one_of_its_commands() -> None:
    shell = Driven(terminal="")
    shell.type("cd /tmp/x\nrm -rf *\n")
    effects = shell.decide(RequestState.DENIED)
    assert kinds(effects) == [do.Say, sd.EndShell, do.Exit]
    assert isinstance(effects[-1], do.Exit)
    assert effects[-1].status == 126
    assert len(shell.requests()) == 1


def test_an_unfinished_script_is_held_as_it_is() -> None:
    shell = Driven(terminal="")
    shell.type("cat <<E\nx\n")
    shell.do(sv.InputEnded())
    assert shell.held.command == b"cat <<E\nx"


def test_a_script_longer_than_its_limit_is_not_read_for_now() -> None:
    shell = Driven(terminal="")
    shell.type("true\n")
    assert not shell.shell.full
    shell.type(b"#" * TYPE_AHEAD_LIMIT)
    assert shell.shell.full


# --- limits and ends ------------------------------------------------------------------------------------------------


def test_limits() -> None:
    shell = Driven()
    shell.type("true\r")
    assert shell.type(b"x" * TYPE_AHEAD_LIMIT) == []
    assert shell.type(b"x") == [sd.Echo(b"\a")]
    shell = Driven()
    shell.type("'" + "x" * (LINE_LIMIT - 2) + "\r")
    for _ in range(ITEM_LIMIT // LINE_LIMIT - 1):
        assert do.Say not in kinds(shell.type("x" * (LINE_LIMIT - 1) + "\r"))
    assert kinds(shell.type("\r")) == [do.Say]
    shell = Driven(terminal="")
    effects = shell.type(b"echo " + b"x" * (ITEM_LIMIT - 6) + b"\n")
    assert do.Hold in kinds(effects)
    shell = Driven(terminal="")
    assert kinds(shell.type(b"echo " + b"x" * (ITEM_LIMIT - 5) + b"\n")) == [do.Say, sd.EndShell, do.Exit]
    shell = Driven(terminal="")  # a line without an end is kept up to the limit, whatever was before it
    assert shell.type(b"echo '\n" + b"x" * (ITEM_LIMIT - 7)) == []
    assert kinds(shell.type(b"x")) == [do.Say, sd.EndShell, do.Exit]
    shell = Driven()
    shell.run("cat")
    shell.type(b"x" * STDIN_LIMIT + b"\r")
    assert shell.shell.held is None
    shell.type(b"x" * (STDIN_LIMIT - 1) + b"\r")
    assert len(shell.held.command) == STDIN_LIMIT


@pytest.mark.parametrize("before", [b"", b"'\n", b"cat <<X\n"], ids=["comments", "a quote", "a here-document"])
def test_many_short_lines_cost_what_they_are_long(before: bytes) -> None:
    """All agents wait while one's bytes are read. 65,536 bytes take 0.1 s; added up for each line they took 18 s."""
    shell = Driven(terminal="")
    begun = time.process_time()
    shell.type(before + b"#\n" * ((ITEM_LIMIT - len(before)) // 2))
    assert time.process_time() - begun < 2
    assert not shell.shell.full


def test_another_nonce_is_an_anomaly() -> None:
    shell = Driven()
    shell.type("true\r")
    shell.decide()
    with pytest.raises(GateError):
        shell.do(sv.CommandBegan("0"))
    shell.do(sv.CommandBegan("11111111"))
    with pytest.raises(GateError):
        shell.do(sv.CommandDone("0", 0, "/"))
    with pytest.raises(GateError):
        shell.do(sv.DriverReady("/", "bash"))
    shell.do(sv.CommandDone("11111111", 0, "/"))
    with pytest.raises(GateError):
        shell.do(sv.CommandDone("11111111", 0, "/"))


def test_the_agent_leaves_while_held() -> None:
    shell = Driven()
    shell.type("touch X\r")
    assert kinds(shell.do(ev.AgentLeft())) == [do.Withdraw, sd.EndShell, do.Exit]


def test_the_agent_leaves_while_its_command_runs() -> None:
    shell = Driven()
    shell.run("python3")
    shell.type("import os\r")
    assert kinds(shell.do(ev.AgentLeft())) == [do.Withdraw, do.Say, sd.EndShell]
    effects = shell.do(sv.DriverFailed("gone"))
    assert effects[0] == do.RecordFinished(shell.shell.request, None, "", "the agent left")  # type: ignore[arg-type]


def test_policy_may_leave_a_command_running() -> None:
    shell = Driven(leave=True)
    nonce = shell.run("python3")
    assert shell.do(ev.AgentLeft()) == []
    assert kinds(shell.do(sv.CommandDone(nonce, 0, "/"))) == [do.RecordFinished, sd.EndShell, do.Exit]


def test_a_cut_ends_it_anywhere() -> None:
    for steps in range(4):
        shell = Driven()
        if steps > 0:
            shell.type("sleep 9\r")
        if steps > 1:
            shell.decide()
        if steps > 2:
            shell.do(sv.CommandBegan("11111111"))
        effects = shell.do(ev.Cut("killed by ana"))
        assert sd.EndShell in kinds(effects)
        if steps > 1:
            effects = shell.do(sv.DriverFailed("gone"))
            assert kinds(effects) == [do.RecordFinished, do.Exit]
        assert shell.shell.state is State.CLOSED


def test_every_row_has_a_handler() -> None:
    for name in set(TABLE.values()) - {None}:
        assert callable(getattr(Shell, f"_{name}"))


# --- any order of events --------------------------------------------------------------------------------------------

TYPING = st.lists(
    st.sampled_from([b"a", b"ls", b"\r", b"\n", b"\x03", b"\x04", b"\x1a", b"\x1b[A", b"touch X\r", b"cat <<E\r",
                     b"E\r", b"vim\r", b"python3\r", b"exit\r", "ä".encode(), b"\xff", b"\x1b[200~", b"'"]),
    max_size=6,
).map(b"".join)  # fmt: skip


class Machine(RuleBasedStateMachine):
    """Nothing reaches the target that nobody approved, whatever happens in whatever order."""

    def __init__(self) -> None:
        super().__init__()
        self.driven = Driven()
        self.approved: set[str] = set()
        self.seen = 0

    def check(self) -> None:
        fresh = self.driven.effects[self.seen :]
        self.seen = len(self.driven.effects)
        for number, effect in enumerate(fresh):
            match effect:
                case sd.RunLine(authorization):
                    assert authorization.request.digest in self.approved
                    assert fresh[number - 1] == do.RecordStarted(authorization)
                    self.approved.remove(authorization.request.digest)
                case sd.SendTty(authorization, data):
                    request = authorization.request
                    if request.kind is RequestKind.STDIN:
                        assert request.digest in self.approved
                        assert fresh[number - 1] == sd.RecordSent(authorization, self.driven.shell.request)  # type: ignore[arg-type]
                        assert data == request.command or request.stdin is StdinMode.SECRET
                        self.approved.remove(request.digest)
                    else:
                        assert authorization.mode in (TtyMode.RAW, TtyMode.VIEW)
                        assert self.driven.shell.state in (State.RAW, State.VIEW)
                case sd.SendControl():
                    assert self.driven.shell.state in RUNNING
        held = self.driven.shell.held
        assert (held is None) == (self.driven.shell.state not in (State.HELD, State.LINE_HELD))

    @rule(data=TYPING)
    def types(self, data: bytes) -> None:
        if self.driven.shell.state in OPEN:
            self.driven.type(data)
        self.check()

    @precondition(lambda self: self.driven.shell.held is not None)
    @rule(
        state=st.sampled_from(
            [RequestState.APPROVED, RequestState.APPROVED, RequestState.DENIED, RequestState.EXPIRED]
        ),
        mode=st.sampled_from([None, *TtyMode]),
    )
    def decides(self, state: RequestState, mode: TtyMode | None) -> None:
        if state is RequestState.APPROVED:
            self.approved.add(self.driven.held.digest)
        self.driven.decide(state, mode)
        self.check()

    @rule(number=st.integers(1, 6))
    def decides_late(self, number: int) -> None:
        held = self.driven.shell.held
        if held is None or held.id != f"r-{number}":
            decision = Decision(f"r-{number}", "0" * 64, RequestState.APPROVED, ("ana",), "")
            self.driven.do(ev.Decided(decision, 1.0))
        self.check()

    @precondition(lambda self: self.driven.shell.state is State.STARTING)
    @rule()
    def begins(self) -> None:
        self.driven.do(sv.CommandBegan(self.driven.shell._nonce))
        self.check()

    @precondition(lambda self: self.driven.shell.state in RUNNING)
    @rule(status=st.integers(0, 255))
    def ends(self, status: int) -> None:
        self.driven.do(sv.CommandDone(self.driven.shell._nonce, status, "/"))
        self.check()

    @rule(
        event=st.sampled_from(
            [
                sv.InputEnded(),
                sv.WindowChanged(10, 10),
                ev.SignalReceived("INT"),
                ev.Waited(15, 60),
                sv.SpoofSeen(2),
                sv.TtyChanged(echo=False, canonical=True, owner="sudo"),
                sv.TtyChanged(echo=True, canonical=False, owner=""),
                sv.WindowOver("r-1", "over"),
                sv.WindowOver("r-2", "over"),
            ]
        )
    )
    def happens(self, event: sv.Event) -> None:
        self.driven.do(event)
        self.check()

    @precondition(lambda self: self.driven.asked > 3)
    @rule(event=st.sampled_from([ev.AgentLeft(), ev.Cut("killed"), sv.DriverFailed("gone"), sv.DriverFailed("x", 1)]))
    def breaks(self, event: sv.Event) -> None:
        self.driven.do(event)
        self.check()


TestMachine = Machine.TestCase
TestMachine.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)


@given(TYPING, TYPING, st.lists(st.integers(1, 5), max_size=20))
def test_any_split_of_the_bytes_gives_the_same_requests(first: bytes, second: bytes, cuts: list[int]) -> None:
    data = first + b"\r" + second + b"\r"

    def requests(pieces: list[bytes]) -> list[bytes]:
        shell = Driven()
        for piece in pieces:
            if shell.shell.state in OPEN:
                shell.type(piece)
        for _ in range(20):
            if shell.shell.state is State.HELD:
                shell.decide(RequestState.DENIED)
        return [command for _, command in shell.requests()]

    if b"\x03" in data or b"\x04" in data:  # what they interrupt depends on when they come
        return
    pieces, rest = [], data
    for cut in cuts:
        pieces.append(rest[:cut])
        rest = rest[cut:]
    assert requests([*pieces, rest]) == requests([data])


def test_permission_cannot_be_made_up() -> None:
    shell = Driven()
    shell.type("psql\r")
    line = shell.held
    approval = Decision(line.id, line.digest, RequestState.APPROVED, ("ana",), "")
    authorization = do.Authorization(line, approval)
    with pytest.raises(ValueError, match="nobody allowed keys"):
        sd.SendTty(authorization, b"x")
    stdin = dataclasses.replace(line, id="r-2", kind=RequestKind.STDIN, command=b"select 1;\n")
    granted = do.Authorization(stdin, Decision("r-2", stdin.digest, RequestState.APPROVED, ("ana",), ""))
    with pytest.raises(ValueError, match="other bytes"):
        sd.SendTty(granted, b"drop table x;\n")
    with pytest.raises(ValueError, match="only a line"):
        sd.RunLine(granted, "1")
    with pytest.raises(ValueError, match="no control key"):
        sd.SendControl("x")
