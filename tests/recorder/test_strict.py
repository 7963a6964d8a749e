"""Many entries read at once are accepted only if each is, and give the same rows."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recorder import strict

LEAF = "5" * 64
SCALARS = st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=3) | st.floats()
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)
BODIES = st.dictionaries(st.text(max_size=3), VALUES, max_size=3)
FIELDS = st.fixed_dictionaries(
    {},
    optional={
        "v": st.sampled_from([1, 2, True, "1", 1.0]),
        "type": st.sampled_from(["command.started", "command", "a.b-c", "A.b", "", 1]),
        "boot": st.sampled_from(["b-0", "", "x", "0" * 65]),
        "cause": st.sampled_from([LEAF, LEAF.replace("5", "F"), "5" * 63, "\n", "é"]),
        "prev": st.sampled_from([LEAF, "", "\u2028"]),
        "seq": st.sampled_from([0, -1, 2**53, 1.0, "1"]),
        "actor": st.sampled_from(["a\nb", "\x7f", "x" * 256, "é", None]),
        "more": st.just(1),
    },
)


def made(body: Any = None, /, **fields: Any) -> bytes:
    entry = {
        "actor": "fixer", "body": body or {}, "boot": "b-0", "cause": "", "mono": 1, "origin": "h/12345678",
        "prev": LEAF, "request": "", "seq": 1, "session": "", "t": 1, "type": "a.b", "v": 1,
    }  # fmt: skip
    text = json.dumps({**entry, **fields}, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return text.encode(errors="surrogatepass")


def singly(data: bytes) -> strict.Row | None:
    try:
        return strict.form(data)
    except strict.NotCanonical:
        return None


def at_once(*entries: bytes) -> list[strict.Row] | None:
    return strict.forms(entries, b"\n".join((*entries, b"")))


def agree(*entries: bytes) -> None:
    rows = at_once(*entries)
    if rows is not None:
        assert strict.read_all(b"\n".join((*entries, b""))) == [singly(data) for data in entries]
        assert list(map(fields_of, rows)) == [fields_of(strict.form(data)) for data in entries]


def fields_of(row: strict.Row) -> dict[str, Any]:
    return {name: getattr(row, name) for name in strict.Row.__struct_fields__}


@given(st.lists(st.builds(made, BODIES) | st.builds(lambda b, f: made(b, **f), BODIES, FIELDS), max_size=4))
def test_whatever_is_in_an_entry(entries: list[bytes]) -> None:
    agree(*entries)


@given(st.lists(st.builds(made, BODIES), min_size=1, max_size=3), st.data())
def test_changed_bytes(entries: list[bytes], data: st.DataObject) -> None:
    number = data.draw(st.integers(0, len(entries) - 1))
    entry = entries[number]
    at, end = sorted((data.draw(st.integers(0, len(entry))), data.draw(st.integers(0, len(entry)))))
    new = data.draw(st.sampled_from([b"", b" ", b"\n", b'"', b"\\", b"0", b"}", b"\n{}\n", b"\xff", entry]))
    entries[number] = entry[:at] + new + entry[end:]
    agree(*entries)


DEEP: Any = "bottom"
for _ in range(30):
    DEEP = [DEEP]

REFUSED = {
    "a float": made({"a": 1.5}),
    "a float inside": made({"a": [{"b": [1.5]}]}),
    "a large integer": made({"a": 2**53}),
    "a large integer inside": made({"a": {"b": {"c": -(2**53)}}}),
    "deeper than may be": made({"a": [DEEP]}),
    "a key that is not ASCII": made({"é": 1}),
    "such a key inside": made({"a": [{"b": {"é": 1}}]}),
    "a key twice": made({"a": 1}).replace(b'"a":1', b'"a":1,"a":1'),
    "a field twice": made().replace(b'"v":1', b'"v":1,"v":1'),
    "an unknown field": made(x=1),
    "a field less": made().replace(b'"t":1,', b""),
    "keys out of order": made({"a": 1, "b": 1}).replace(b'"a":1,"b":1', b'"b":1,"a":1'),
    "such keys inside": made({"c": {"a": 1, "b": 1}}).replace(b'"a":1,"b":1', b'"b":1,"a":1'),
    "white space": made({"a": 1}).replace(b'"a":1', b'"a": 1'),
    "white space behind": made() + b" ",
    "a line feed before": b"\n" + made(),
    "a line feed behind": made() + b"\n",
    "a line feed inside": made().replace(b',"v"', b',\n"v"'),
    "two in one": made() + b"\n" + made(),
    "nothing": b"",
    "an escape that need not be": made({"a": "A"}).replace(b'"A"', b'"\\u0041"'),
    "minus zero": made({"a": 0}).replace(b'"a":0', b'"a":-0'),
    "no UTF-8": made({"a": "A"}).replace(b'"A"', b'"\xff"'),
    "a lone surrogate": made({"a": "\ud800"}),
    "another version": made(v=2),
    "a malformed type": made(type="command"),
    "a malformed boot": made(boot="x"),
    "a malformed cause": made(cause="x"),
    "a byte too many": made({"a": "x" * (strict.LIMIT - len(made({"a": ""})) + 1)}),
}


@pytest.mark.parametrize("name", REFUSED)
def test_one_that_is_refused_refuses_all(name: str) -> None:
    bad, good = REFUSED[name], made({"a": [{"b": 1}], "c": "é"})
    assert singly(bad) is None
    assert at_once(good, good) is not None
    for entries in ((bad,), (bad, good), (good, bad), (good, bad, good)):
        assert at_once(*entries) is None


def test_two_halves_are_not_one() -> None:
    """Bytes that fit together only across the border of two entries."""
    entry = made({"a": 1})
    assert at_once(entry[:40], entry[40:]) is None
    joined = entry + b"\n" + entry
    assert at_once(joined[:40], joined[40:]) is None


def test_what_is_usual_is_accepted_at_once() -> None:
    """Otherwise the above would compare nothing, and a ledger would be read one by one."""
    edge = made({"a": "x" * (strict.LIMIT - len(made({"a": ""})))})
    rows = at_once(made({"a": [{"b": [1, None, True]}], "s": "é\n"}), made(cause=LEAF), edge)
    assert rows is not None
    assert [row.body.keys() for row in rows] == [{"a", "s"}, set(), {"a"}]
    assert at_once(made({"a": DEEP})) is None, "too deep for the quick way: looked at by itself"
    assert singly(made({"a": DEEP})) is not None
