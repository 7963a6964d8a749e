"""Forged orders to take something out: nothing may go that nobody with the right to it said."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from recorder import orders
from recorder.entry import Entry
from recorder.ledger import Draft
from recorder.orders import Order
from recorder.redacting import holding
from recorder.store import Taking
from recorder.verify import Verdict, verify
from tests.recorder.stories import Person
from tests.recorder.takings import SECRET, Taken, judged, ordered

Change = Callable[[Taken, Order], tuple[str, list[Any]]]


def unsigned(taken: Taken, order: Order) -> tuple[str, list[Any]]:
    return order.encode().decode(), []


def by_no_admin(taken: Taken, order: Order) -> tuple[str, list[Any]]:
    return taken.signed(order, taken.cleo)


def by_a_stranger(taken: Taken, order: Order) -> tuple[str, list[Any]]:
    text, _ = taken.signed(order)
    return text, [{"by": "ana", "signature": Person("ana").sign(text, orders.NAMESPACE)}]


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
