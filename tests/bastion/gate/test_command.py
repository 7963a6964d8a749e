"""The gate of one command with a terminal: an exec until it starts, a shell's command then."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule

from bastion.gate import effects as do
from bastion.gate import events as ev
from bastion.gate import notices
from bastion.gate import shell_effects as sd
from bastion.gate import shell_events as sv
from bastion.gate.command import TABLE, Command
from bastion.gate.gate import GateError
from bastion.gate.intent import read
from bastion.gate.shell_asking import KEYS_NEED_A_PERSON
from bastion.gate.shell_states import RUNNING, State
from bastion.model import UNRATED, Decision, Request, RequestKind, StdinMode, TtyMode, Verdict
from bastion.model import State as RequestState
from bastion.policy.judge import Judgement
from tests.bastion.gate.test_shell import TYPING
from tests.support.gated import NOW, WHERE

NONCE = "7" * 32


class Driven:
    """A command with the session's part played: FindTwin finds `twin`, Describe is answered."""

    def __init__(
        self,
        command: bytes = b"cat",
        *,
        verdict: Callable[[Request], Verdict] | None = None,
        emergency: bool = False,
        wait: bool = True,
        leave: bool = False,
        twin: ev.TwinFound | None = None,
        script: tuple[str, bytes] = ("", b""),
    ) -> None:
        self.effects: list[sd.Effect] = []
        self.asked = 0
        decide = verdict or (lambda _request: Verdict.HOLD)
        self.gate = Command(
            replace(WHERE, wait=wait),
            leave_running=leave,
            intent=lambda text: read(text, {}),
            assess=lambda _command, **_more: UNRATED,
            judge=lambda request, _now: Judgement(
                decide(request), request.digest, "test", "because", emergency=emergency
            ),
        )
        self.twin = twin or ev.NoTwinFound(NOW, *script)
        self.do(sv.CommandRequested(command, "xterm", 80, 24, "r-0", NONCE, NOW))

    def do(self, event: sv.Event) -> list[sd.Effect]:
        effects = self.gate.receive(event)
        self.effects += effects
        if any(isinstance(effect, do.FindTwin) for effect in effects):
            return effects + self.do(self.twin)
        if any(isinstance(effect, sd.Describe) for effect in effects):
            self.asked += 1
            return effects + self.do(sv.Described(f"r-{self.asked}", "8" * 32, NOW))
        return effects

    def type(self, data: bytes) -> list[sd.Effect]:
        return self.do(sv.BytesTyped(data))

    @property
    def held(self) -> Request:
        assert self.gate.held is not None
        return self.gate.held

    def decide(self, state: RequestState = RequestState.APPROVED, mode: TtyMode | None = None) -> list[sd.Effect]:
        request = self.held
        return self.do(ev.Decided(Decision(request.id, request.digest, state, ("ana",), "no", mode), 1.0))

    def run(self, mode: TtyMode | None = None) -> None:
        self.decide(mode=mode)
        self.do(sv.CommandBegan(NONCE))


def last(effects: list[sd.Effect]) -> Any:
    return effects[-1]


def test_it_is_an_exec_with_its_terminal_and_mode_in_the_digest() -> None:
    driven = Driven(b"# reason: full\ncat x")
    request = driven.held
    assert (request.kind, request.terminal, request.mode, request.stdin) == (
        RequestKind.EXEC, "xterm", TtyMode.LINE, StdinMode.GATED,
    )  # fmt: skip
    assert (request.reason, request.sequence, request.cwd) == ("full", 0, "")
    assert replace(request, terminal="vt100").digest != request.digest != replace(request, mode=TtyMode.RAW).digest
    assert replace(request, terminal="").likeness != request.likeness


def test_recorded_then_run() -> None:
    driven = Driven()
    effects = driven.decide()
    started, run = effects[-2:]
    assert isinstance(started, do.RecordStarted)
    assert run == sd.RunCommand(started.authorization, NONCE)


@pytest.mark.parametrize(
    ("state", "status"),
    [
        (RequestState.DENIED, notices.EXIT_DENIED),
        (RequestState.EXPIRED, notices.EXIT_EXPIRED),
        (RequestState.WITHDRAWN, notices.EXIT_BASTION),
    ],
)
def test_what_is_not_approved_does_not_run(state: RequestState, status: int) -> None:
    driven = Driven()
    assert last(driven.decide(state)).status == status
    assert driven.gate.state is State.CLOSED
    assert not any(isinstance(effect, sd.RunCommand) for effect in driven.effects)


def test_policy_denies() -> None:
    driven = Driven(verdict=lambda _: Verdict.DENY)
    assert last(driven.effects).status == notices.EXIT_DENIED


def test_policy_allows_what_wants_no_keys() -> None:
    driven = Driven(verdict=lambda _: Verdict.ALLOW)
    assert isinstance(last(driven.effects), sd.RunCommand)


@pytest.mark.parametrize("command", [b"vim x", b"less x"])
def test_keys_take_a_person(command: bytes) -> None:
    driven = Driven(command, verdict=lambda _: Verdict.ALLOW)
    (proposed,) = [each for each in driven.effects if isinstance(each, do.RecordProposed)]
    assert proposed.judgement.reason == KEYS_NEED_A_PERSON
    assert driven.gate.state is State.HELD


def test_broken_glass_opens_no_window() -> None:
    driven = Driven(b"vim x", verdict=lambda _: Verdict.ALLOW, emergency=True)
    run = last(driven.effects)
    assert run.authorization.mode is TtyMode.LINE
    driven.do(sv.CommandBegan(NONCE))
    assert driven.gate.state is State.LINE


def test_one_like_it_is_taken_up() -> None:
    request = Driven().held
    held = Driven(twin=ev.TwinFound(request, None))
    assert held.held == request
    approval = Decision(request.id, request.digest, RequestState.APPROVED, ("ana",), "")
    ticket = Driven(twin=ev.TwinFound(request, approval))
    assert isinstance(last(ticket.effects), sd.RunCommand)


def test_the_script_that_it_runs_is_part_of_it() -> None:
    assert Driven(b"./x.sh", script=("./x.sh", b"echo\n")).held.script_code == b"echo\n"


def test_who_does_not_wait() -> None:
    driven = Driven(wait=False)
    assert [type(effect) for effect in driven.effects[-3:]] == [do.Detach, do.Say, do.Exit]
    assert last(driven.effects).status == notices.EXIT_LATER


def test_it_outlives_its_client_and_the_daemon() -> None:
    assert isinstance(Driven().do(ev.AgentLeft())[0], do.Detach)
    assert isinstance(Driven().do(ev.Cut("the bastion is stopping", keeps=True))[0], do.Detach)
    assert isinstance(Driven().do(ev.Cut("killed"))[0], do.Withdraw)


@pytest.mark.parametrize("event", [sv.BytesTyped(b"ls\x03"), ev.SignalReceived("INT")])
def test_taken_back(event: sv.Event) -> None:
    driven = Driven()
    effects = driven.do(event)
    assert last(effects).status == notices.EXIT_INTERRUPTED
    assert any(isinstance(effect, do.Withdraw) for effect in effects)


def test_what_is_typed_before_it_runs_is_held_for_it_and_dropped_with_it() -> None:
    driven = Driven()
    driven.type(b"first\rsecond\r")
    driven.run()
    assert driven.held.command == b"first\n"
    effects = driven.do(sv.CommandDone(NONCE, 3, ""))
    assert [type(effect) for effect in effects] == [do.Withdraw, do.Say, do.RecordFinished, do.Exit]
    assert last(effects) == do.Exit(3, "", why="")


def test_a_signal_ended_it() -> None:
    driven = Driven()
    driven.run()
    finished, end = driven.do(sv.CommandDone(NONCE, 0, "", "KILL"))
    assert finished == do.RecordFinished(driven.gate._line(), None, "KILL", "")
    assert (end.status, end.signal) == (0, "KILL")  # type: ignore[union-attr]


def test_another_end_than_its_own() -> None:
    driven = Driven()
    driven.run()
    with pytest.raises(GateError):
        driven.do(sv.CommandDone("8" * 32, 0, ""))


def test_signals_come_as_keys_or_as_they_are() -> None:
    driven = Driven()
    driven.run()
    assert driven.do(ev.SignalReceived("INT")) == [sd.SendControl("^C")]
    assert driven.do(ev.SignalReceived("TERM")) == [do.ForwardSignal("TERM")]


@pytest.mark.parametrize("leave", [False, True])
def test_the_agent_leaves_while_it_runs(leave: bool) -> None:
    driven = Driven(leave=leave)
    driven.run()
    effects = driven.do(ev.AgentLeft())
    if leave:
        assert effects == []
        assert isinstance(driven.do(sv.CommandDone(NONCE, 0, ""))[0], do.RecordFinished)
    else:
        assert effects == [sd.EndShell("the agent left")]
        (finished, _) = driven.do(sv.DriverFailed("not confirmed"))
        assert finished.note == "the agent left; not confirmed"  # type: ignore[union-attr]
    assert driven.gate.state is State.CLOSED


def test_it_could_not_be_started() -> None:
    driven = Driven()
    driven.decide()
    effects = driven.do(sv.DriverFailed("not started: no terminal"))
    assert [type(effect) for effect in effects] == [do.RecordFinished, do.Say, do.Exit]
    assert last(effects).status == notices.EXIT_BASTION


def test_only_an_exec_with_a_terminal_runs_on_one() -> None:
    request = replace(Driven().held, terminal="")
    decision = Decision(request.id, request.digest, RequestState.APPROVED, ("ana",), "")
    with pytest.raises(ValueError, match="only an exec with a terminal"):
        sd.RunCommand(do.Authorization(request, decision), NONCE)


def test_every_row_has_a_handler() -> None:
    for name in set(TABLE.values()) - {None}:
        assert callable(getattr(Command, f"_{name}"))


class Machine(RuleBasedStateMachine):
    """Nothing reaches the target that nobody approved, whatever happens in whatever order."""

    def __init__(self) -> None:
        super().__init__()
        self.driven = Driven()
        self.approved: set[str] = set()
        self.runs = self.seen = 0

    def check(self) -> None:
        fresh = self.driven.effects[self.seen :]
        self.seen = len(self.driven.effects)
        for number, effect in enumerate(fresh):
            match effect:
                case sd.RunCommand(authorization):
                    assert authorization.request.digest in self.approved
                    assert fresh[number - 1] == do.RecordStarted(authorization)
                    self.runs += 1
                    assert self.runs == 1
                case sd.SendTty(authorization, data) if authorization.request.kind is RequestKind.STDIN:
                    assert authorization.request.digest in self.approved
                    assert data == authorization.request.command
                    self.approved.remove(authorization.request.digest)
                case sd.SendTty(authorization, _):
                    assert authorization.mode in (TtyMode.RAW, TtyMode.VIEW)
                    assert self.driven.gate.state in (State.RAW, State.VIEW)
                case sd.SendControl() | do.ForwardSignal():
                    assert self.driven.gate.state in RUNNING

    @rule(data=TYPING)
    def types(self, data: bytes) -> None:
        self.driven.type(data)
        self.check()

    @precondition(lambda self: self.driven.gate.held is not None)
    @rule(
        state=st.sampled_from([RequestState.APPROVED, RequestState.APPROVED, RequestState.DENIED]),
        mode=st.sampled_from([None, *TtyMode]),
    )
    def decides(self, state: RequestState, mode: TtyMode | None) -> None:
        if state is RequestState.APPROVED:
            self.approved.add(self.driven.held.digest)
        self.driven.decide(state, mode)
        self.check()

    @precondition(lambda self: self.driven.gate.state is State.STARTING)
    @rule(begins=st.booleans())
    def starts(self, begins: bool) -> None:
        self.driven.do(sv.CommandBegan(NONCE) if begins else sv.DriverFailed("not started"))
        self.check()

    @precondition(lambda self: self.driven.gate.state in RUNNING)
    @rule(signal=st.sampled_from(["", "", "TERM"]))
    def ends(self, signal: str) -> None:
        self.driven.do(sv.CommandDone(NONCE, 0, "", signal))
        self.check()

    @rule(
        event=st.sampled_from(
            [
                sv.InputEnded(),
                sv.WindowChanged(10, 10),
                ev.SignalReceived("TERM"),
                ev.Waited(15, 60),
                sv.TtyChanged(echo=False, canonical=True, owner=""),
                sv.WindowOver("r-0", "over"),
                ev.Decided(Decision("r-9", "0" * 64, RequestState.APPROVED, ("ana",), ""), 1.0),
            ]
        )
    )
    def happens(self, event: sv.Event) -> None:
        self.driven.do(event)
        self.check()

    @precondition(lambda self: self.driven.gate.state in (State.HELD, *RUNNING, State.LEFT, State.ENDING))
    @rule(event=st.sampled_from([ev.AgentLeft(), ev.Cut("killed")]))
    def breaks(self, event: sv.Event) -> None:
        self.driven.do(event)
        self.check()


TestMachine = Machine.TestCase
TestMachine.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
