from __future__ import annotations

import itertools

import pytest

from bastion import ids
from bastion.ids import RequestIds


def test_what_the_ledger_knows_is_drawn_again() -> None:
    drawn = iter(("r-1", "r-2", "r-2", "r-1", "r-3"))
    made = RequestIds({"r-1"}.__contains__, lambda: next(drawn))
    assert [made(), made()] == ["r-2", "r-3"], "r-2 was given away, and is in no ledger yet"


def test_no_more_are_remembered_than_may_be_on_their_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ids, "DRAWN", 3)
    numbers = itertools.count()
    made = RequestIds(lambda _: False, lambda: f"r-{next(numbers)}")
    assert [made() for _ in range(10)] == [f"r-{number}" for number in range(10)]
    assert list(made._drawn) == ["r-7", "r-8", "r-9"]


def test_what_cannot_be_looked_up_is_not_given_away() -> None:
    def broken(_: str) -> bool:
        raise OSError("no ledger")

    with pytest.raises(OSError, match="no ledger"):
        RequestIds(broken)()


def test_another_than_those() -> None:
    drawn = iter(("w-1", "w-2", "w-3"))
    assert ids.another(lambda: next(drawn), {"w-1": 1, "w-2": 2}) == "w-3"
