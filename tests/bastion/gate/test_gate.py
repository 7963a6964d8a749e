"""The gate: events in, effects out; and what no order of events may ever do."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bastion.gate import effects as do
from bastion.gate import events as ev
from bastion.gate import notices
from bastion.gate.gate import Circumstances, Gate, GateError
from bastion.gate.intent import Intent, read
from bastion.gate.states import TABLE, State
from bastion.model import CODE_STDIN_LIMIT, UNRATED, Decision, Request, StdinMode, Target, Verdict
from bastion.model import State as RequestState
from bastion.policy.judge import Judgement

TARGET = Target("web-1", "127.0.0.1", 22, ("deploy",), "production", ("ssh-ed25519 AAAA",), "key:/k")
WHERE = Circumstances(
    identity="agent-7",
    key="SHA256:x",
    session="s-1",
    target=TARGET,
    login="deploy",
    environment=(),
    wait=True,
    approvals=1,
    timeout=60,
)
NOW = 1_000_000_000


def make_gate(verdict: Verdict = Verdict.HOLD, *, where: Circumstances = WHERE, code: str | None = None) -> Gate:
    return Gate(
        where,
        intent=lambda _command: Intent(),
        reads_code=lambda _command: code,
        assess=lambda _command, _stdin: UNRATED,
        judge=lambda request, _now: Judgement(verdict, request.digest, "test", "because"),
    )


def held(gate: Gate) -> Request:
    gate.receive(ev.ExecRequested(b"id", "r-1", NOW))
    gate.receive(ev.NoTwinFound(NOW))
    assert gate.state is State.HELD
    assert gate.request is not None
    return gate.request


def decision(request: Request, state: RequestState, *, digest: str = "", reason: str = "no") -> Decision:
    return Decision(request.id, digest or request.digest, state, ("ana",), reason)


def test_a_command_is_recorded_before_it_is_held() -> None:
    gate = make_gate()
    (seek,) = gate.receive(ev.ExecRequested(b"id", "r-1", NOW))
    assert isinstance(seek, do.FindTwin)
    request = seek.request
    assert (request.command, request.stdin, request.expires) == (b"id", StdinMode.STREAM, NOW + 60_000_000)
    judgement = Judgement(Verdict.HOLD, request.digest, "test", "because")
    held = dataclasses.replace(request, rule="test")
    assert gate.receive(ev.NoTwinFound(NOW)) == [
        do.RecordProposed(held, judgement),
        do.Hold(held),
        do.Say(notices.held(held, 60)),
    ]


def on_terms(verdict: Verdict, **terms: Any) -> Callable[[Request, int], Judgement]:
    """A policy that wants two approvals within five minutes."""

    def judge(request: Request, _now: int) -> Judgement:
        rough = Judgement(verdict, "", "policy p:1: hold *", "because", approvals=2, timeout=300, **terms)
        final = dataclasses.replace(request, approvals=2, expires=NOW + 300_000_000)
        return dataclasses.replace(rough, digest=final.digest)

    return judge


def gate_with(judge: Callable[[Request, int], Judgement]) -> Gate:
    return Gate(
        WHERE, intent=lambda _: Intent(), reads_code=lambda _: None, assess=lambda _, _stdin: UNRATED, judge=judge
    )


def test_the_request_is_held_on_the_terms_of_the_judgement() -> None:
    gate = gate_with(on_terms(Verdict.HOLD))
    (seek,) = gate.receive(ev.ExecRequested(b"id", "r-1", NOW))
    assert isinstance(seek, do.FindTwin)
    recorded, hold, said = gate.receive(ev.NoTwinFound(NOW))
    assert isinstance(hold, do.Hold)
    request = hold.request
    assert (request.approvals, request.seconds, request.rule) == (2, 300, "policy p:1: hold *")
    assert request.digest != seek.request.digest
    assert request.likeness == seek.request.likeness
    assert isinstance(recorded, do.RecordProposed)
    assert recorded.request == request
    assert recorded.judgement.digest == request.digest
    assert said == do.Say(notices.held(request, 300))
    old = decision(seek.request, RequestState.APPROVED)
    with pytest.raises(ValueError, match="another digest"):
        gate.receive(ev.Decided(old, 1.0))


def test_what_is_allowed_runs_as_it_was_judged_and_recorded() -> None:
    gate = gate_with(on_terms(Verdict.ALLOW))
    gate.receive(ev.ExecRequested(b"id", "r-1", NOW))
    recorded, started, run = gate.receive(ev.NoTwinFound(NOW))
    assert isinstance(recorded, do.RecordProposed)
    assert isinstance(started, do.RecordStarted)
    assert isinstance(run, do.Run)
    assert run.authorization is started.authorization
    assert run.authorization.request == recorded.request == gate.request


def test_a_judgement_of_another_request_is_good_for_nothing() -> None:
    def judge(request: Request, now: int) -> Judgement:
        return on_terms(Verdict.ALLOW)(dataclasses.replace(request, command=b"ls"), now)

    gate = gate_with(judge)
    gate.receive(ev.ExecRequested(b"rm -rf /", "r-1", NOW))
    with pytest.raises(ValueError, match="another request"):
        gate.receive(ev.NoTwinFound(NOW))


def test_approval_records_the_start_and_then_runs() -> None:
    gate = make_gate()
    request = held(gate)
    approval = decision(request, RequestState.APPROVED)
    authorization = do.Authorization(request, approval)
    assert gate.receive(ev.Decided(approval, 4.2)) == [
        do.Say(notices.approved(request, ("ana",), 4.2)),
        do.RecordStarted(authorization),
        do.Run(authorization),
    ]
    assert gate.receive(ev.UpstreamOpened()) == []
    assert gate.receive(ev.UpstreamEnded(3)) == [
        do.RecordFinished(request, 3, "", ""),
        do.Exit(3, ""),
    ]
    assert gate.state is State.CLOSED


@pytest.mark.parametrize(
    ("state", "status"),
    [(RequestState.DENIED, 126), (RequestState.EXPIRED, 124), (RequestState.WITHDRAWN, 125)],
)
def test_every_other_decision_ends_it_with_its_status(state: RequestState, status: int) -> None:
    gate = make_gate()
    request = held(gate)
    effects = gate.receive(ev.Decided(decision(request, state), 1.0))
    assert isinstance(effects[-1], do.Exit)
    assert effects[-1].status == status
    assert not any(isinstance(effect, do.Run) for effect in effects)


def test_an_approval_of_another_digest_is_no_authorization() -> None:
    gate = make_gate()
    request = held(gate)
    with pytest.raises(ValueError, match="another digest"):
        gate.receive(ev.Decided(decision(request, RequestState.APPROVED, digest="0" * 64), 1.0))
    with pytest.raises(ValueError, match="no approval"):
        do.Authorization(request, decision(request, RequestState.DENIED))
    with pytest.raises(ValueError, match="no approval"):
        do.Authorization(request, Judgement(Verdict.HOLD, request.digest, "", ""))
    other = dataclasses.replace(request, id="r-2")
    with pytest.raises(ValueError, match="no approval"):
        do.Authorization(other, decision(request, RequestState.APPROVED))


def test_allowed_is_recorded_and_started_in_one_list() -> None:
    gate = make_gate(Verdict.ALLOW)
    gate.receive(ev.ExecRequested(b"id", "r-1", NOW))
    kinds = [type(effect) for effect in gate.receive(ev.NoTwinFound(NOW))]
    assert kinds == [do.RecordProposed, do.RecordStarted, do.Run]


def test_refused_by_policy_is_recorded_and_said() -> None:
    gate = make_gate(Verdict.DENY)
    gate.receive(ev.ExecRequested(b"id", "r-1", NOW))
    effects = gate.receive(ev.NoTwinFound(NOW))
    assert [type(effect) for effect in effects] == [do.RecordProposed, do.Say, do.Exit]
    assert effects[-1] == do.Exit(126, why="refused by policy")


def test_code_on_stdin_is_read_to_its_end_and_part_of_the_digest() -> None:
    digests = set()
    for code in (b"rm -rf /\n", b"rm -rf .\n"):
        gate = make_gate(code="`bash -s` reads its commands from stdin")
        effects = gate.receive(ev.ExecRequested(b"bash -s", "r-1", NOW))
        assert effects == [do.Collect()]
        (told,) = gate.receive(ev.StillReading())
        assert told == do.Say(notices.collecting("`bash -s` reads its commands from stdin"))
        assert gate.receive(ev.StdinReceived(code[:3])) == []
        assert gate.receive(ev.StdinReceived(code[3:])) == []
        (seek,) = gate.receive(ev.StdinEnded(NOW))
        assert isinstance(seek, do.FindTwin)
        assert (seek.request.stdin, seek.request.stdin_code) == (StdinMode.BUNDLED, code)
        digests.add(seek.request.digest)
    assert len(digests) == 2


def test_what_is_denied_anyway_is_not_waited_for() -> None:
    gate = make_gate(Verdict.DENY, code="reads code")
    (seek,) = gate.receive(ev.ExecRequested(b"sh \0", "r-1", NOW))
    assert isinstance(seek, do.FindTwin)


def test_the_limit_of_code_on_stdin_is_exact() -> None:
    for extra, state in ((0, State.COLLECTING), (1, State.CLOSED)):
        gate = make_gate(code="reads code")
        gate.receive(ev.ExecRequested(b"sh", "r-1", NOW))
        effects = gate.receive(ev.StdinReceived(b"x" * (CODE_STDIN_LIMIT + extra)))
        assert gate.state is state
        assert bool(effects) is (extra == 1)


def test_a_client_that_leaves_leaves_its_request_and_one_that_interrupts_takes_it_back() -> None:
    gate = make_gate()
    request = held(gate)
    assert gate.receive(ev.AgentLeft())[0] == do.Detach(request)
    gate = make_gate()
    request = held(gate)
    assert gate.receive(ev.SignalReceived("INT"))[0] == do.Withdraw(request, "the agent sent INT")


def test_not_waiting_leaves_at_once_with_75() -> None:
    gate = make_gate(where=dataclasses.replace(WHERE, wait=False))
    gate.receive(ev.ExecRequested(b"id", "r-1", NOW))
    effects = gate.receive(ev.NoTwinFound(NOW))
    assert isinstance(effects[-1], do.Exit)
    assert effects[-1].status == 75
    assert [type(effect) for effect in effects[:2]] == [do.RecordProposed, do.Hold]
    assert any(isinstance(effect, do.Detach) for effect in effects)


def test_a_ticket_runs_and_a_held_twin_is_waited_for() -> None:
    old = held(make_gate())
    gate = make_gate()
    gate.receive(ev.ExecRequested(b"id", "r-2", NOW))
    effects = gate.receive(ev.TwinFound(old, decision(old, RequestState.APPROVED)))
    assert [type(effect) for effect in effects] == [do.RecordAttached, do.Say, do.RecordStarted, do.Run]
    gate = make_gate()
    gate.receive(ev.ExecRequested(b"id", "r-2", NOW))
    gate.receive(ev.TwinFound(old, None))
    assert gate.state is State.HELD
    assert gate.request == old


def test_a_lost_target_is_an_error_of_the_bastion_not_a_success() -> None:
    gate = make_gate(Verdict.ALLOW)
    gate.receive(ev.ExecRequested(b"id", "r-1", NOW))
    gate.receive(ev.NoTwinFound(NOW))
    gate.receive(ev.UpstreamOpened())
    effects = gate.receive(ev.UpstreamEnded(None))
    assert isinstance(effects[-1], do.Exit)
    assert effects[-1].status == 125


def test_a_missing_row_changes_nothing() -> None:
    gate = make_gate()
    with pytest.raises(GateError):
        gate.receive(ev.UpstreamEnded(0))
    assert gate.state is State.OPEN
    held(gate)


def test_every_row_has_its_handler() -> None:
    for name in TABLE.values():
        assert name is None or callable(getattr(Gate, f"_{name}"))


some_request = held(make_gate())
some_events = st.sampled_from(
    [
        ev.ExecRequested(b"id", "r-1", NOW),
        ev.ExecRequested(b"bash -s", "r-1", NOW),
        ev.StdinReceived(b"code"),
        ev.StdinEnded(NOW),
        ev.StillReading(),
        ev.NoTwinFound(NOW),
        ev.TwinFound(some_request, None),
        ev.TwinFound(some_request, decision(some_request, RequestState.APPROVED)),
        ev.Decided(decision(some_request, RequestState.APPROVED), 1.0),
        ev.Decided(decision(some_request, RequestState.DENIED), 1.0),
        ev.Decided(decision(some_request, RequestState.EXPIRED), 1.0),
        ev.Waited(15, 60),
        ev.UpstreamOpened(),
        ev.UpstreamFailed("down"),
        ev.UpstreamEnded(0),
        ev.UpstreamEnded(None),
        ev.SignalReceived("INT"),
        ev.AgentLeft(),
        ev.Cut("killed"),
    ]
)


@given(
    st.lists(some_events, max_size=20),
    st.sampled_from([Verdict.HOLD, Verdict.DENY]),
    st.booleans(),
)
def test_nothing_runs_without_an_approval_whatever_happens(
    happened: list[ev.Event], verdict: Verdict, reads_code: bool
) -> None:
    gate = make_gate(verdict, code="reads code" if reads_code else None)
    approved = False
    runs = exits = 0
    for event in happened:
        try:
            effects = gate.receive(event)
        except (GateError, ValueError):
            continue
        if isinstance(event, ev.Decided | ev.TwinFound) and event.decision is not None:
            approved |= event.decision.state is RequestState.APPROVED
        for before, effect in zip([None, *effects], effects, strict=False):
            if isinstance(effect, do.Run):
                runs += 1
                assert approved
                assert isinstance(before, do.RecordStarted)
                assert before.authorization is effect.authorization
        exits += sum(isinstance(effect, do.Exit) for effect in effects)
        if any(isinstance(effect, do.Exit) for effect in effects):
            assert isinstance(effects[-1], do.Exit)
            assert gate.state is State.CLOSED
    assert runs <= 1
    assert exits <= 1


def test_intent_is_read_from_environment_and_leading_comments() -> None:
    command = b"# reason: disk full\n#Rollback :  restore it\n\nrm x\n# task: late"
    assert read(command, {}) == Intent("disk full", "restore it", "")
    assert read(command, {"BASTION_REASON": "said"}).reason == "said"
    assert read(b"rm x", {}) == Intent()


@given(st.binary(max_size=200))
def test_intent_never_fails(command: bytes) -> None:
    read(command, {})
