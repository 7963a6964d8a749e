"""The desk in any order: votes, expiry, withdrawal, detaching, claiming and taking, as hypothesis thinks them up."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, rule

from bastion.desk import Desk
from bastion.errors import Conflict, NotAllowed, NotFound
from bastion.model import Choice, Request, State
from tests.bastion.desks import TICKET, TIMEOUT, make_request, make_vote


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
