"""How much goes to one channel in a minute."""

from __future__ import annotations

import pytest

from bastion.notify.news import KINDS
from bastion.notify.pacing import ANSWERS_A_MINUTE, MOST_A_MINUTE, OF_REQUESTS, OTHERS_A_MINUTE, Pace, Pacing
from bastion.outlets import EVENTS


@pytest.mark.parametrize(
    ("kind", "most", "then"),
    [
        ("held", MOST_A_MINUTE, Pace.COUNT),
        ("expired", MOST_A_MINUTE, Pace.COUNT),
        ("ledger", OTHERS_A_MINUTE, Pace.COUNT),
        ("more", OTHERS_A_MINUTE, Pace.COUNT),
        ("answer", ANSWERS_A_MINUTE, Pace.DROP),
    ],
)
def test_each_sort_has_its_own_number(kind: str, most: int, then: Pace) -> None:
    pacing = Pacing()
    for other in ("held", "emergency", "answer"):
        if (other in OF_REQUESTS) != (kind in OF_REQUESTS) and (other == "answer") == (kind == "answer"):
            for _ in range(100):
                pacing.of(other, 1.0)
    pacing.rest()
    assert [pacing.of(kind, 1.0) for _ in range(most + 2)] == [*[Pace.SEND] * most, then, then]
    assert pacing.rest() == (2 if then is Pace.COUNT else 0)
    assert pacing.rest() == 0
    assert pacing.of(kind, 59.9) is then
    assert pacing.of(kind, 60.0) is Pace.SEND


def test_what_is_of_requests_is_news() -> None:
    assert set(EVENTS) > OF_REQUESTS
    assert set(KINDS) > OF_REQUESTS
