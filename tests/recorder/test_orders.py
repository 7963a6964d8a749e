"""Orders are read as they are written, and nothing else is one."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recorder import orders
from recorder.orders import Order, joined, ranges_of, ranges_text, read_order
from recorder.votes import Violation


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
    many = tuple((2 * n, 2 * n) for n in range(0, 2 * orders.RANGES_LIMIT, 2))
    assert len(ranges_of(ranges_text(many))) == orders.RANGES_LIMIT
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
