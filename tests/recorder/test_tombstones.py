"""Forged tombstones: nothing may go that nobody with the right to it said, and nothing may hide behind one."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recorder import chunks, tombstones
from recorder.entry import Entry
from recorder.ledger import Draft
from recorder.reader import Reader
from recorder.redacting import carry_out, expire, holding
from recorder.store import Taking
from recorder.tombstones import Order, joined, ranges_of, ranges_text, read_order
from recorder.verify import Report, Verdict, verify
from recorder.votes import Violation
from tests.recorder.attacks import database
from tests.recorder.stories import Person
from tests.recorder.takings import SECRET, Taken


@pytest.fixture
def taken(tmp_path: Path) -> Iterator[Taken]:
    made = Taken.begin(tmp_path / "store")
    yield made
    made.ledger.close()


def judged(taken: Taken, text: str) -> Report:
    """It is named, by these words."""
    report = verify(taken.store)
    assert report.verdict is Verdict.TAMPER
    assert any(text in problem.message for problem in report.problems), report.problems
    return report


# --- orders -----------------------------------------------------------------------------------------------------------


def ordered(taken: Taken, statement: str, signatures: list[Any], session: str = "s-1") -> Entry:
    return taken.write("redaction.ordered", {"statement": statement, "signatures": signatures}, session)


Change = Callable[[Taken, Order], tuple[str, list[Any]]]


def unsigned(taken: Taken, order: Order) -> tuple[str, list[Any]]:
    return order.encode().decode(), []


def by_no_admin(taken: Taken, order: Order) -> tuple[str, list[Any]]:
    return taken.signed(order, taken.cleo)


def by_a_stranger(taken: Taken, order: Order) -> tuple[str, list[Any]]:
    text, _ = taken.signed(order)
    return text, [{"by": "ana", "signature": Person("ana").sign(text, tombstones.NAMESPACE)}]


def by_one_twice(taken: Taken, order: Order) -> tuple[str, list[Any]]:
    return taken.signed(order, taken.ana, taken.ana)


def as_a_vote(taken: Taken, order: Order) -> tuple[str, list[Any]]:
    return taken.signed(order, taken.ana, namespace="decision@agent-bastion")


def for_another_ledger(taken: Taken, order: Order) -> tuple[str, list[Any]]:
    return taken.signed(taken.order(holding(SECRET), origin="other.example/00000000"), taken.ana)


def for_another_session(taken: Taken, order: Order) -> tuple[str, list[Any]]:
    return taken.signed(taken.order(holding(SECRET), "s-2"), taken.ana)


def late(taken: Taken, order: Order) -> tuple[str, list[Any]]:
    return taken.signed(taken.order(holding(SECRET), expires=taken.clock.now // 1000 - 61_000_000), taken.ana)


def without_a_reason(taken: Taken, order: Order) -> tuple[str, list[Any]]:
    return taken.signed(taken.order(holding(SECRET), reason=" "), taken.ana)


def changed_after(taken: Taken, order: Order) -> tuple[str, list[Any]]:
    text, signatures = taken.signed(order, taken.ana)
    return text.replace("a key was printed", "a kez was printed"), signatures


def of_garbage(taken: Taken, order: Order) -> tuple[str, list[Any]]:
    return "{}", [7]


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (unsigned, "0 signatures"),
        (by_no_admin, "no admin"),
        (by_a_stranger, "by no key of ana"),
        (by_one_twice, "signed twice"),
        (as_a_vote, "signature of ana"),
        (for_another_ledger, "another ledger"),
        (for_another_session, "another ledger or session"),
        (late, "void by then"),
        (without_a_reason, "without a reason"),
        (changed_after, "signature of ana"),
        (of_garbage, "no signed statement"),
    ],
)
def test_an_order_without_authority(taken: Taken, change: Change, text: str) -> None:
    ordered(taken, *change(taken, taken.order(holding(SECRET))))
    judged(taken, text)


def test_an_order_by_who_was_revoked(taken: Taken) -> None:
    said = taken.signed(taken.order(holding(SECRET)), taken.ana)
    taken.story.revoke(taken.ana)
    ordered(taken, *said)
    judged(taken, "revoked before")


def test_an_order_is_good_once(taken: Taken) -> None:
    said = taken.signed(taken.order(holding(SECRET)), taken.ana)
    ordered(taken, *said)
    assert verify(taken.store).verdict is Verdict.OK
    ordered(taken, *said)
    judged(taken, "given before")


def test_an_order_while_the_session_is_held(taken: Taken) -> None:
    taken.write("hold.placed", {"session": "s-1", "reason": "court"})
    ordered(taken, *taken.signed(taken.order(holding(SECRET)), taken.ana))
    judged(taken, "is held")


# --- tombstones of frames ---------------------------------------------------------------------------------------------


def redacted(taken: Taken) -> Entry:
    """A rightful one; its last tombstone."""
    order = taken.order(holding(SECRET))
    with Reader.open(taken.store) as reader:
        carry_out(taken.ledger, reader, order, *taken.signed(order, taken.ana, taken.ben))
        return next(reader.newest("recording.redacted"))


def forge(taken: Taken, stone: Entry, cause: str | None = None, session: str = "s-1", **changes: Any) -> Entry:
    body = {**stone.body, **changes}
    return taken.write("recording.redacted", body, session, cause=stone.cause if cause is None else cause)


def test_a_tombstone_that_nobody_ordered(taken: Taken) -> None:
    forge(taken, redacted(taken), cause="")
    judged(taken, "nobody ordered")


def test_a_tombstone_for_another_entry_than_an_order(taken: Taken) -> None:
    stone = redacted(taken)
    with Reader.open(taken.store) as reader:
        other = next(reader.newest("session.closed"))
    forge(taken, stone, cause=other.leaf)
    judged(taken, "nobody ordered")


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"frames": "0-1"}, "frames are taken out that nobody ordered"),
        ({"frames": ""}, "no frames"),
        ({"frames": "1-0"}, "cannot be read"),
        ({"chunk": 10**9}, "no chunk"),
        ({"chunk": True}, "no chunk"),
        ({"chunk": 1}, "chunk 1: there is no such chunk"),
        ({"was": "0" * 64}, "another ciphertext"),
        ({"entry": "{}"}, "quotes"),
        ({"entry": 7}, "quotes"),
        ({"sha256": "0" * 64}, "another ciphertext"),
        ({"length": -1}, "not described"),
    ],
)
def test_a_tombstone_that_does_not_fit(taken: Taken, changes: dict[str, Any], text: str) -> None:
    """A second one beside the rightful one: it has the cause of an order, and says something else."""
    stone = redacted(taken)
    forge(taken, stone, **{"was": stone.body["sha256"], **changes})
    judged(taken, text if "sha256" not in changes else "what is left of chunk")


def test_a_lost_chunk_behind_a_tombstone_of_a_redaction(taken: Taken) -> None:
    """What is left must be there, too."""
    stone = redacted(taken)
    with database(taken.store) as db:
        db.execute("DELETE FROM chunks WHERE seq = ?", (stone.body["chunk"],))
    judged(taken, "it is missing")


def test_another_lost_chunk_beside_a_tombstone(taken: Taken) -> None:
    stone = redacted(taken)
    with database(taken.store) as db:
        (other,) = db.execute("SELECT max(seq) FROM chunks WHERE seq <> ?", (stone.body["chunk"],)).fetchone()
        db.execute("DELETE FROM chunks WHERE seq = ?", (other,))
    assert judged(taken, "its chunk is missing").seq == other


def test_more_is_taken_out_than_the_tombstone_says(taken: Taken) -> None:
    """A stub for a frame that nobody ordered, in a chunk that was rightly redacted: the ciphertext is signed."""
    order = taken.order(holding(SECRET))
    entry = ordered(taken, *taken.signed(order, taken.ana, taken.ben))
    with Reader.open(taken.store) as reader:
        seq = next(
            each for each in reader.entries(types=("recording.chunk",), session="s-1")
            if any(SECRET[:9] in frame.data for frame in reader.chunk(each))
        )  # fmt: skip
        rest, cipher, key = reader.sealed(seq)
    where = [n for n in range(rest.facts.first, rest.facts.first + rest.facts.frames) if order.covers(n)]
    numbers = {number - rest.facts.first for number in where} | {0}
    facts, sealed, new = chunks.reseal(rest.facts, cipher, key, numbers, origin=seq.origin, session="s-1")
    body = {
        "chunk": seq.seq, "entry": seq.bytes.decode(), "frames": ranges_text(joined(where)),
        "was": rest.facts.sha256, "plain": facts.plain, "length": facts.length, "sha256": facts.sha256,
    }  # fmt: skip
    from recorder.store import NewChunk

    taking = Taking(replaced=(NewChunk(seq.seq, sealed, new),))
    taken.ledger.take(taking, Draft("recording.redacted", "ana", body, session="s-1", cause=entry.leaf)).result(30)
    judged(taken, "other frames are missing from it than were redacted")


def test_a_chunk_that_was_recorded_with_a_hole(taken: Taken) -> None:
    """A daemon that was taken over cannot record stubs in the first place."""
    from recorder.frames import Frame, encode, redact
    from recorder.merkle import root

    plain, leaves = encode([Frame(1, "output", b"rm -rf /"), Frame(2, "output", b"ok")])
    holed = redact(plain, {0})
    facts = chunks.Facts(0, 0, 2, 1, 2, len(holed), 0, "", root(leaves).hex())
    import hashlib
    from dataclasses import replace
    from os import urandom

    import zstandard
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    key = urandom(32)
    context = f"agent-bastion chunk 1\n{taken.ledger.origin}\ns-9\n0".encode()
    cipher = AESGCM(key).encrypt(bytes(12), zstandard.ZstdCompressor().compress(holed), context)
    facts = replace(facts, length=len(cipher), sha256=hashlib.sha256(cipher).hexdigest())
    from recorder.ledger import Job

    done: list[object] = []
    draft = Draft("recording.chunk", "bastion", facts.body(), session="s-9")
    taken.ledger.submit(Job((draft,), done.append, done.append, (cipher, key)))
    taken.story.write(Draft("session.opened", "fixer", {}, session="s-9"))
    judged(taken, "other frames are missing")


# --- retention --------------------------------------------------------------------------------------------------------


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


# --- contents ---------------------------------------------------------------------------------------------------------


def proposal(taken: Taken) -> Entry:
    draft = Draft(
        "policy.loaded", "bastion", {"name": "p", "digest": "", "files": [], "groups": {}}, payloads={"policy": b"{}"}
    )
    return taken.story.write(draft)


def test_only_the_content_of_a_request_can_be_redacted(taken: Taken) -> None:
    """Not the policy that was in force, nor any other evidence."""
    loaded = proposal(taken)
    order = taken.order(holding(SECRET), contents=(loaded.seq,))
    entry = ordered(taken, *taken.signed(order, taken.ana, taken.ben))
    draft = Draft("content.redacted", "ana", {"entry": loaded.seq, "name": "policy"}, session="s-1", cause=entry.leaf)
    taken.ledger.take(Taking(payloads=((loaded.seq, "policy"),)), draft).result(30)
    judged(taken, "nobody ordered")
    judged(taken, "payload 'policy' is missing")


@pytest.mark.parametrize("name", ["content", "policy"])
def test_a_content_that_is_there_or_never_was(taken: Taken, name: str) -> None:
    loaded = proposal(taken)
    order = taken.order(holding(SECRET), contents=(loaded.seq,))
    entry = ordered(taken, *taken.signed(order, taken.ana, taken.ben))
    taken.write("content.redacted", {"entry": loaded.seq, "name": name}, "s-1", cause=entry.leaf)
    judged(taken, "that could be taken out" if name == "content" else "nobody ordered")


# --- forms ------------------------------------------------------------------------------------------------------------


@given(st.sets(st.integers(0, 500), max_size=100))
def test_ranges_are_read_as_they_are_written(numbers: set[int]) -> None:
    ranges = joined(sorted(numbers))
    assert ranges_of(ranges_text(ranges)) == ranges
    assert {n for first, last in ranges for n in range(first, last + 1)} == numbers


@pytest.mark.parametrize(
    "text", ["1", "1-", "-1", "01-2", "2-1", "1-2,2-3", "1-2,3-4", "4-5,1-2", "1-2,", "٣-٤", None, 5]
)
def test_other_ranges_are_refused(text: object) -> None:
    with pytest.raises(Violation):
        ranges_of(text)


def test_ranges_have_a_limit() -> None:
    many = tuple((2 * n, 2 * n) for n in range(0, 2 * tombstones.RANGES_LIMIT, 2))
    assert len(ranges_of(ranges_text(many))) == tombstones.RANGES_LIMIT
    with pytest.raises(Violation):
        ranges_of(ranges_text((*many, (10**6, 10**6))))


@given(st.text(max_size=40).filter(str.strip), st.lists(st.integers(0, 99), unique=True, max_size=5).map(sorted))
def test_an_order_is_read_as_it_is_written(reason: str, contents: list[int]) -> None:
    order = Order("h/0", "s-1", ((1, 2),), tuple(contents), reason, 7, "0" * 64)
    assert read_order(order.encode()) == order


@given(st.binary(max_size=80))
def test_garbage_is_no_order(data: bytes) -> None:
    with pytest.raises(Violation):
        read_order(data)


def test_an_order_in_another_form_is_none() -> None:
    good = json.loads(Order("h/0", "s-1", ((1, 2),), (), "x", 7, "0" * 64).encode())
    for changes in (
        {"v": 2},
        {"v": True},
        {"expires": "07"},
        {"frames": 1},
        {"frames": "", "contents": ""},
        {"extra": "x"},
    ):
        data = json.dumps({**good, **changes}, sort_keys=True, separators=(",", ":")).encode()
        with pytest.raises(Violation):
            read_order(data)
    with pytest.raises(Violation):
        read_order(json.dumps(good).encode())
