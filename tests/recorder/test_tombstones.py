"""Forged orders to take something out: nothing may go that nobody with the right to it said. How orders are written."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recorder import tombstones
from recorder.entry import Entry
from recorder.ledger import Draft
from recorder.redacting import holding
from recorder.store import Taking
from recorder.tombstones import Order, joined, ranges_of, ranges_text, read_order
from recorder.verify import Verdict, verify
from recorder.votes import Violation
from tests.recorder.stories import Person
from tests.recorder.takings import SECRET, Taken, judged, ordered

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
