"""The broker on a real ledger: what it could not record, it did not do."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Iterator
from pathlib import Path

import pytest

from bastion.audit import Audit
from bastion.broker import Broker
from bastion.clock import Clock
from bastion.desk import Desk
from bastion.errors import Conflict, NotAllowed, StoreError
from bastion.model import Assessment, Decision, Request, State, Tier, Verdict
from bastion.policy.judge import Judgement
from recorder.keys import LedgerKey
from recorder.ledger import Ledger
from tests.bastion.desks import make_request, make_vote
from tests.support.ports import until

TOO_LONG = b"x" * (17 << 10)
"""A statement that no ledger entry has room for."""


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    opened = Ledger.create(tmp_path / "store", host="bastion.example", key=LedgerKey.create(tmp_path / "key"))
    yield opened
    opened.close()


@pytest.mark.parametrize("approvals", [1, 2])
async def test_a_vote_that_cannot_be_recorded_ends_the_request(ledger: Ledger, approvals: int) -> None:
    """It does not count, and who waits is told."""
    broker = Broker(Desk(ticket=600, limit=10), Audit(ledger), Clock(), timeout=60)
    request = make_request("r-1", approvals=approvals)
    told: list[Decision] = []
    broker.hold(request, "ab" * 32, "s-1", lambda decision, _: told.append(decision))
    with pytest.raises(StoreError, match="16384"):
        await broker.vote(make_vote(request), TOO_LONG)
    assert [decision.state for decision in told] == [State.WITHDRAWN]
    assert not broker.take("r-1", "s-1")
    with pytest.raises(Conflict):
        await broker.vote(make_vote(request, "ben"), b"short")
    info = broker.info("r-1")
    assert info is not None
    assert info.state == "withdrawn"
    broker.close()


def made_from(request: Request) -> tuple[Request, Judgement]:
    made = dataclasses.replace(make_request("r-2", command=b"edited"), author="ana", edits=request.id, answers="x")
    return made, Judgement(Verdict.HOLD, made.digest, "default", "edited")


async def test_an_edit_that_cannot_be_recorded_changes_nothing(ledger: Ledger) -> None:
    broker = Broker(Desk(ticket=600, limit=10), Audit(ledger), Clock(), timeout=60)
    request = make_request("r-1")
    told: list[Decision] = []
    broker.hold(request, "ab" * 32, "s-1", lambda decision, _: told.append(decision))
    with pytest.raises(StoreError, match="16384"):
        await broker.edit("r-1", *made_from(request), TOO_LONG, "", "")
    assert told == []
    assert broker.info("r-2") is None
    info = broker.info("r-1")
    assert info is not None
    assert info.state == "held"
    broker.close()


async def test_taken_back_while_it_is_edited(ledger: Ledger) -> None:
    """The agent's ^C meets an edit that is on its way into the ledger: what comes of it is withdrawn."""
    broker = Broker(Desk(ticket=600, limit=10), Audit(ledger), Clock(), timeout=60)
    request = make_request("r-1")
    edits: list[Request] = []
    broker.hold(request, "ab" * 32, "s-1", lambda *_: None, lambda made, _: edits.append(made))
    _, result = await asyncio.gather(
        broker.withdraw("r-1", "the agent pressed ^C"), broker.edit("r-1", *made_from(request), b"{}", "", ""),
        return_exceptions=True,
    )  # fmt: skip
    states = {name: info.state for name in ("r-1", "r-2") if (info := broker.info(name)) is not None}
    assert "held" not in states.values(), (states, result)
    again = make_request("r-3")
    broker.hold(again, "ab" * 32, "s-1", lambda *_: None, lambda made, _: edits.append(made))
    made = dataclasses.replace(make_request("r-4", command=b"edited"), author="ana", edits="r-3", answers="x")
    editing = asyncio.ensure_future(
        broker.edit("r-3", made, Judgement(Verdict.HOLD, made.digest, "default", ""), b"{}", "", "")
    )
    await asyncio.sleep(0)
    await broker.withdraw("r-3", "the agent pressed ^C")
    assert (await editing).id == "r-4"
    info = broker.info("r-4")
    assert info is not None
    assert info.state == "withdrawn"
    broker.close()


@pytest.mark.parametrize(("tier", "unsigned"), [("high", ["slack"]), ("unrated", ["slack"]), ("low", [])])
async def test_an_unsigned_vote_counts_for_little_only(ledger: Ledger, tier: str, unsigned: list[str]) -> None:
    broker = Broker(Desk(ticket=600, limit=10), Audit(ledger), Clock(), timeout=60)
    assessment = Assessment(10, Tier(tier), ())
    request = dataclasses.replace(make_request("r-1"), assessment=assessment, unsigned=tuple(unsigned))
    broker.hold(request, "ab" * 32, "s-1", lambda *_: None)
    vote = dataclasses.replace(make_vote(request), via="slack", via_user="U1", signature="")
    with pytest.raises(NotAllowed, match="without a signature"):
        await broker.vote(vote, b"")
    broker.close()


async def test_levels_then_the_end_and_everybody_hears_of_each(ledger: Ledger) -> None:
    """P7. Two groups one after the other, then it is denied: told, in the ledger, and the waiter knows."""
    members = {"first": frozenset({"ana"}), "second": frozenset({"ben"}), "third": frozenset({"cyd"})}
    desk = Desk(ticket=600, limit=10, members=lambda group: members[group])
    broker = Broker(desk, Audit(ledger), Clock(), timeout=60)
    alerts: list[tuple[str, str]] = []
    told: list[Decision] = []
    broker.alert = lambda kind, text: alerts.append((kind, text))
    levels = ((0.05, "second"), (0.1, "third"))
    request = dataclasses.replace(
        make_request("r-0123abcd"),
        approvers=("first",),
        escalation=levels,
        expires=1_000_000,  # type: ignore[arg-type]
    )
    broker.hold(request, "ab" * 32, "s-1", lambda decision, _: told.append(decision))
    assert not broker.may_approve("r-0123abcd", "ben")
    await until(lambda: alerts, "the first level")
    assert broker.may_approve("r-0123abcd", "ben")
    await until(lambda: told, "the end")
    assert alerts == [
        ("request.escalated", "r-0123abcd goes to group second: nobody decided in time"),
        ("request.escalated", "r-0123abcd goes to group third: nobody decided in time"),
        ("request.expired", "r-0123abcd is denied: nobody decided in time"),
    ]
    assert [decision.state for decision in told] == [State.EXPIRED]
    for by in ("ana", "ben", "cyd"):
        with pytest.raises(Conflict, match="expired already"):
            await broker.vote(make_vote(request, by), b"{}")
    info = broker.info("r-0123abcd")
    assert info is not None
    assert (info.state, info.escalated) == ("expired", ["second", "third"])
    broker.close()
