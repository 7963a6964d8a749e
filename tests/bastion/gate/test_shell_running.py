"""A command runs in the governed shell: what of the agent's bytes reaches it."""

from __future__ import annotations

from bastion.gate import effects as do
from bastion.gate import events as ev
from bastion.gate import shell_effects as sd
from bastion.gate import shell_events as sv
from bastion.gate.shell_states import State
from bastion.model import UNRATED, Assessment, Decision, RequestKind, StdinMode, TtyMode
from bastion.model import State as RequestState
from tests.support.gated import NOW, Driven, kinds


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
