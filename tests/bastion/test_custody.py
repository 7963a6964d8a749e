"""Retention, holds and orders as the daemon does them, on a store with a clock that can be set on."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from bastion.custody import Custody, Limits, checked_reason
from bastion.errors import Conflict, NotFound, UsageError
from recorder import derived
from recorder.reader import Reader
from recorder.redacting import holding
from recorder.verify import Verdict, verify
from tests.recorder.takings import SECRET, Taken


@pytest.fixture
def taken(tmp_path: Path) -> Iterator[Taken]:
    made = Taken.begin(tmp_path / "store")
    yield made
    made.ledger.close()


def custody(taken: Taken, default: int = 0, **environments: int) -> Custody:
    reader = Reader.open(taken.store)
    return Custody(taken.ledger, reader, taken.store, Limits(default, tuple(environments.items())), people=2)


def now(taken: Taken) -> int:
    return taken.clock.now // 1000


def test_limits_are_by_environment_and_stand_in_the_ledger_first(taken: Taken) -> None:
    kept = custody(taken, 90, production=30)
    rendered = taken.store.parent / derived.DIRECTORY
    rendered.mkdir()
    (rendered / derived.name_of("s-1")).write_bytes(b"x")
    assert kept.old(now(taken)) == []
    taken.clock.later(30.01)
    assert [(each.session, each.env) for each in kept.old(now(taken))] == [("s-1", "production")]
    gone, _ = kept.expire(now(taken))
    assert [each.session for each in gone] == ["s-1"]
    assert list(rendered.iterdir()) == []
    assert kept.expire(now(taken))[0] == []
    taken.clock.later(60)
    assert [each.session for each in kept.expire(now(taken))[0]] == ["s-2"]
    report = verify(taken.store)
    assert (report.verdict, report.problems, report.deleted) == (Verdict.OK, (), 2)
    with Reader.open(taken.store) as reader:
        kinds = [entry.type for entry in reader.entries() if entry.type.startswith("retention")]
    assert kinds == ["retention.configured", "retention.deleted", "retention.deleted"]


def test_nothing_goes_unless_it_is_configured(taken: Taken) -> None:
    kept = custody(taken)
    taken.clock.later(10_000)
    assert kept.expire(now(taken))[0] == []
    with Reader.open(taken.store) as reader:
        assert not list(reader.entries(types=("retention.configured",)))


def test_an_environment_can_be_kept_for_ever(taken: Taken) -> None:
    kept = custody(taken, 1, production=0)
    taken.clock.later(1000)
    assert [each.session for each in kept.old(now(taken))] == ["s-2"]


def test_a_held_session_stays_until_it_is_released(taken: Taken) -> None:
    kept = custody(taken, 1)
    kept.hold("s-1", "court", "eve")
    with pytest.raises(Conflict, match="held already: court"):
        kept.hold("s-1", "x", "eve")
    taken.clock.later(2)
    assert [each.session for each in custody(taken, 1).expire(now(taken))[0]] == ["s-2"]  # another look knows it, too
    with pytest.raises(Conflict, match="is held"):
        kept.plan("s-1", holding(SECRET))
    kept.release("s-1", "over", "eve")
    with pytest.raises(NotFound):
        kept.release("s-1", "over", "eve")
    assert [each.session for each in kept.expire(now(taken))[0]] == ["s-1"]
    with pytest.raises(Conflict, match="was deleted"):
        kept.hold("s-1", "too late", "eve")
    assert verify(taken.store).verdict is Verdict.OK


def test_a_run_can_be_stopped_between_two_recordings(taken: Taken) -> None:
    kept, asked = custody(taken, 1), threading.Event()
    taken.clock.later(2)

    def stop() -> bool:
        before = asked.is_set()
        asked.set()
        return before

    assert len(kept.expire(now(taken), stop)[0]) == 1
    assert len(kept.expire(now(taken))[0]) == 1


def test_who_is_not_there_is_not_found(taken: Taken) -> None:
    for call in (lambda kept: kept.hold("s-9", "x", "eve"), lambda kept: kept.plan("s-9", holding(b"x"))):
        with pytest.raises(NotFound):
            call(custody(taken))
    with pytest.raises(NotFound):
        custody(taken).plan("s-1", holding(b"nowhere"))


@pytest.mark.parametrize("reason", ["", " ", "x" * 1025, "it was " + "PGPASSWORD=hunter2"])
def test_a_reason_can_stand_for_ever(reason: str) -> None:
    with pytest.raises(UsageError):
        checked_reason(reason)
