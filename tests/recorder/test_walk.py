"""A daemon that lies may sign any body as any type: it is named, and stops no verifier."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recorder import strict
from recorder.keyring import Keyring
from recorder.report import Findings
from recorder.walk import Walk
from tests.recorder.stories import Person

LEAF = bytes(32)
ANA = Person("ana")
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-2, 2**53)
    | st.sampled_from(["", "a", "ana", "r-1", "approve", "0-1", "allow", "hold", "whitelist a", "policy a", LEAF.hex()])
)
VALUES = SCALARS | st.lists(SCALARS, max_size=2) | st.dictionaries(st.sampled_from("ab"), SCALARS, max_size=2)
BODIES: dict[str, dict[str, Any]] = {
    "identity.added": {"name": "ana", "kind": "human", "roles": ["approver", "admin"], "keys": [ANA.line]},
    "target.added": {"name": "a", "env": "a"},
    "request.proposed": {
        "digest": LEAF.hex(), "approvals": 1, "verdict": "hold", "unsigned": ["a"], "tier": "low", "identity": "a",
        "kind": "grant", "target": "a",
    },
    "request.decided": {"digest": LEAF.hex(), "choice": "approve", "via": "a", "by": "ana"},
}  # fmt: skip
"""What stands before, so that there is something to speak of."""


class Body(dict[str, Any]):
    """Has whatever it is asked for."""

    def __init__(self, data: st.DataObject, usual: dict[str, Any]) -> None:
        super().__init__()
        self._data, self._usual = data, usual

    def __contains__(self, name: object) -> bool:
        return self.get(str(name), self) is not self

    def __missing__(self, name: str) -> Any:
        return self.get(name)

    def get(self, name: str, default: Any = None) -> Any:
        if dict.__contains__(self, name):
            return super().get(name)
        ways = [VALUES, st.just(default), *([st.just(self._usual[name])] if name in self._usual else [])]
        value = self._data.draw(st.one_of(ways), label=name)
        if value is not default:
            self[name] = value
        return value


def row(seq: int, kind: str, body: dict[str, Any], request: str = "") -> strict.Row:
    return strict.Row("fixer", body, "b", LEAF.hex(), seq, "h/12345678", LEAF.hex(), request, seq, "s-1", seq, kind, 1)


def walk() -> Walk:
    source: Any = SimpleNamespace(has_payloads=False, has_chunks=False)
    made = Walk("h/12345678", Keyring(bytes(32)), source, Findings(), None)
    made.leaves.add(LEAF)
    return made


@pytest.mark.parametrize("kind", sorted({*walk().judges, "recording.chunk"}))
@given(st.data())
@settings(max_examples=50)
def test_whatever_stands_in_a_body(kind: str, data: st.DataObject) -> None:
    made = walk()
    for seq, (name, body) in enumerate(BODIES.items()):
        made.take([row(seq, name, body, "r-1")], LEAF, b"", {})
    assert not made.findings.problems
    body = Body(data, BODIES.get(kind, {"digest": LEAF.hex()}))
    made.take([row(9, kind, body, data.draw(st.sampled_from(["r-1", "r-2", ""])))], LEAF, b"", {})
    made.settle()


@pytest.mark.parametrize("name", ["sha256", "root"])
@pytest.mark.parametrize("value", ["zz", "", "ab" * 31, " " + "a" * 63, "A" * 64, 7])
def test_a_chunk_whose_hash_is_none_is_named(name: str, value: object) -> None:
    made = walk()
    numbers = dict.fromkeys(("number", "first", "frames", "from_us", "to_us", "plain", "length"), 0)
    body = {**numbers, "sha256": "0" * 64, "root": "0" * 64, name: value}
    made.take([row(5, "recording.chunk", body)], LEAF, b"", {})
    assert [(each.seq, "hashes" in each.message) for each in made.findings.problems] == [(5, True)]


def test_a_body_of_another_form_is_named() -> None:
    made = walk()
    made.take([row(5, "group.set", {"name": "a", "members": 5})], LEAF, b"", {})
    assert [(each.seq, "another form" in each.message) for each in made.findings.problems] == [(5, True)]
