"""Which requests are the same in all that a person judges."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from bastion.control.identical import JUDGED, PROGRESS, WHICH, identical, sameness
from tui.samples import request, vote

OTHER: dict[str, Any] = {
    "kind": "forward",
    "host_keys": ["ssh-ed25519 AAAA"],
    "environment": [("LANG", "C")],
    "score": None,
    "reasons": [],
    "weights": [1],
    "approvals": 2,
    "effects": [],
    "verbs": ["restart"],
    "approvers": ["dba"],
    "escalation": [(30, "second-line")],
    "unsigned": ["console"],
    "context": [("nginx", "alias")],
}
"""Another value, by field; text and bytes get one more character."""

ALONE: dict[str, Any] = {
    "kind": "line",
    "sequence": 1,
    "parent": "r-00000009",
    "author": "bob",
    "edits": "r-00000009",
    "emergency": "site down",
}


def changed(field: str) -> Any:
    value = getattr(request(), field)
    if field in OTHER:
        return OTHER[field]
    return value + (b"x" if isinstance(value, bytes) else 1 if isinstance(value, int) else "x")


@pytest.mark.parametrize("field", JUDGED)
def test_anything_that_is_judged_and_differs_makes_it_another(field: str) -> None:
    other = msgspec.structs.replace(request(), **{field: changed(field)})
    assert sameness(other) != sameness(request())
    assert identical(request("r-00000001"), [other]) == []


def test_which_asking_it_is_and_how_far_it_came_do_not_matter() -> None:
    one = request("r-00000001", age=40)
    two = request(
        "r-00000002", age=3, session="s-0000000000000002", votes=[vote("bob")], escalated=["x"], attached=False
    )
    assert sameness(one) == sameness(two) != ""
    assert {"id", "session", "created", "expires", "votes", "escalated", "attached"} <= PROGRESS | WHICH


@pytest.mark.parametrize("field", ALONE)
def test_what_is_judged_alone(field: str) -> None:
    one = msgspec.structs.replace(request("r-00000001"), **{field: ALONE[field]})
    two = msgspec.structs.replace(request("r-00000002"), **{field: ALONE[field]})
    assert sameness(one) == ""
    assert identical(one, [two]) == []


def test_those_that_end_first_come_first_and_only_held_ones() -> None:
    one = request("r-00000001")
    others = [request("r-00000002", age=1), request("r-00000003", age=9), request("r-00000004", state="denied"), one]
    assert [each.id for each in identical(one, others)] == ["r-00000003", "r-00000002"]


def test_bytes_are_not_taken_for_their_base64() -> None:
    assert sameness(request(command=b"eA==")) != sameness(request(command=b"x"))
    assert sameness(request(command=b"a", stdin_code=b"b")) != sameness(request(command=b"ab", stdin_code=b""))
