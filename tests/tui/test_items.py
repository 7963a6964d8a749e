"""tui/items.py"""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tui.items import PINNED, PROGRESS, Item
from tui.samples import NOW, request, vote

INFO = request()


def changed(**fields: object) -> object:
    return msgspec.structs.replace(INFO, **fields)


def test_a_good_request_has_the_digest_that_is_computed_here() -> None:
    item = Item.first(INFO)
    assert item.digest == INFO.to_model().digest == INFO.digest
    assert not item.trouble
    assert item.held


@pytest.mark.parametrize(
    "fields",
    [
        {"digest": "0" * 64},
        {"command": b"systemctl restart nginx "},
        {"target": "web-2"},
        {"login": "postgres"},
        {"stdin_code": b"x"},
        {"reason": "other"},
        {"approvals": 2},
        {"expires": INFO.expires + 1},
        {"host_keys": []},
        {"environment": []},
        {"kind": "teleport"},
        {"tier": "fine"},
        {"reason": "\ud800"},
    ],
)
def test_a_request_that_is_not_what_was_hashed_is_trouble(fields: dict[str, object]) -> None:
    assert Item.first(changed(**fields)).trouble  # type: ignore[arg-type]


OTHER: dict[str, object] = {
    "host_keys": ["x"],
    "environment": [("A", "b")],
    "stdin_code": b"x",
    "reasons": ["x"],
    "score": 1,
    "approvals": 9,
    "created": 1,
    "expires": 1,
    "command": b"x",
}


@pytest.mark.parametrize("field", [name for name in PINNED if name != "id"])
def test_every_field_but_progress_is_pinned(field: str) -> None:
    news = changed(**{field: OTHER.get(field, "other")})
    item = Item.first(INFO).merged(news)  # type: ignore[arg-type]
    assert field in item.trouble
    assert item.info == INFO
    assert item.digest == INFO.digest


def test_progress_is_named_and_exists() -> None:
    assert set(INFO.__struct_fields__) >= PROGRESS


def test_ended_stays_ended() -> None:
    ended = changed(state="approved", votes=[vote("ana")], decided=NOW)
    item = Item.first(INFO).merged(ended).merged(INFO)  # type: ignore[arg-type]
    assert item.info.state == "approved"
    assert not item.held


def test_two_endings_are_trouble() -> None:
    item = Item.first(changed(state="denied")).merged(changed(state="approved"))  # type: ignore[arg-type]
    assert "two endings" in item.trouble
    assert item.info.state == "denied"


STEPS = [
    {},
    {"votes": [vote("bob")]},
    {"votes": [vote("bob"), vote("ana")], "state": "approved", "decided": NOW},
    {"votes": [vote("bob"), vote("ana")], "state": "approved", "decided": NOW, "status": "exit 0"},
]


@given(st.lists(st.sampled_from(range(len(STEPS))), min_size=1))
def test_messages_in_any_order_and_number_give_the_newest(order: list[int]) -> None:
    infos = [changed(**step) for step in STEPS]
    item = Item.first(infos[order[0]])  # type: ignore[arg-type]
    for step in order[1:]:
        item = item.merged(infos[step])  # type: ignore[arg-type]
    assert item.info == infos[max(order)]
    assert not item.trouble
