"""The desk: each request decided exactly once, each approval used at most once, whatever the order."""

from __future__ import annotations

import dataclasses

import pytest

from bastion.desk import HELD_BYTES, Desk
from bastion.errors import Conflict, NotAllowed, NotFound, UsageError
from bastion.model import Choice, Request, RequestKind, State, TtyMode, Vote
from tests.bastion.desks import TICKET, TIMEOUT, make_request, make_vote, submit


@pytest.fixture
def desk() -> Desk:
    return Desk(ticket=TICKET, limit=3)


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
