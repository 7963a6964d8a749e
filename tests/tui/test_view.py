"""tui/view.py: the rules of its theory of operation, as a state machine and one by one."""

from __future__ import annotations

import time
from typing import Any

import msgspec
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from bastion.control import wire
from bastion.model import Choice
from tui import deciding, outcomes
from tui.guard import SETTLE
from tui.items import Item
from tui.order import Order, Pane
from tui.samples import NOW, S, request, session, vote
from tui.view import DECIDED_LIMIT, SESSIONS_LIMIT, Change, View

IDS = [f"r-{number:08x}" for number in range(6)]
SESSIONS = [f"s-{number:016x}" for number in range(3)]
ENDINGS: list[dict[str, Any]] = [
    {"state": "approved", "votes": [vote("bob")], "decided": NOW},
    {"state": "denied", "votes": [vote("bob", "deny")], "decided": NOW + 1, "decision_reason": "no"},
    {"state": "expired", "decided": NOW + 2},
    {"state": "withdrawn", "decided": NOW + 3},
]
FILTERS = ["", "web", "agent:a", "-agent:a", "nothing matches this"]


def changed(info: wire.RequestInfo) -> wire.RequestChanged:
    return wire.RequestChanged(request=info)


class Console(RuleBasedStateMachine):
    """The bastion says anything in any order, a person does anything: the rules hold all the time."""

    def __init__(self) -> None:
        super().__init__()
        self.view = View()
        self.now = 1000.0
        self.sent: dict[str, wire.RequestInfo] = {}
        self.ended: set[str] = set()
        self.unasked = -1000.0
        """When what is displayed last changed without the person."""

    def by_itself(self, act: Any) -> None:
        """The bastion does something: no selection moves, but into an empty pane, and the guard knows of changes."""
        before = {pane: self.view.selected(pane) for pane in Pane}
        shown = self.view.current
        act()
        for pane in Pane:
            assert self.view.selected(pane) == before[pane] or not before[pane]
        if isinstance(self.view.current, Item) and self.view.current != shown:
            self.unasked = self.now

    @rule(seconds=st.sampled_from([0.01, 0.1, 0.4, 0.71, 3.0]))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds

    @rule(
        id=st.sampled_from(IDS),
        agent=st.sampled_from("ab"),
        age=st.integers(0, 40),
        tier=st.sampled_from(["low", "medium", "high", "unrated"]),
    )
    def a_request_comes(self, id: str, agent: str, age: int, tier: str) -> None:
        if id not in self.sent:
            self.sent[id] = request(id, identity=agent, age=age, tier=tier)
        self.by_itself(lambda: self.view.apply(changed(self.sent[id]), self.now, NOW))

    @precondition(lambda self: self.sent)
    @rule(data=st.data(), ending=st.sampled_from(ENDINGS))
    def a_request_ends(self, data: st.DataObject, ending: dict[str, Any]) -> None:
        id = data.draw(st.sampled_from(sorted(self.sent)))
        if id not in self.ended:
            self.ended.add(id)
            self.sent[id] = msgspec.structs.replace(self.sent[id], **ending)
        self.by_itself(lambda: self.view.apply(changed(self.sent[id]), self.now, NOW))

    @precondition(lambda self: self.sent)
    @rule(data=st.data())
    def old_news_comes_late(self, data: st.DataObject) -> None:
        id = data.draw(st.sampled_from(sorted(self.sent)))
        old = msgspec.structs.replace(self.sent[id], state="held", votes=[], decided=0, decision_reason="")
        self.by_itself(lambda: self.view.apply(changed(old), self.now))

    @precondition(lambda self: self.sent)
    @rule(data=st.data())
    def somebody_else_votes(self, data: st.DataObject) -> None:
        id = data.draw(st.sampled_from(sorted(self.sent)))
        if id not in self.ended:
            self.sent[id] = msgspec.structs.replace(self.sent[id], votes=[*self.sent[id].votes, vote("eve")])
            self.by_itself(lambda: self.view.apply(changed(self.sent[id]), self.now))

    @rule(id=st.sampled_from(SESSIONS), closed=st.booleans())
    def a_session_changes(self, id: str, closed: bool) -> None:
        info = session(id, closed=NOW if closed else 0)
        self.by_itself(lambda: self.view.apply(wire.SessionChanged(session=info), self.now))

    @rule(data=st.data())
    def connected_anew(self, data: st.DataObject) -> None:
        told = data.draw(st.sets(st.sampled_from(sorted(self.sent)))) if self.sent else set()
        held_before = {item.id for item in self.view.held}
        missing: list[str] = []
        infos = [self.sent[id] for id in told]
        self.by_itself(lambda: missing.extend(self.view.snapshot(infos, [], self.now)[1]))
        assert set(missing) == held_before - told
        self.unasked = self.now
        for id in missing:
            self.by_itself(lambda id=id: self.view.gone(id, self.now))

    @rule(steps=st.sampled_from([-5, -1, 1, 5]))
    def person_moves(self, steps: int) -> None:
        self.view.move(steps, self.now)

    @rule(pane=st.sampled_from(Pane))
    def person_goes_to_a_pane(self, pane: Pane) -> None:
        self.view.show(pane, self.now)

    @rule(text=st.sampled_from(FILTERS))
    def person_filters(self, text: str) -> None:
        self.view.set_filter(text, self.now)

    @rule()
    def person_orders(self) -> None:
        chosen = self.view.selected(Pane.QUEUE)
        self.view.cycle_order(self.now)
        assert self.view.selected(Pane.QUEUE) == chosen

    @rule(key=st.sampled_from([deciding.approve, deciding.confirm, deciding.deny]))
    def person_decides(self, key: Any) -> None:
        shown = self.view.current
        if isinstance(shown, Item):  # it is displayed in full
            self.view.totals[shown.digest] = 10
            self.view.saw(shown.digest, 0, 10)
        self.view.guard.pressed(self.now)
        outcome = key(self.view, "ana", self.now)
        if isinstance(outcome, outcomes.Refused):
            return
        assert isinstance(shown, Item)
        assert shown.held
        assert self.now - self.unasked >= SETTLE
        match outcome:
            case outcomes.Cast(info=info, choice=choice):
                assert info is shown.info
                assert info.to_model().digest == shown.digest
                assert choice is Choice.APPROVE
                assert key is deciding.confirm or info.tier in ("low", "medium")
            case outcomes.Ask(item=item) | outcomes.AskReason(item=item):
                assert item is shown

    @invariant()
    def rows_are_what_they_should_be(self) -> None:
        view = self.view
        queue = view.rows(Pane.QUEUE)
        assert len(set(queue)) == len(queue)
        tombstones = [row for row in queue if not view.items[row].held]
        assert tombstones in ([], [view.selected(Pane.QUEUE)])
        for pane in Pane:
            chosen = view.selected(pane)
            assert not chosen or chosen in view.rows(pane)
            assert chosen or pane is not view.pane or not view.rows(pane)
        shown = {row for row in queue if view.items[row].held}
        assert len(shown) + view.hidden - len([row for row in shown if _hides(view, row)]) == len(view.held)

    @invariant()
    def what_ended_stays_ended(self) -> None:
        for id in self.ended:
            assert id not in self.view.items or not self.view.items[id].held


def _hides(view: View, row: str) -> bool:
    """The filter would hide this row, were it not selected."""
    from tui.order import matches

    return not matches(view.items[row], view.filter)


TestConsole = Console.TestCase
TestConsole.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)


def full(*infos: wire.RequestInfo) -> View:
    view = View()
    for info in infos:
        view.apply(changed(info), 0.0, NOW)
    return view


def test_a_new_request_is_new_once() -> None:
    view = View()
    info = request()
    assert view.apply(changed(info), 1.0, NOW).new == (info.id,)
    assert view.apply(changed(info), 2.0, NOW).new == ()
    assert view.apply(changed(request("r-2", state="denied")), 3.0, NOW).new == ()


def test_a_new_connection_is_a_change_by_itself_even_where_nothing_changed() -> None:
    view = full(request("r-1"))
    view.snapshot([request("r-1")], [], 10.0)
    assert view.guard.refusal(10.0 + SETTLE - 0.01) != ""
    assert view.guard.refusal(10.0 + SETTLE + 0.01) == ""


def test_a_tombstone_stays_until_the_person_moves() -> None:
    view = full(request("r-1", age=9), request("r-2", age=8), request("r-3", age=7))
    view.move(1, 10.0)
    assert view.selected(Pane.QUEUE) == "r-2"
    view.apply(changed(request("r-2", age=8, state="expired", decided=NOW)), 20.0)
    assert view.rows(Pane.QUEUE) == ("r-1", "r-2", "r-3")
    assert view.selected(Pane.QUEUE) == "r-2"
    view.move(1, 30.0)
    assert view.selected(Pane.QUEUE) == "r-3"
    assert view.rows(Pane.QUEUE) == ("r-1", "r-3")


def test_a_lone_tombstone_can_be_left() -> None:
    view = full(request("r-1"))
    view.apply(changed(request("r-1", state="expired")), 1.0)
    assert view.rows(Pane.QUEUE) == ("r-1",)
    view.move(1, 2.0)
    assert view.rows(Pane.QUEUE) == ()
    assert view.current is None


def test_a_pane_selects_when_the_person_comes_to_it() -> None:
    """Not before: its first row of long ago would not be its first row any more."""
    view = View()
    view.apply(wire.SessionChanged(session=session("s-1", opened=1)), 0.0)
    assert view.selected(Pane.SESSIONS) == ""
    view.apply(wire.SessionChanged(session=session("s-2", opened=2)), 1.0)
    view.show(Pane.SESSIONS, 10.0)
    assert view.selected(Pane.SESSIONS) == "s-2"
    view.move(1, 11.0)
    view.show(Pane.QUEUE, 12.0)
    view.show(Pane.SESSIONS, 13.0)
    assert view.selected(Pane.SESSIONS) == "s-1"


def test_orders() -> None:
    view = full(
        request("r-1", age=1, tier="low", score=3),
        request("r-2", age=9, tier="high", score=70, window=300),
        request("r-3", age=5, tier="high", score=90),
        request("r-4", age=3, tier="unrated", score=None),
    )
    assert view.order is Order.URGENT
    assert view.rows(Pane.QUEUE) == ("r-3", "r-4", "r-1", "r-2")
    view.cycle_order(1.0)
    assert view.rows(Pane.QUEUE) == ("r-3", "r-2", "r-4", "r-1")
    view.cycle_order(2.0)
    assert view.rows(Pane.QUEUE) == ("r-1", "r-4", "r-3", "r-2")


def test_decided_keeps_its_limit_and_what_is_selected() -> None:
    view = View()
    for number in range(DECIDED_LIMIT + 20):
        view.apply(changed(request(f"r-{number:08x}", state="denied", decided=NOW + number)), 0.0)
        if number == 5:
            view.select(Pane.DECIDED, "r-00000003", 1.0)
    rows = view.rows(Pane.DECIDED)
    assert len(rows) == DECIDED_LIMIT + 1
    assert rows[-1] == "r-00000003" == view.selected(Pane.DECIDED)


def test_open_sessions_are_never_forgotten() -> None:
    view = View()
    for number in range(SESSIONS_LIMIT + 20):
        view.apply(wire.SessionChanged(session=session(f"s-{number}", closed=NOW + number, opened=number)), 0.0)
        view.apply(wire.SessionChanged(session=session(f"o-{number}", opened=number)), 0.0)
    ids = view.rows(Pane.SESSIONS)
    assert sum(id.startswith("o-") for id in ids) == SESSIONS_LIMIT + 20
    assert SESSIONS_LIMIT <= sum(id.startswith("s-") for id in ids) <= SESSIONS_LIMIT + 1


def test_a_closed_session_does_not_open_again() -> None:
    view = View()
    view.apply(wire.SessionChanged(session=session(closed=NOW)), 0.0)
    view.apply(wire.SessionChanged(session=session()), 0.0)
    assert view.sessions[session().id].closed == NOW


def test_countdowns_follow_the_bastions_clock() -> None:
    """Our clock is 40 s ahead: a fresh request tells. A second or two of difference is left alone."""
    view = View()
    assert view.daemon_time(NOW) == NOW
    view.apply(changed(request("r-1", age=0)), 0.0, NOW + 40 * S)
    assert view.daemon_time(NOW + 50 * S) == NOW + 10 * S
    near = View()
    near.apply(changed(request("r-1", age=0)), 0.0, NOW + 1 * S)
    assert near.daemon_time(NOW) == NOW


def test_a_session_that_only_counts_up_holds_no_key_back() -> None:
    view = View()
    view.apply(wire.SessionChanged(session=session(output_bytes=1)), 0.0)
    view.show(Pane.SESSIONS, 10.0)
    view.apply(wire.SessionChanged(session=session(output_bytes=2)), 20.0)
    assert view.guard.refusal(20.1) == ""
    view.apply(wire.SessionChanged(session=session(closed=NOW)), 30.0)
    assert view.guard.refusal(30.1) != ""


def test_a_thousand_held_requests_and_a_flood_leave_the_selection_and_take_little_time() -> None:
    view = full(*(request(f"r-{number:08x}", age=number % 50) for number in range(1000)))
    view.select(Pane.QUEUE, "r-0000002a", 1.0)
    began = time.process_time()
    for number in range(100):
        view.apply(changed(request(f"r-f{number:07x}", age=0)), 2.0, NOW)
        view.rows(Pane.QUEUE)
    assert view.selected(Pane.QUEUE) == "r-0000002a"
    assert time.process_time() - began < 1.0


def test_what_concerns_nobody_changes_nothing() -> None:
    view = full(request("r-1"))
    before = (view.rows(Pane.QUEUE), view.selected(Pane.QUEUE), view.pane)
    frame = wire.FrameInfo(at=0, kind="output", data=b"x")
    assert view.apply(wire.SessionOutput(session="s-1", frame=frame), 1.0) == Change()
    view.select(Pane.DECIDED, "r-unknown", 2.0)
    view.gone("r-unknown", 3.0)
    view.move(5, 4.0)
    assert (view.rows(Pane.QUEUE), view.selected(Pane.QUEUE), view.pane) == before


def test_the_filter_hides_but_never_what_is_counted() -> None:
    view = full(request("r-1", identity="a"), request("r-2", identity="b"))
    view.set_filter("agent:b", 1.0)
    assert view.rows(Pane.QUEUE) == ("r-2",)
    assert view.selected(Pane.QUEUE) == "r-2"
    assert (len(view.held), view.hidden) == (2, 1)
    assert view.apply(changed(request("r-3", identity="a")), 2.0, NOW).new == ("r-3",)
    assert view.hidden == 2
    view.set_filter("", 3.0)
    assert view.hidden == 0
    assert view.selected(Pane.QUEUE) == "r-2"
