"""Forged tombstones of whole recordings: only what is old enough goes, all of it, and nothing that is held."""

from __future__ import annotations

from typing import Any

import pytest

from recorder import chunks
from recorder.ledger import Draft
from recorder.reader import Reader
from recorder.redacting import expire
from recorder.store import Taking
from recorder.verify import Verdict, verify
from tests.recorder.attacks import database
from tests.recorder.takings import Taken, judged


def deletion(taken: Taken, session: str = "s-1") -> dict[str, Any]:
    """The body of a rightful one."""
    with Reader.open(taken.store) as reader:
        facts = [chunks.facts_of(each.body) for each in reader.entries(types=("recording.chunk",), session=session)]
    was = b""
    for each in facts:
        was = chunks.chain(was, each.sha256)
    return {"chunks": len(facts), "was": was.hex()}


def delete(taken: Taken, session: str = "s-1", **changes: Any) -> None:
    """A deletion as a daemon that was taken over would write it: signed by the ledger's key, rows and all."""
    with Reader.open(taken.store) as reader:
        seqs = tuple(each.seq for each in reader.entries(types=("recording.chunk",), session=session))
    draft = Draft("retention.deleted", "bastion", {**deletion(taken, session), **changes}, session=session)
    taken.ledger.take(Taking(deleted=seqs), draft).result(30)


def test_a_deletion_in_its_time(taken: Taken) -> None:
    taken.limits(production=30)
    taken.clock.later(30.01)
    delete(taken)
    assert verify(taken.store).verdict is Verdict.OK


@pytest.mark.parametrize(
    ("limits", "days", "text"),
    [
        ({}, 1000.0, "before its time"),
        ({"production": 30}, 29.9, "before its time"),
        ({"default": 30, "production": 0}, 1000.0, "before its time"),
        ({"staging": 1}, 1000.0, "before its time"),
    ],
)
def test_a_deletion_before_its_time(taken: Taken, limits: dict[str, int], days: float, text: str) -> None:
    taken.limits(**limits)
    taken.clock.later(days)
    delete(taken)
    judged(taken, text)


def test_a_deletion_of_a_session_that_is_held(taken: Taken) -> None:
    taken.limits(default=1)
    taken.write("hold.placed", {"session": "s-1", "reason": "court"})
    taken.clock.later(400)
    delete(taken)
    judged(taken, "is held")


def test_a_hold_that_was_lifted_holds_no_more(taken: Taken) -> None:
    taken.limits(default=1)
    taken.write("hold.placed", {"session": "s-1", "reason": "court"})
    taken.write("hold.lifted", {"session": "s-1", "reason": "over"})
    taken.clock.later(400)
    with Reader.open(taken.store) as reader:
        expire(taken.ledger, reader, "s-1", "bastion")
    assert verify(taken.store).verdict is Verdict.OK


@pytest.mark.parametrize(("kind", "session"), [("hold.placed", "s-7"), ("hold.lifted", "s-1"), ("hold.placed", None)])
def test_holds_that_hold_nothing(taken: Taken, kind: str, session: str | None) -> None:
    taken.write(kind, {"session": session, "reason": "x"})
    judged(taken, "a hold")


@pytest.mark.parametrize("recording", ["0" * 64, "", 7])
def test_a_command_that_ended_with_another_recording_than_there_is(taken: Taken, recording: object) -> None:
    story = taken.story
    proposal = story.propose(verdict="hold")
    story.finish(story.start(proposal, story.vote(proposal, taken.cleo)), recording=recording)
    judged(taken, "another recording than there is")


def test_a_command_that_ended_with_the_recording_that_there_is(taken: Taken) -> None:
    """Also when some of it was redacted since."""
    story, root = taken.story, b""
    with Reader.open(taken.store) as reader:
        for entry in reader.entries(session="s-1", types=("recording.chunk",)):
            root = chunks.chain(root, str(entry.body["root"]))
    proposal = story.propose(verdict="hold")
    story.finish(story.start(proposal, story.vote(proposal, taken.cleo)), recording=root.hex())
    assert verify(taken.store).verdict is Verdict.OK


@pytest.mark.parametrize("changes", [{"chunks": 1}, {"was": "0" * 64}])
def test_a_deletion_of_something_else_than_there_was(taken: Taken, changes: dict[str, Any]) -> None:
    taken.limits(default=1)
    taken.clock.later(2)
    delete(taken, **changes)
    judged(taken, "another recording is deleted")


def test_a_deletion_of_a_session_that_goes_on(taken: Taken) -> None:
    taken.limits(default=1)
    taken.story.write(Draft("session.opened", "fixer", {"target": "web-1"}, session="s-3"))
    taken.record("s-3")
    taken.clock.later(100)
    delete(taken, "s-3")
    judged(taken, "before its time")


def test_a_deletion_that_deleted_nothing(taken: Taken) -> None:
    """The rows are still there: no crash leaves that."""
    taken.limits(default=1)
    taken.clock.later(2)
    taken.write("retention.deleted", deletion(taken), "s-1")
    judged(taken, "it is there, though it was deleted")


def test_a_deletion_of_some_of_it(taken: Taken) -> None:
    taken.limits(default=1)
    taken.clock.later(2)
    taken.write("retention.deleted", deletion(taken), "s-1")
    with database(taken.store) as db:
        db.execute("DELETE FROM chunks WHERE seq = (SELECT min(seq) FROM chunks)")
    judged(taken, "it is there, though it was deleted")


def test_a_loss_is_no_deletion(taken: Taken) -> None:
    """Rows that went without an entry, of a session that was old enough: still a loss."""
    taken.limits(default=1)
    taken.clock.later(100)
    with database(taken.store) as db:
        db.execute("DELETE FROM chunks WHERE seq < (SELECT max(seq) FROM chunks)")
    judged(taken, "its chunk is missing")


@pytest.mark.parametrize(
    "body", [{}, {"limits": [], "default": 0}, {"limits": {"x": -1}, "default": 0}, {"limits": {}, "default": "1"}]
)
def test_limits_that_are_none(taken: Taken, body: dict[str, Any]) -> None:
    taken.write("retention.configured", body)
    judged(taken, "no days")
