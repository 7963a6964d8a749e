"""The desk: each request decided exactly once, each approval used at most once, whatever the order."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, rule

from bastion.desk import HELD_BYTES, Desk
from bastion.errors import Conflict, NotAllowed, NotFound, UsageError
from bastion.model import Choice, Request, RequestKind, State, TtyMode, Vote
from tests.support.requests import REQUEST

TIMEOUT, TICKET = 60.0, 600.0


def make_request(name: str, *, identity: str = "agent-7", command: bytes = b"id", approvals: int = 1) -> Request:
    return dataclasses.replace(REQUEST, id=name, identity=identity, command=command, approvals=approvals)


def make_vote(request: Request, by: str = "ana", choice: Choice = Choice.APPROVE, *, digest: str = "") -> Vote:
    return Vote(request.id, digest or request.digest, choice, by, "because", "signature")


@pytest.fixture
def desk() -> Desk:
    return Desk(ticket=TICKET, limit=3)


def submit(desk: Desk, request: Request, session: str = "s-1", now: float = 0.0) -> None:
    desk.submit(request, session=session, now=now, timeout=TIMEOUT)


GROUPS = {"dba": frozenset({"ana", "ben"}), "sre": frozenset({"ben", "cyd"}), "boss": frozenset({"dan"})}


def group_desk() -> Desk:
    return Desk(ticket=TICKET, limit=3, members=lambda name: GROUPS.get(name, frozenset()))


def test_only_who_is_in_all_the_groups_approves_and_everybody_may_deny() -> None:
    desk = group_desk()
    request = dataclasses.replace(make_request("r-1"), approvers=("dba", "sre"))
    submit(desk, request)
    for outsider in ("ana", "cyd", "dan", "eve"):
        with pytest.raises(NotAllowed, match="not in group dba and sre"):
            desk.vote(make_vote(request, outsider), 1.0)
    decision = desk.vote(make_vote(request, "ben"), 1.0)
    assert decision is not None
    assert decision.state is State.APPROVED
    other = dataclasses.replace(make_request("r-2"), approvers=("dba",))
    submit(desk, other)
    decision = desk.vote(make_vote(other, "eve", Choice.DENY), 1.0)
    assert decision is not None
    assert decision.state is State.DENIED


def test_a_group_that_nobody_knows_has_no_members() -> None:
    desk = group_desk()
    request = dataclasses.replace(make_request("r-1"), approvers=("ghosts",))
    submit(desk, request)
    with pytest.raises(NotAllowed):
        desk.vote(make_vote(request, "ana"), 1.0)


def test_escalation_adds_a_group_at_its_time_and_time_never_approves() -> None:
    desk = group_desk()
    request = dataclasses.replace(make_request("r-1"), approvers=("dba",), escalation=((10, "boss"), (30, "sre")))
    submit(desk, request, now=100.0)
    assert desk.next_deadline() == 110.0
    assert desk.escalate(109.9) == []
    with pytest.raises(NotAllowed):
        desk.vote(make_vote(request, "dan"), 109.9)
    ((pending, group),) = desk.escalate(110.0)
    assert (pending.request, group) == (request, "boss")
    assert desk.escalate(110.0) == []
    assert desk.next_deadline() == 130.0
    assert pending.state is State.HELD
    ((_, group),) = desk.escalate(131.0)
    assert group == "sre"
    assert desk.next_deadline() == 160.0
    (decision,) = desk.expire(160.0)
    assert decision.state is State.EXPIRED
    assert desk.escalate(200.0) == []


def test_after_escalation_the_next_group_approves_and_the_first_still_may() -> None:
    for who in ("dan", "ana"):
        desk = group_desk()
        request = dataclasses.replace(make_request("r-1"), approvers=("dba",), escalation=((10, "boss"),))
        submit(desk, request)
        desk.escalate(11.0)
        decision = desk.vote(make_vote(request, who), 12.0)
        assert decision is not None
        assert decision.state is State.APPROVED


def test_one_approval_decides_and_is_used_once(desk: Desk) -> None:
    request = make_request("r-1")
    submit(desk, request)
    decision = desk.vote(make_vote(request), 1.0)
    assert decision is not None
    assert (decision.state, decision.by, decision.digest) == (State.APPROVED, ("ana",), request.digest)
    assert desk.take("r-1", "s-1")
    assert not desk.take("r-1", "s-1")


def test_n_approvals_are_n_humans(desk: Desk) -> None:
    request = make_request("r-1", approvals=2)
    submit(desk, request)
    assert desk.vote(make_vote(request, "ana"), 1.0) is None
    with pytest.raises(NotAllowed, match="voted"):
        desk.vote(make_vote(request, "ana"), 2.0)
    decision = desk.vote(make_vote(request, "ben"), 3.0)
    assert decision is not None
    assert decision.by == ("ana", "ben")


def test_deny_wins_over_an_earlier_approval(desk: Desk) -> None:
    request = make_request("r-1", approvals=2)
    submit(desk, request)
    desk.vote(make_vote(request, "ana"), 1.0)
    decision = desk.vote(make_vote(request, "ben", Choice.DENY), 2.0)
    assert decision is not None
    assert decision.state is State.DENIED
    with pytest.raises(Conflict, match="denied already"):
        desk.vote(make_vote(request, "cleo"), 3.0)


def test_nobody_decides_their_own_request(desk: Desk) -> None:
    request = make_request("r-1", identity="ana")
    submit(desk, request)
    with pytest.raises(NotAllowed, match="own"):
        desk.vote(make_vote(request, "ana"), 1.0)


def test_a_vote_on_another_digest_counts_for_nothing(desk: Desk) -> None:
    request = make_request("r-1")
    submit(desk, request)
    with pytest.raises(Conflict, match="digest"):
        desk.vote(make_vote(request, digest=make_request("r-1", command=b"rm").digest), 1.0)
    assert desk.get("r-1").state is State.HELD


def test_a_denial_needs_a_reason(desk: Desk) -> None:
    request = make_request("r-1")
    submit(desk, request)
    with pytest.raises(UsageError, match="reason"):
        desk.vote(Vote("r-1", request.digest, Choice.DENY, "ana", " ", ""), 1.0)


def test_time_ends_it_exactly_at_the_timeout_and_never_approves(desk: Desk) -> None:
    request = make_request("r-1")
    submit(desk, request)
    assert desk.expire(TIMEOUT - 0.001) == []
    assert desk.next_deadline() == TIMEOUT
    with pytest.raises(Conflict, match="expired"):
        desk.vote(make_vote(request), TIMEOUT)
    (decision,) = desk.expire(TIMEOUT)
    assert decision.state is State.EXPIRED
    assert desk.expire(TIMEOUT) == []
    assert not desk.take("r-1", "s-1")


def test_a_ticket_serves_the_identical_request_once_for_its_time(desk: Desk) -> None:
    request = make_request("r-1")
    submit(desk, request)
    desk.detach("r-1", "s-1", 1.0)
    desk.vote(make_vote(request), 2.0)
    assert desk.claim(make_request("r-2", command=b"other").likeness, "s-2", 3.0) is None
    assert desk.claim(make_request("r-2", identity="agent-8").likeness, "s-2", 3.0) is None
    pending = desk.claim(make_request("r-2").likeness, "s-2", 2.0 + TICKET - 0.001)
    assert pending is not None
    assert not desk.take("r-1", "s-1")
    assert desk.take("r-1", "s-2")
    assert desk.claim(make_request("r-3").likeness, "s-3", 4.0) is None


def test_a_ticket_is_void_at_its_end(desk: Desk) -> None:
    request = make_request("r-1")
    submit(desk, request)
    desk.detach("r-1", "s-1", 1.0)
    desk.vote(make_vote(request), 2.0)
    assert desk.claim(request.likeness, "s-2", 2.0 + TICKET) is None


def test_an_attached_request_is_nobody_elses(desk: Desk) -> None:
    request = make_request("r-1")
    submit(desk, request)
    assert desk.claim(request.likeness, "s-2", 1.0) is None
    desk.detach("r-1", "s-9", 1.0)
    assert desk.claim(request.likeness, "s-2", 1.0) is None


def test_the_desk_has_a_limit(desk: Desk) -> None:
    for number in range(3):
        desk.reserve(f"r-{number}")
        submit(desk, make_request(f"r-{number}"))
    with pytest.raises(Conflict, match="3 requests"):
        desk.reserve("r-3")


def test_a_burst_does_not_overshoot_the_limit(desk: Desk) -> None:
    """What is on its way into the ledger counts: else a thousand at once would all be let in."""
    for number in range(3):
        desk.reserve(f"r-{number}", 10)
    with pytest.raises(Conflict, match="3 requests"):
        desk.reserve("r-3")
    desk.release("r-0")
    desk.reserve("r-3")
    submit(desk, make_request("r-3"))
    with pytest.raises(Conflict, match="3 requests"):
        desk.reserve("r-4")


def test_promised_bytes_count(desk: Desk) -> None:
    desk.reserve("r-0", HELD_BYTES)
    with pytest.raises(Conflict, match="MiB"):
        desk.reserve("r-1", 1)


def test_the_votes_of_a_revoked_approver_are_lost(desk: Desk) -> None:
    request = make_request("r-1", approvals=2)
    submit(desk, request)
    desk.vote(make_vote(request, "ana"), 1.0)
    assert desk.disown("ana") == (["r-1"], [])
    assert desk.vote(make_vote(request, "ben"), 2.0) is None
    assert desk.vote(make_vote(request, "cas"), 3.0) is not None


@pytest.mark.parametrize("waited_for", [True, False])
def test_an_approval_of_a_revoked_approver_is_void_until_it_is_used(desk: Desk, waited_for: bool) -> None:
    request = make_request("r-1")
    submit(desk, request)
    desk.vote(make_vote(request, "ana"), 1.0)
    if not waited_for:
        desk.detach("r-1", "s-1", 2.0)
    assert desk.disown("ben") == ([], [])
    assert desk.disown("ana") == ([], ["r-1"])
    assert desk.claim(request.likeness, "s-2", 3.0) is None
    assert not desk.take("r-1", "s-1")
    assert desk.disown("ana") == ([], [])


def test_a_denial_stands_whoever_denied(desk: Desk) -> None:
    request = make_request("r-1")
    submit(desk, request)
    desk.vote(make_vote(request, "ana", Choice.DENY), 1.0)
    assert desk.disown("ana") == ([], [])
    assert desk.get("r-1").state is State.DENIED


def test_what_is_left_behind(desk: Desk) -> None:
    for number, session in enumerate(("s-1", "", "")):
        submit(desk, make_request(f"r-{number}", command=b"%d" % number), session)
    desk.vote(make_vote(desk.get("r-2").request), 1.0)
    assert [each.request.id for each in desk.left_behind()] == ["r-1", "r-2"]
    desk.take("r-2", "")
    assert [each.request.id for each in desk.left_behind()] == ["r-1"]


def test_thousands_that_nobody_came_for_cost_nothing(desk: Desk) -> None:
    """Approvals whose tickets run: what a new request asks of the desk looks at none of them."""
    for number in range(2000):
        request = make_request(f"r-{number}", command=b"%d" % number)
        submit(desk, request, "")
        desk.vote(make_vote(request), 1.0)
    assert desk.next_deadline() == 1.0 + TICKET
    assert desk.held() == []
    assert [each.request.id for each in desk._open.alike(desk.get("r-7").request.likeness)] == ["r-7"]
    assert desk.expire(TICKET) == []
    assert len(desk.left_behind()) == 2000
    desk.expire(1.0 + TICKET)
    assert desk.left_behind() == []
    assert desk.next_deadline() is None


def test_what_is_not_there_is_not_found(desk: Desk) -> None:
    with pytest.raises(NotFound):
        desk.get("r-9")


class DeskMachine(RuleBasedStateMachine):
    """Votes, expiry, withdrawal, detaching, claiming and taking in any order."""

    requests = Bundle("requests")

    def __init__(self) -> None:
        super().__init__()
        self.desk = Desk(ticket=TICKET, limit=1000)
        self.now = 0.0
        self.made: dict[str, Request] = {}
        self.decided: dict[str, State] = {}
        self.taken: dict[str, int] = {}
        self.approvals: dict[str, set[str]] = {}
        self.denials: set[str] = set()

    @rule(target=requests, command=st.sampled_from([b"id", b"rm"]), approvals=st.integers(1, 3))
    def submit(self, command: bytes, approvals: int) -> str:
        name = f"r-{len(self.made)}"
        request = make_request(name, command=command, approvals=approvals)
        self.made[name] = request
        self.approvals[name] = set()
        self.desk.submit(request, session=f"s-{name}", now=self.now, timeout=TIMEOUT)
        return name

    def note(self, name: str, state: State) -> None:
        assert name not in self.decided, "decided twice"
        self.decided[name] = state

    @rule(name=requests, by=st.sampled_from(["ana", "ben", "cleo", "agent-7"]), choice=st.sampled_from(list(Choice)))
    def vote(self, name: str, by: str, choice: Choice) -> None:
        try:
            decision = self.desk.vote(make_vote(self.made[name], by, choice), self.now)
        except (Conflict, NotAllowed, NotFound):
            return
        assert by != "agent-7"
        if choice is Choice.DENY:
            self.denials.add(name)
        else:
            self.approvals[name].add(by)
        if decision is not None:
            self.note(name, decision.state)

    @rule(seconds=st.sampled_from([0.5, 30.0, 61.0, 601.0]))
    def wait(self, seconds: float) -> None:
        self.now += seconds
        for decision in self.desk.expire(self.now):
            assert decision.state is State.EXPIRED
            self.note(decision.request, decision.state)

    @rule(name=requests)
    def withdraw(self, name: str) -> None:
        try:
            decision = self.desk.withdraw(name, "taken back", self.now)
        except NotFound:
            return
        if decision is not None:
            self.note(name, decision.state)

    @rule(name=requests, session=st.sampled_from(["own", "s-late", "s-other"]))
    def detach(self, name: str, session: str) -> None:
        if name in self.desk:
            self.desk.detach(name, f"s-{name}" if session == "own" else session, self.now)

    @rule(name=requests, session=st.sampled_from(["s-late", "s-other"]))
    def claim(self, name: str, session: str) -> None:
        pending = self.desk.claim(self.made[name].likeness, session, self.now)
        if pending is not None:
            assert pending.request.likeness == self.made[name].likeness
            assert pending.state in (State.HELD, State.APPROVED)

    @rule(name=requests, session=st.sampled_from(["own", "s-late", "s-other"]))
    def take(self, name: str, session: str) -> None:
        if name not in self.desk:
            return
        if self.desk.take(name, f"s-{name}" if session == "own" else session):
            self.taken[name] = self.taken.get(name, 0) + 1

    @rule(name=requests)
    def forget(self, name: str) -> None:
        if name in self.desk:
            self.desk.forget(name)

    @invariant()
    def what_is_filed_is_what_one_finds_by_looking_at_all(self) -> None:
        every = list(self.desk._pending.values())
        held = [each for each in every if each.state is State.HELD]
        usable = [each for each in every if each.state is State.APPROVED and not each.used]
        assert self.desk.held() == held
        assert {each.request.id for each in self.desk.left_behind()} == {
            each.request.id for each in (*held, *usable) if not each.session
        }
        ends = [each.deadline for each in held] + [each.void_after for each in usable if not each.session]
        assert self.desk.next_deadline() == min(ends, default=None)
        for likeness in {each.request.likeness for each in every}:
            alike = [each.request.id for each in (*held, *usable) if each.request.likeness == likeness]
            assert {each.request.id for each in self.desk._open.alike(likeness)} == set(alike)

    @invariant()
    def used_at_most_once_and_only_when_enough_people_said_so(self) -> None:
        for name, times in self.taken.items():
            assert times == 1
            assert self.decided[name] is State.APPROVED
        for name, state in self.decided.items():
            if state is State.APPROVED:
                assert len(self.approvals[name]) >= self.made[name].approvals
                assert name not in self.denials


TestDeskMachine = DeskMachine.TestCase
TestDeskMachine.settings = settings(max_examples=200, stateful_step_count=40, deadline=None)


@pytest.mark.parametrize(
    ("votes", "granted"),
    [
        ([(None, 0), (None, 0)], (None, 0)),
        ([(TtyMode.RAW, 60), (TtyMode.RAW, 30)], (TtyMode.RAW, 30)),
        ([(TtyMode.RAW, 60), (None, 0)], (TtyMode.LINE, 60)),
        ([(TtyMode.RAW, 0), (TtyMode.NONE, 0)], (TtyMode.NONE, 0)),
        ([(TtyMode.LINE, 0), (TtyMode.VIEW, 9)], (TtyMode.VIEW, 9)),
    ],
)
def test_several_approvers_grant_the_narrowest_mode(
    votes: list[tuple[TtyMode | None, int]], granted: tuple[TtyMode | None, int]
) -> None:
    desk = Desk(ticket=TICKET, limit=10)
    request = dataclasses.replace(
        make_request("r-1", approvals=2), kind=RequestKind.LINE, mode=TtyMode.LINE, sequence=1
    )
    submit(desk, request)
    decision = None
    for by, (mode, seconds) in zip(("ana", "ben"), votes, strict=True):
        decision = desk.vote(dataclasses.replace(make_vote(request, by), mode=mode, seconds=seconds), 1.0)
    assert decision is not None
    assert (decision.mode, decision.seconds) == granted


def edited(name: str, of: Request) -> Request:
    """What an approver made of it."""
    return dataclasses.replace(
        make_request(name, command=b"edited"), author="ana", edits=of.id, answers=of.answers or of.likeness
    )


def test_an_edit_takes_the_place_with_client_end_and_time(desk: Desk) -> None:
    request = make_request("r-1")
    submit(desk, request, now=5.0)
    pending = desk.begin_edit("r-1", 6.0)
    assert pending.editing
    with pytest.raises(Conflict, match="being edited"):
        desk.vote(make_vote(request), 6.0)
    with pytest.raises(Conflict, match="being edited"):
        desk.begin_edit("r-1", 6.0)
    assert desk.expire(5.0 + TIMEOUT) == []  # not while it is on its way
    new = desk.replace("r-1", edited("r-2", request), "why", 7.0)
    assert (new.session, new.held_since, new.deadline) == ("s-1", 5.0, 5.0 + TIMEOUT)
    assert desk.get("r-1").state is State.WITHDRAWN
    assert desk.latest("r-1") == desk.latest("r-2") == "r-2"
    assert [decision.request for decision in desk.expire(5.0 + TIMEOUT)] == ["r-2"]


def test_nothing_came_of_an_edit(desk: Desk) -> None:
    submit(desk, make_request("r-1"))
    desk.begin_edit("r-1", 1.0)
    desk.end_edit("r-1")
    decision = desk.vote(make_vote(make_request("r-1")), 2.0)
    assert decision is not None


@pytest.mark.parametrize("now", [TIMEOUT, TIMEOUT + 1])
def test_what_is_over_is_not_edited(desk: Desk, now: float) -> None:
    submit(desk, make_request("r-1"))
    with pytest.raises(Conflict, match="expired"):
        desk.begin_edit("r-1", now)


def test_who_asks_for_the_old_one_gets_the_edited_one(desk: Desk) -> None:
    request = make_request("r-1")
    submit(desk, request)
    desk.detach("r-1", "s-1", 1.0)
    desk.begin_edit("r-1", 2.0)
    made = edited("r-2", request)
    desk.replace("r-1", made, "why", 2.0)
    assert desk.vote(make_vote(made, "ben"), 3.0) is not None
    claimed = desk.claim(request.likeness, "s-2", 4.0)
    assert claimed is not None
    assert claimed.request.id == "r-2"
    assert desk.take("r-2", "s-2")
    assert desk.claim(request.likeness, "s-3", 5.0) is None


def test_groups_that_wait_for_absence_do_not_wait_for_time() -> None:
    desk = group_desk()
    request = dataclasses.replace(make_request("r-1"), approvers=("dba",), escalation=((0, "boss"), (30, "sre")))
    submit(desk, request)
    assert desk.next_deadline() == 30
    assert [group for _, group in desk.escalate(29.0)] == []
    with pytest.raises(NotAllowed):
        desk.vote(make_vote(request, "dan"), 1.0)
    assert desk.escalate_absent("r-1") == ["boss"]
    assert desk.escalate_absent("r-1") == []
    assert desk.vote(make_vote(request, "dan"), 2.0) is not None
