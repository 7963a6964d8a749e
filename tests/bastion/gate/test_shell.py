"""The governed shell's state machine as a whole: its table, any order of events, any split of the bytes."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule

from bastion.gate import effects as do
from bastion.gate import events as ev
from bastion.gate import shell_effects as sd
from bastion.gate import shell_events as sv
from bastion.gate.gate import GateError
from bastion.gate.shell import Shell
from bastion.gate.shell_states import OPEN, RUNNING, TABLE, State
from bastion.model import Decision, RequestKind, StdinMode, TtyMode
from bastion.model import State as RequestState
from tests.support.gated import Driven


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


def test_every_row_has_a_handler() -> None:
    for name in set(TABLE.values()) - {None}:
        assert callable(getattr(Shell, f"_{name}"))


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
