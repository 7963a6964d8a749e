"""What a killed daemon left open gets its end, once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from bastion import audit
from bastion.audit import Audit, Draft
from bastion.history import Left, info_of
from bastion.model import Choice, RequestKind, State, Verdict, Vote
from bastion.policy.judge import Judgement
from bastion.recovery import take_up
from recorder.keys import LedgerKey
from recorder.ledger import Ledger
from recorder.reader import Reader
from tests.support.requests import REQUEST

WAITING = replace(REQUEST, id="r-1", approvals=2)
START = Draft("daemon.started", audit.DAEMON, {})
OPENED = audit.session_opened("s-1", "agent-7", "SHA256:x", "web-1", "deploy", "127.0.0.1:1")
PROPOSED = audit.proposed(WAITING, Judgement(Verdict.HOLD, WAITING.digest, "default", ""))


def vote(by: str, choice: Choice = Choice.APPROVE) -> Draft:
    return audit.voted(WAITING, Vote("r-1", WAITING.digest, choice, by, "because", "signature"), b"{}", "")


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    made = Ledger.create(tmp_path / "store", host="bastion.example", key=LedgerKey.generate())
    yield made
    made.close()


LATER = 61_000_000
"""A second after the request's end, by the clock that `now` is of."""


async def recovered(ledger: Ledger, tmp_path: Path, *drafts: Draft, now: int = LATER) -> list[tuple[str, str]]:
    """(type, session or request) of what recovery writes after these; a second time it writes nothing."""
    if drafts:
        ledger.append(*drafts).result()
    with Reader.open(tmp_path / "store") as reader:
        before = reader.size()
        await take_up(reader, Audit(ledger), now=now, ticket=0)
        written = [(entry.type, entry.request or entry.session) for entry in reader.entries(after=before - 1)]
        size = reader.size()
        await take_up(reader, Audit(ledger), now=now, ticket=0)
        assert reader.size() == size
    return written


async def test_nothing_open_nothing_written(ledger: Ledger, tmp_path: Path) -> None:
    assert await recovered(ledger, tmp_path) == []
    assert await recovered(ledger, tmp_path, START, OPENED, audit.session_closed("s-1", "exit 0")) == []


async def test_a_held_request_is_withdrawn_and_its_session_interrupted(ledger: Ledger, tmp_path: Path) -> None:
    written = await recovered(ledger, tmp_path, START, OPENED, PROPOSED)
    assert written == [("request.decided", "r-1"), ("session.interrupted", "s-1")]


async def test_one_approval_of_two_leaves_it_undecided(ledger: Ledger, tmp_path: Path) -> None:
    written = await recovered(ledger, tmp_path, START, OPENED, PROPOSED, vote("ana"))
    assert ("request.decided", "r-1") in written


@pytest.mark.parametrize("votes", [[vote("ana"), vote("ben")], [vote("ana", Choice.DENY)]], ids=["approved", "denied"])
async def test_what_was_decided_stays_so(ledger: Ledger, tmp_path: Path, votes: list[Draft]) -> None:
    assert await recovered(ledger, tmp_path, START, OPENED, PROPOSED, *votes) == [("session.interrupted", "s-1")]


async def test_a_running_command_gets_an_end_that_claims_nothing(ledger: Ledger, tmp_path: Path) -> None:
    started = replace(audit.started(WAITING, "s-1", ""), cause=audit.CAUSE_PREVIOUS)
    written = await recovered(ledger, tmp_path, START, OPENED, PROPOSED, vote("ana"), vote("ben"), started)
    assert written == [("command.finished", "r-1"), ("session.interrupted", "s-1")]
    with Reader.open(tmp_path / "store") as reader:
        (entry,) = reader.entries(types=("command.finished",))
    assert entry.body["status"] is None
    assert "unknown" in entry.body["note"]


async def test_only_the_last_run_is_looked_at(ledger: Ledger, tmp_path: Path) -> None:
    assert await recovered(ledger, tmp_path, START, OPENED, START) == []


async def kept(ledger: Ledger, tmp_path: Path, *drafts: Draft, now: int, ticket: float = 600) -> list[Left]:
    """What goes back to the desk."""
    ledger.append(*drafts).result()
    with Reader.open(tmp_path / "store") as reader:
        return (await take_up(reader, Audit(ledger), now=now, ticket=ticket)).kept


async def test_held_in_time_goes_back_with_its_votes(ledger: Ledger, tmp_path: Path) -> None:
    (left,) = await kept(ledger, tmp_path, START, OPENED, PROPOSED, vote("ana"), now=59_000_000)
    assert left.info.to_model() == WAITING
    assert ([each.by for each in left.votes], left.grounds) == (["ana"], "")
    assert not left.info.attached


async def test_it_goes_back_at_the_start_after_that_too(ledger: Ledger, tmp_path: Path) -> None:
    (left,) = await kept(ledger, tmp_path, START, OPENED, PROPOSED, now=1)
    (again,) = await kept(ledger, tmp_path, START, audit.restored(left.info), now=2)
    assert again.info.to_model() == WAITING
    assert await kept(ledger, tmp_path, START, audit.restored(left.info), now=LATER) == []


async def test_an_unused_approval_goes_back_until_its_ticket_is_void(ledger: Ledger, tmp_path: Path) -> None:
    drafts = (START, OPENED, PROPOSED, vote("ana"), vote("ben"))
    ledger.append(*drafts).result()
    with Reader.open(tmp_path / "store") as reader:
        approved = next(entry for entry in reader.newest("request.decided"))
        edge = approved.t + 600_000_000
        (left,) = (await take_up(reader, Audit(ledger), now=edge - 1, ticket=600)).kept
        assert (left.grounds, left.decided) == (approved.leaf, approved.t)
        assert [each.by for each in left.votes] == ["ana", "ben"]
        assert (await take_up(reader, Audit(ledger), now=edge, ticket=600)).kept == []


async def test_a_used_approval_does_not(ledger: Ledger, tmp_path: Path) -> None:
    started = replace(audit.started(WAITING, "s-1", ""), cause=audit.CAUSE_PREVIOUS)
    drafts = (START, OPENED, PROPOSED, vote("ana"), vote("ben"), started)
    assert await kept(ledger, tmp_path, *drafts, now=1) == []


@pytest.mark.parametrize("kind", [RequestKind.LINE, RequestKind.STDIN, RequestKind.GRANT])
async def test_what_belongs_to_its_session_does_not(ledger: Ledger, tmp_path: Path, kind: RequestKind) -> None:
    made = replace(WAITING, kind=kind)
    proposed = audit.proposed(made, Judgement(Verdict.HOLD, made.digest, "default", ""))
    assert await kept(ledger, tmp_path, START, OPENED, proposed, now=1) == []
    with Reader.open(tmp_path / "store") as reader:
        assert next(reader.newest("request.decided")).body["choice"] == "withdrawn"


@pytest.mark.parametrize(
    ("kind", "now", "choice", "told"),
    [
        (RequestKind.EXEC, LATER, "expired", ["r-1"]),
        (RequestKind.EXEC, WAITING.expires, "expired", ["r-1"]),
        (RequestKind.EXEC, WAITING.expires - 1, "", []),
        (RequestKind.TRANSFER, LATER, "expired", ["r-1"]),
        (RequestKind.LINE, LATER, "withdrawn", []),
        (RequestKind.LINE, 1, "withdrawn", []),
    ],
)
async def test_time_that_ended_while_nobody_ran(
    ledger: Ledger, tmp_path: Path, kind: RequestKind, now: int, choice: str, told: list[str]
) -> None:
    """Whoever was told that it waits is to be told that it ended; what its session took with it is no such news."""
    request = replace(WAITING, kind=kind)
    proposed = audit.proposed(request, Judgement(Verdict.HOLD, request.digest, "default", ""))
    ledger.append(START, OPENED, proposed).result()
    with Reader.open(tmp_path / "store") as reader:
        taken = await take_up(reader, Audit(ledger), now=now, ticket=600)
        ends = [entry.body["choice"] for entry in reader.entries(types=("request.decided",))]
    assert (taken.expired, ends) == (told, [choice] if choice else [])


async def test_who_put_it_aside_did_so_for_good(ledger: Ledger, tmp_path: Path) -> None:
    info = audit.proposed(WAITING, Judgement(Verdict.HOLD, WAITING.digest, "default", ""))
    shown = info_of(WAITING, State.HELD, "")
    late = 2**53 - 1
    drafts = [
        audit.snoozed(shown, "ana", late), audit.snoozed(shown, "ben", late), audit.snoozed(shown, "ana", 0),
        audit.snoozed(shown, "eve", 1),
    ]  # fmt: skip
    (left,) = await kept(ledger, tmp_path, START, OPENED, info, *drafts, now=1)
    assert left.info.snoozed == [("ben", late)]
