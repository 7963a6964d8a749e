"""Shells in the shell, for the gate: what was approved for one runs in no other."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule

from bastion.gate import effects as do
from bastion.gate import events as ev
from bastion.gate import shell_effects as sd
from bastion.gate import shell_events as sv
from bastion.gate.gate import GateError
from bastion.gate.nested import Nesting
from bastion.gate.shell_nesting import DEPTH_MOST, Nests, governed, reached
from bastion.gate.shell_states import OPEN, RUNNING, State
from bastion.model import Decision, StdinMode, TtyMode, Verdict
from bastion.model import State as RequestState
from tests.support.gated import Driven, kinds


def started(shell: Driven, line: str = "bash", mode: TtyMode | None = None) -> sd.NestLine:
    """Type, approve, begin."""
    shell.type(line + "\r")
    (nest,) = [each for each in shell.decide(mode=mode) if isinstance(each, sd.NestLine)]
    shell.do(sv.CommandBegan(nest.nonce))
    return nest


def inside(shell: Driven, line: str = "bash") -> sd.NestLine:
    nest = started(shell, line)
    shell.do(sv.DriverReady("/root", "bash", "root@box"))
    return nest


def finished(effects: list[sd.Effect]) -> list[tuple[bytes, int | None]]:
    return [(each.request.command, each.status) for each in effects if isinstance(each, do.RecordFinished)]


def test_a_line_inside_is_an_item_of_its_own() -> None:
    shell = Driven()
    nest = inside(shell, "sudo -i")
    assert (nest.depth, nest.how) == (0, Nesting("sudo -i ", "login"))
    assert b"deploy@web-1>root@box:/root$ " in shell.of(sd.Echo)[-1].data  # type: ignore[union-attr]
    assert shell.shell.kind == "bash"
    shell.type("id\r")
    held = shell.held
    assert (held.kind.value, held.command, held.cwd) == ("line", b"id", "/root")
    assert held.parent == nest.authorization.request.id
    assert ("inside", "sudo -i") in held.context
    (run,) = [each for each in shell.decide() if isinstance(each, sd.RunLine)]
    assert run.depth == 1
    shell.do(sv.CommandBegan(run.nonce))
    assert finished(shell.do(sv.CommandDone(run.nonce, 2, "/etc"))) == [(b"id", 2)]
    run_nonce = shell.run("exit 3")
    effects = shell.do(sv.CommandDone(nest.nonce, 3, "/srv"))
    assert finished(effects) == [(b"exit 3", 3), (b"sudo -i", 3)]
    assert shell.shell.kind == "bash"
    with pytest.raises(GateError):
        shell.do(sv.CommandDone(run_nonce, 0, "/"))
    shell.type("id\r")
    assert (shell.held.cwd, shell.held.parent) == ("/srv", "")


def test_the_approver_is_told() -> None:
    shell = Driven()
    shell.type("su -\r")
    assert "governed shell" in dict(shell.held.context)["nested"]
    shell = Driven()
    shell.type("su bob\r")
    assert "cannot be governed" in dict(shell.held.context)["nested"]
    assert any("not governed" in each.notice.text for each in shell.decide_and_begin() if isinstance(each, do.Say))
    shell = Driven()
    shell.type("ssh web-2\r")
    assert "another host" in dict(shell.held.context)["nested"]
    shell = Driven()
    shell.type("id\r")
    assert "nested" not in dict(shell.held.context)
    shell.decide(RequestState.DENIED)
    inside(shell, "sudo -i")
    shell.type("id\r")
    assert dict(shell.held.context)["there"] == "root@box, as that shell says"


@pytest.mark.parametrize("mode", [TtyMode.RAW, TtyMode.VIEW, TtyMode.NONE])
def test_another_mode_runs_it_as_typed(mode: TtyMode) -> None:
    shell = Driven()
    shell.type("bash\r")
    shell.decide(mode=mode)
    assert shell.of(sd.RunLine)
    assert not shell.of(sd.NestLine)
    shell.do(sv.CommandBegan("11111111"))
    with pytest.raises(GateError):
        shell.do(sv.DriverReady("/", "bash"))


def test_not_without_a_terminal() -> None:
    shell = Driven(terminal="")
    shell.type("bash\n")
    shell.decide(mode=TtyMode.LINE)
    assert shell.of(sd.RunLine)


def test_nothing_is_allowed_by_itself_inside() -> None:
    shell = Driven(verdict=lambda _request: Verdict.ALLOW)
    shell.plain = True
    inside(shell)
    for line in ("id", "cd /tmp"):
        shell.type(line + "\r")
        assert shell.held.command == line.encode()
        shell.decide(RequestState.DENIED)
    assert not shell.of(sd.RunAside)


def test_depth() -> None:
    shell = Driven()
    nests = [inside(shell) for _ in range(DEPTH_MOST)]
    assert [nest.depth for nest in nests] == list(range(DEPTH_MOST))
    shell.type("bash\r")
    assert "shells are open" in dict(shell.held.context)["nested"]
    (run,) = [each for each in shell.decide() if isinstance(each, sd.RunLine)]
    assert run.depth == DEPTH_MOST
    shell.do(sv.CommandBegan(run.nonce))
    with pytest.raises(GateError):
        shell.do(sv.DriverReady("/", "bash"))
    effects = shell.do(sv.CommandDone(nests[1].nonce, 137, "/"))
    assert [status for _, status in finished(effects)] == [None, None, None, 137]
    assert shell.shell._nests.depth == 1


def test_a_password_goes_before_it_is_up() -> None:
    shell = Driven()
    nest = started(shell, "sudo -i")
    shell.do(sv.TtyChanged(echo=False, canonical=True, owner="sudo"))
    shell.type("hunter2\r")
    assert shell.held.stdin is StdinMode.SECRET
    assert kinds(shell.decide()) == [do.Say, sd.RecordSent, sd.SendTty]
    shell.do(sv.TtyChanged(echo=False, canonical=True, owner="sudo"))
    shell.type("again\r")
    effects = shell.do(sv.DriverReady("/root", "bash"))
    assert do.Withdraw in kinds(effects)
    assert shell.shell.held is None  # a password does not come back
    assert shell.shell.state is State.IDLE
    assert finished(shell.do(sv.CommandDone(nest.nonce, 0, "/"))) == [(b"sudo -i", 0)]


def test_it_does_not_come_up() -> None:
    shell = Driven()
    nest = started(shell, "sudo -i")
    assert finished(shell.do(sv.CommandDone(nest.nonce, 1, "/srv"))) == [(b"sudo -i", 1)]
    with pytest.raises(GateError):
        shell.do(sv.DriverReady("/", "bash"))


def test_what_was_typed_ahead_is_for_the_inner_shell() -> None:
    shell = Driven()
    started(shell)
    shell.type("id\rwho")
    stdin = shell.held
    assert stdin.kind.value == "stdin"
    effects = shell.do(sv.DriverReady("/root", "bash"))
    assert do.Withdraw(stdin, "the shell inside is up") in effects
    assert (shell.held.kind.value, shell.held.command) == ("line", b"id")
    assert not shell.of(sd.SendTty)


@pytest.mark.parametrize("steps", range(3))
def test_a_shell_that_is_lost_takes_with_it_what_was_meant_for_it(steps: int) -> None:
    """Nothing for the container runs outside: neither what is held or approved, nor what is typed ahead."""
    shell = Driven()
    nest = inside(shell)
    shell.type("rm -rf /data\rrm -rf /more\r" if steps else "rm -rf /da")
    held = shell.shell.held
    if steps > 1:
        shell.decide()
    effects = shell.do(sv.CommandDone(nest.nonce, 137, "/srv"))
    assert shell.shell.state is State.IDLE
    assert shell.shell.held is None
    assert "dropped" in "".join(each.notice.text for each in effects if isinstance(each, do.Say))
    if steps == 1:
        assert do.Withdraw in kinds(effects)
        assert held is not None
        late = Decision(held.id, held.digest, RequestState.APPROVED, ("ana",), "")
        assert shell.do(ev.Decided(late, 1.0)) == []
    assert finished(effects)[-1] == (b"bash", 137)
    shell.type("id\r")
    assert shell.held.command == b"id"


def test_end_of_input_leaves_the_inner_shell() -> None:
    shell = Driven()
    nest = inside(shell)
    assert shell.type("\x04")[-1] == sd.LeaveShell(1)
    shell.type("id\r")
    assert shell.shell.state is State.EXITING
    assert shell.type("\x03")[0] == sd.SendControl("^C")
    shell.do(sv.CommandBegan(sd.LEAVING))
    shell.do(sv.CommandDone(sd.LEAVING, 1, "/root"))  # stopped jobs
    assert shell.type("\x04")[-1] == sd.LeaveShell(1, again=True)
    shell.type("id\r")
    effects = shell.do(sv.CommandDone(nest.nonce, 4, "/srv"))
    assert finished(effects) == [(b"bash", 4)]
    assert (shell.held.command, shell.held.cwd) == (b"id", "/srv")
    shell.decide(RequestState.DENIED)
    assert kinds(shell.type("\x04")) == [sd.EndShell, do.Exit]


ENDS = [ev.AgentLeft(), ev.Cut("killed by ana"), sv.DriverFailed("gone"), sv.DriverFailed("ended", 3)]


@pytest.mark.parametrize("event", ENDS)
@pytest.mark.parametrize("steps", range(7))
@pytest.mark.parametrize("leave", [False, True])
def test_every_end_finishes_every_line(event: sv.Event, steps: int, leave: bool) -> None:
    shell = Driven(leave=leave)
    started(shell)
    if steps > 0:
        shell.do(sv.DriverReady("/root", "bash"))
    if steps > 1:
        inside(shell, "sudo -i")
    if steps > 2:
        shell.type("python3\r")
    if steps > 3:
        shell.decide()
    if steps > 4:
        shell.do(sv.CommandBegan("33333333"))
    if steps > 5:
        shell.type("import os\r")
    shell.do(event)
    if shell.shell.state is State.LEFT:
        shell.do(sv.CommandDone("33333333", 0, "/"))
    if shell.shell.state is not State.CLOSED:
        shell.do(sv.DriverFailed("gone"))
    assert shell.shell.state is State.CLOSED
    begun = [each.authorization.request.id for each in shell.of(do.RecordStarted)]  # type: ignore[union-attr]
    ended = [each.request.id for each in shell.of(do.RecordFinished)]  # type: ignore[union-attr]
    assert ended == begun[::-1]
    assert isinstance(shell.effects[-1], do.Exit)


def test_a_command_left_running_ends_with_its_shell() -> None:
    shell = Driven(leave=True)
    nest = inside(shell)
    shell.run("sleep 9")
    shell.do(ev.AgentLeft())
    effects = shell.do(sv.CommandDone(nest.nonce, 1, "/"))
    assert finished(effects) == [(b"sleep 9", 1), (b"bash", 1)]
    assert shell.shell.state is State.CLOSED


def test_containers_are_reached_one_behind_the_other() -> None:
    shell = Driven()
    inside(shell, "docker exec -it web sh")
    nest = inside(shell, "bash")
    assert nest.how.inside == "docker exec -i web "
    assert nest.how.command("x") == b"x"


def test_governed() -> None:
    assert governed(b"# reason: x\n\nsudo -i") == Nesting("sudo -i ", "login")
    assert governed(b"sudo -i\nid") is None
    assert governed(b"# x") is None
    assert governed(b"bash\n# x") is None
    with pytest.raises(ValueError, match="no shell"):
        reached(b"id", "")
    assert not Nests().opens(b"bash", TtyMode.RAW)


def test_permission_cannot_be_made_up() -> None:
    shell = Driven()
    shell.type("ls\r")
    line = shell.held
    approval = Decision(line.id, line.digest, RequestState.APPROVED, ("ana",), "", TtyMode.LINE)
    with pytest.raises(ValueError, match="no shell"):
        sd.NestLine(do.Authorization(line, approval), "1", 0, "")
    raw = Decision(line.id, line.digest, RequestState.APPROVED, ("ana",), "", TtyMode.RAW)
    with pytest.raises(ValueError, match="input is held"):
        sd.NestLine(do.Authorization(line, raw), "1", 0, "")
    with pytest.raises(ValueError, match="first shell"):
        sd.LeaveShell(0)


TYPING = st.lists(
    st.sampled_from([b"a", b"\r", b"\x03", b"\x04", b"touch X\r", b"python3\r", b"exit\r", b"bash\r", b"sudo -i\r"]),
    max_size=5,
).map(b"".join)


class Machine(RuleBasedStateMachine):
    """A target that brings shells up and loses them at any time: each line runs in the shell it was approved for."""

    def __init__(self) -> None:
        super().__init__()
        self.driven = Driven()
        self.target: list[str] = []
        """Nonces of the lines whose shells are up."""
        self.approved: dict[str, str] = {}
        self.seen = 0

    def check(self) -> None:
        fresh = self.driven.effects[self.seen :]
        self.seen = len(self.driven.effects)
        for before, effect in pairwise([None, *fresh]):
            match effect:
                case do.Hold(request) if request.sequence:
                    expected = self.parents[-1] if request.kind.value == "line" and self.parents else ""
                    assert request.kind.value == "stdin" or request.parent == expected
                case sd.RunLine(authorization, _, depth) | sd.NestLine(authorization, _, depth):
                    assert self.approved.pop(authorization.request.id) == authorization.request.digest
                    assert before == do.RecordStarted(authorization)
                    assert depth == len(self.target)
                    assert authorization.request.parent == (self.parents[-1] if self.parents else "")
                case sd.SendControl():
                    assert self.driven.shell.state in RUNNING | {State.EXITING}
                case sd.LeaveShell(depth):
                    assert depth == len(self.target) > 0
        depth = 0 if self.driven.shell.state is State.CLOSED else len(self.target)
        assert self.driven.shell._nests.depth == depth
        begun = [each.authorization.request.id for each in self.driven.of(do.RecordStarted)]  # type: ignore[union-attr]
        ended = [each.request.id for each in self.driven.of(do.RecordFinished)]  # type: ignore[union-attr]
        assert len(ended) == len(set(ended))
        assert set(ended) <= set(begun)
        if self.driven.shell.state is State.CLOSED:
            assert set(ended) == set(begun)

    @property
    def parents(self) -> list[str]:
        return [level.request.id for level in self.driven.shell._nests.levels]

    @property
    def state(self) -> State:
        return self.driven.shell.state

    @rule(data=TYPING)
    def types(self, data: bytes) -> None:
        if self.state in OPEN:
            self.driven.type(data)
        self.check()

    @precondition(lambda self: self.driven.shell.held is not None)
    @rule(yes=st.sampled_from([True, True, True, False]), mode=st.sampled_from([None, None, None, *TtyMode]))
    def decides(self, yes: bool, mode: TtyMode | None) -> None:
        held = self.driven.held
        if yes:
            self.approved[held.id] = held.digest
        self.driven.decide(RequestState.APPROVED if yes else RequestState.DENIED, mode)
        self.check()

    @precondition(lambda self: self.state in (State.STARTING, State.EXITING))
    @rule()
    def begins(self) -> None:
        self.driven.do(sv.CommandBegan(self.driven.shell._nonce))
        self.check()

    @precondition(lambda self: self.state in RUNNING and self.driven.shell._nests.coming)
    @rule()
    def comes_up(self) -> None:
        self.target.append(self.driven.shell._nonce)
        self.driven.do(sv.DriverReady("/", "sh", "x"))
        self.check()

    @precondition(lambda self: self.state in RUNNING | {State.EXITING})
    @rule()
    def ends(self) -> None:
        self.driven.do(sv.CommandDone(self.driven.shell._nonce, 0, "/"))
        self.check()

    @precondition(lambda self: self.target and self.state in OPEN)
    @rule(data=st.data())
    def is_lost(self, data: st.DataObject) -> None:
        number = data.draw(st.integers(0, len(self.target) - 1))
        nonce = self.target[number]
        del self.target[number:]
        self.driven.do(sv.CommandDone(nonce, 9, "/"))
        self.check()

    @precondition(lambda self: self.driven.asked > 4)
    @rule(event=st.sampled_from(ENDS))
    def breaks(self, event: sv.Event) -> None:
        self.driven.do(event)
        if self.state is State.ENDING:
            self.driven.do(sv.DriverFailed("gone"))
        self.check()


TestMachine = Machine.TestCase
TestMachine.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
