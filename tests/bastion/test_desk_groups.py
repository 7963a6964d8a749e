"""Groups at the desk: whose approval counts, and who is asked next when nobody answers."""

from __future__ import annotations

import dataclasses

import pytest

from bastion.desk import Desk
from bastion.errors import NotAllowed
from bastion.model import Choice, State
from tests.bastion.desks import TICKET, make_request, make_vote, submit

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
