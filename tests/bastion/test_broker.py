"""The broker on a real ledger: what it could not record, it did not do."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from bastion.audit import Audit
from bastion.broker import Broker
from bastion.clock import Clock
from bastion.desk import Desk
from bastion.errors import Conflict, StoreError
from bastion.model import Decision, State
from recorder.keys import LedgerKey
from recorder.ledger import Ledger
from tests.bastion.test_desk import make_request, make_vote

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
