from __future__ import annotations

import json
from typing import Any

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from recorder import entry, strict
from recorder.errors import EntryError

KEYS = st.text(st.characters(max_codepoint=127), max_size=8)
TEXT = st.text(st.characters(exclude_categories=("Cs",)), max_size=20)
INTEGERS = st.integers(-entry.INTEGER_LIMIT, entry.INTEGER_LIMIT)
VALUES = st.recursive(
    st.none() | st.booleans() | INTEGERS | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=12,
)
INSERTS = [b" ", b"1.5", b"-0", b"1e3", b'"v":1,', b"\\u0041", b"\xff", b"[", b"null"]
BODIES = st.dictionaries(KEYS, VALUES, max_size=5)


def make(**changes: Any) -> entry.Entry:
    fields: dict[str, Any] = {
        "origin": "bastion.example/0123abcd",
        "seq": 4,
        "t": 1_763_692_000_000_000,
        "mono": 77,
        "boot": "b0-07",
        "prev": "a" * 64,
        "type": "session.opened",
        "actor": "fixer",
        "session": "s-1",
        "request": "",
        "cause": "",
        "body": {"target": "web-1"},
    }
    return entry.encode(**{**fields, **changes})


def test_vector() -> None:
    """The bytes and the hash, spelled out: what another implementation must get."""
    made = make()
    assert made.bytes == (
        b'{"actor":"fixer","body":{"target":"web-1"},"boot":"b0-07","cause":"","mono":77,'
        b'"origin":"bastion.example/0123abcd","prev":"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",'
        b'"request":"","seq":4,"session":"s-1","t":1763692000000000,"type":"session.opened","v":1}'
    )
    import hashlib

    assert made.leaf == hashlib.sha256(b"\0" + made.bytes).hexdigest()


@given(BODIES)
def test_canonical_is_rfc8785(body: dict[str, Any]) -> None:
    assert entry.canonical(body) == rfc8785.dumps(body)


def test_every_character_is_written_as_json_writes_it() -> None:
    text = "".join(map(chr, [*range(0xD800), *range(0xE000, 0x110000)]))
    assert entry.canonical(text) == json.dumps(text, ensure_ascii=False).encode()


@given(BODIES)
def test_what_is_written_is_read_back_by_both_readers(body: dict[str, Any]) -> None:
    made = make(body=body)
    assert entry.decode(made.bytes) == made
    row = strict.parse(made.bytes)
    assert row.body == json.loads(made.bytes)["body"]
    assert row.seq == 4


@given(BODIES, st.data())
def test_changed_bytes_are_refused_or_read_the_same_by_both(body: dict[str, Any], data: st.DataObject) -> None:
    """The reader and the verifier were written apart; where they disagree, one of them is wrong."""
    raw = bytearray(make(body=body).bytes)
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(raw) - 1))
        change = data.draw(st.sampled_from(["flip", "drop", "double", "insert"]))
        if change == "flip":
            raw[at] ^= 1 << data.draw(st.integers(0, 7))
        elif change == "drop" and len(raw) > 1:
            del raw[at]
        elif change == "double":
            raw.insert(at, raw[at])
        else:
            raw[at:at] = data.draw(
                st.sampled_from([b" ", b"1.5", b"-0", b"1e3", b'"v":1,', b"\\u0041", b"\xff", b"[", b"null"])
            )
    changed = bytes(raw)
    try:
        first: Any = json.loads(entry.decode(changed).bytes)
    except EntryError:
        first = None
    try:
        strict.parse(changed)
        second: Any = json.loads(changed)
    except strict.NotCanonical:
        second = None
    if first is None and second is not None:
        # the reader also knows the forms of origin and prev, which the verifier compares with their neighbours
        assert "origin" in str(_error(changed)) or "prev" in str(_error(changed)) or "leaf" in str(_error(changed))
    else:
        assert first == second


def _error(data: bytes) -> EntryError:
    with pytest.raises(EntryError) as caught:
        entry.decode(data)
    return caught.value


@given(st.binary(max_size=300))
def test_garbage_raises_one_type(data: bytes) -> None:
    with pytest.raises(EntryError):
        entry.decode(data)
    with pytest.raises(strict.NotCanonical):
        strict.parse(data)


@pytest.mark.parametrize(
    "body",
    [
        {"x": 1.5},
        {"x": float("nan")},
        {"x": entry.INTEGER_LIMIT + 1},
        {"x": -entry.INTEGER_LIMIT - 1},
        {"é": 1},
        {1: "x"},
        {"x": "\ud800"},
        {"x": b"bytes"},
        {"x": {1, 2}},
        {"x": [[{"y": 0.0}]]},
    ],
)
def test_what_has_no_place_in_an_entry(body: Any) -> None:
    with pytest.raises(EntryError):
        make(body=body)


@pytest.mark.parametrize(
    "changes",
    [
        {"seq": -1},
        {"seq": True},
        {"t": entry.INTEGER_LIMIT + 1},
        {"mono": -1},
        {"origin": "bastion.example"},
        {"origin": "bastion.example/0123ABCD"},
        {"origin": "bad host/0123abcd"},
        {"origin": "a+b/0123abcd"},
        {"prev": ""},
        {"prev": "A" * 64},
        {"cause": "a" * 63},
        {"type": "opened"},
        {"type": "Session.opened"},
        {"actor": "x" * 256},
        {"boot": ""},
        {"seq": 0, "prev": ""},
        {"seq": 0, "origin": "bastion.example"},
    ],
)
def test_fields_out_of_form(changes: dict[str, Any]) -> None:
    with pytest.raises(EntryError):
        make(**changes)


def test_genesis_carries_the_host_alone() -> None:
    assert entry.decode(make(seq=0, origin="bastion.example", prev="").bytes).origin == "bastion.example"


def test_limits_at_their_edges() -> None:
    room = entry.ENTRY_LIMIT - len(make(body={"x": ""}).bytes)
    assert len(make(body={"x": "a" * room}).bytes) == entry.ENTRY_LIMIT
    with pytest.raises(EntryError, match="limit"):
        make(body={"x": "a" * (room + 1)})
    assert make(body={"x": entry.INTEGER_LIMIT}).body["x"] == 2**53 - 1
    assert make(actor="x" * entry.WORD_LIMIT).actor

    def nested(levels: int) -> Any:
        value: Any = 1
        for _ in range(levels):
            value = [value]
        return value

    deepest = entry.DEPTH_LIMIT - 2  # the entry and its body are levels too
    made = make(body={"x": nested(deepest)})
    strict.parse(made.bytes)
    with pytest.raises(EntryError, match="levels"):
        make(body={"x": nested(deepest + 1)})
    deeper = made.bytes.replace(b"[1]", b"[[1]]")
    with pytest.raises(strict.NotCanonical, match="deep"):
        strict.parse(deeper)


def test_nesting_that_would_exhaust_the_stack_is_refused() -> None:
    data = b'{"actor":' + b"[" * 8000 + b"]" * 8000 + b"}"
    assert len(data) <= entry.ENTRY_LIMIT
    with pytest.raises(EntryError):
        entry.decode(data)
    with pytest.raises(strict.NotCanonical):
        strict.parse(data)
