"""The governed shell's prompt: items, requests, scripts."""

from __future__ import annotations

import time

import pytest

from bastion.gate import effects as do
from bastion.gate import events as ev
from bastion.gate import shell_effects as sd
from bastion.gate import shell_events as sv
from bastion.gate.line import LINE_LIMIT
from bastion.gate.shell_item import ITEM_LIMIT
from bastion.gate.shell_running import STDIN_LIMIT
from bastion.gate.shell_states import State
from bastion.gate.typeahead import TYPE_AHEAD_LIMIT
from bastion.model import Decision, RequestKind, TtyMode, Verdict
from bastion.model import State as RequestState
from tests.support.gated import WHERE, Driven, kinds


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


def test_a_line_editor_that_would_kill_the_shell_is_refused() -> None:
    shell = Driven()
    shell.type("set -o vi\r")
    assert shell.shell.held is None
    assert any("edits your lines" in each.notice.text for each in shell.effects if isinstance(each, do.Say))
    shell.type("true\r")
    assert shell.held.command == b"true"
