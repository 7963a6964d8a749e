"""A governed shell ends."""

from __future__ import annotations

from bastion.gate import effects as do
from bastion.gate import events as ev
from bastion.gate import shell_effects as sd
from bastion.gate import shell_events as sv
from bastion.gate.shell_states import State
from tests.support.gated import Driven, kinds


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
