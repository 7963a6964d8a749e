"""tui/deciding.py: every check between a key and a vote."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from bastion.control import wire
from bastion.model import Choice
from tui import deciding, outcomes
from tui.guard import ARMED, CHANGED, HASTY
from tui.order import Pane
from tui.outcomes import Ask, AskKill, AskReason, Cast, Refused
from tui.samples import NOW, request, session, vote
from tui.view import View

T = 100.0
"""Long after everything has settled."""


def shown(read: int = 100, **fields: Any) -> View:
    """A view that displays one request whose text has 100 characters, of which the first `read` were on the screen."""
    view = View()
    view.apply(wire.RequestChanged(request=request(**fields)), 0.0, NOW)
    view.apply(wire.SessionChanged(session=session()), 0.0)
    item = view.items["r-7f3a0c11"]
    view.totals[item.digest] = 100
    if read:
        view.saw(item.digest, 0, read)
    return view


def refused(outcome: outcomes.Outcome) -> str:
    assert isinstance(outcome, Refused), outcome
    return outcome.words


@pytest.mark.parametrize("tier", ["low", "medium"])
def test_one_key_approves_what_is_rated_low_or_medium_and_was_read(tier: str) -> None:
    view = shown(tier=tier)
    outcome = deciding.approve(view, "ana", T)
    assert outcome == Cast(view.items["r-7f3a0c11"].info, Choice.APPROVE)


@pytest.mark.parametrize("tier", ["high", "unrated"])
def test_high_and_unrated_need_a_second_key(tier: str) -> None:
    view = shown(tier=tier)
    assert isinstance(deciding.approve(view, "ana", T), Ask)
    assert isinstance(deciding.approve(view, "ana", T + 1), Ask)
    assert deciding.confirm(view, "ana", T + 2) == Cast(view.items["r-7f3a0c11"].info, Choice.APPROVE)
    assert refused(deciding.confirm(view, "ana", T + 3)) == "nothing to confirm"


def test_the_second_key_comes_in_time() -> None:
    view = shown(tier="high")
    deciding.approve(view, "ana", T)
    assert "nothing to confirm" in refused(deciding.confirm(view, "ana", T + ARMED))


def test_the_second_key_alone_does_nothing() -> None:
    assert "nothing to confirm" in refused(deciding.confirm(shown(tier="high"), "ana", T))


def test_the_second_key_does_not_count_after_a_move() -> None:
    view = shown(tier="high")
    view.apply(wire.RequestChanged(request=request("r-2", tier="high", age=1)), 1.0)
    deciding.approve(view, "ana", T)
    view.move(1, T + 1)
    view.move(-1, T + 2)
    assert "nothing to confirm" in refused(deciding.confirm(view, "ana", T + 3))


@pytest.mark.parametrize("read", [0, 1, 99])
def test_the_end_of_the_text_must_have_been_on_the_screen(read: int) -> None:
    assert "read on" in refused(deciding.approve(shown(read), "ana", T))


def test_a_request_that_was_not_laid_out_yet_cannot_be_approved() -> None:
    view = shown()
    view.totals.clear()
    assert "read on" in refused(deciding.approve(view, "ana", T))


def test_jumping_over_parts_needs_a_second_key_and_says_how_much() -> None:
    view = shown(40, tier="low")
    view.saw(view.items["r-7f3a0c11"].digest, 90, 100)
    outcome = deciding.approve(view, "ana", T)
    assert isinstance(outcome, Ask)
    assert "50 characters" in outcome.why


def test_denying_needs_no_reading() -> None:
    view = shown(0)
    outcome = deciding.deny(view, "ana", T)
    assert isinstance(outcome, AskReason)
    assert deciding.denial(view, outcome.item, "ana") == Cast(view.items["r-7f3a0c11"].info, Choice.DENY)


KEYS = [deciding.approve, deciding.confirm, deciding.deny]


@pytest.mark.parametrize("key", KEYS)
def test_nothing_counts_within_700_ms_of_a_change(key: Any) -> None:
    view = shown(tier="high")
    deciding.approve(view, "ana", T)
    view.apply(wire.RequestChanged(request=request(tier="high", votes=[vote("bob")], approvals=1)), T + 1)
    assert refused(key(view, "ana", T + 1.699)) == CHANGED


@pytest.mark.parametrize("key", [deciding.approve, deciding.confirm, deciding.kill])
def test_nothing_counts_in_a_paste(key: Any) -> None:
    view = shown()
    view.guard.pressed(T)
    view.guard.pressed(T + 0.01)
    assert refused(key(view, "ana", T + 0.01)) == HASTY


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("state", ["approved", "denied", "expired", "withdrawn", "refused", "odd"])
def test_what_ended_cannot_be_decided(key: Any, state: str) -> None:
    view = shown()
    view.apply(wire.RequestChanged(request=request(state=state, decided=NOW)), T)
    assert "too late" in refused(key(view, "ana", T + 10))


@pytest.mark.parametrize("key", KEYS)
def test_what_was_tampered_with_cannot_be_decided(key: Any) -> None:
    view = View()
    bad = msgspec.structs.replace(request(), command=b"rm -rf /")
    view.apply(wire.RequestChanged(request=bad), 0.0)
    assert "TAMPERED" in refused(key(view, "ana", T))


@pytest.mark.parametrize("key", KEYS)
def test_what_changes_after_it_was_shown_cannot_be_decided(key: Any) -> None:
    view = shown()
    view.apply(wire.RequestChanged(request=request(command=b"rm -rf /")), 1.0)
    assert "TAMPERED" in refused(key(view, "ana", T))


@pytest.mark.parametrize("key", KEYS)
def test_nothing_is_decided_while_not_connected(key: Any) -> None:
    assert "not connected" in refused(key(shown(), "", T))


@pytest.mark.parametrize("key", KEYS)
def test_one_vote_at_a_time(key: Any) -> None:
    view = shown()
    view.voting = frozenset({"r-7f3a0c11"})
    assert "under way" in refused(key(view, "ana", T))


@pytest.mark.parametrize("key", KEYS)
def test_what_is_gone_cannot_be_decided(key: Any) -> None:
    view = shown()
    view.gone("r-7f3a0c11", 1.0)
    assert "does not know" in refused(key(view, "ana", T))


@pytest.mark.parametrize("key", KEYS)
def test_a_session_or_nothing_cannot_be_decided(key: Any) -> None:
    view = shown()
    view.show(Pane.SESSIONS, 1.0)
    assert refused(key(view, "ana", T)) == "no request is selected"
    assert refused(key(View(), "ana", T)) == "no request is selected"


def test_nobody_approves_twice() -> None:
    view = shown(approvals=2, votes=[vote("ana")])
    assert "1 other person" in refused(deciding.approve(view, "ana", T))
    assert isinstance(deciding.approve(view, "bob", T), Cast)


def test_a_denial_is_checked_again_when_it_is_sent() -> None:
    view = shown()
    outcome = deciding.deny(view, "ana", T)
    assert isinstance(outcome, AskReason)
    view.apply(wire.RequestChanged(request=request(state="expired")), T + 1)
    assert "too late" in refused(deciding.denial(view, outcome.item, "ana"))


def test_a_denial_is_for_what_the_dialog_was_opened_for() -> None:
    view = shown()
    outcome = deciding.deny(view, "ana", T)
    assert isinstance(outcome, AskReason)
    view.apply(wire.RequestChanged(request=request("r-2", age=1)), T + 1)
    view.move(1, T + 2)
    sent = deciding.denial(view, outcome.item, "ana")
    assert isinstance(sent, Cast)
    assert sent.info.id == "r-7f3a0c11"


def test_kill() -> None:
    view = shown()
    assert deciding.kill(view, "ana", T) == AskKill(session())
    view.show(Pane.SESSIONS, T + 1)
    assert deciding.kill(view, "ana", T + 1) == AskKill(session())
    assert "not connected" in refused(deciding.kill(view, "", T + 1))
    view.apply(wire.SessionChanged(session=session(closed=NOW)), T + 2)
    assert refused(deciding.kill(view, "ana", T + 2.1)) == CHANGED
    assert "over already" in refused(deciding.kill(view, "ana", T + 3))
    assert refused(deciding.kill(View(), "ana", T)) == "no session is selected"
