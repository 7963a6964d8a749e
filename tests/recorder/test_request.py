"""Contents are read in two ways, a quick and a careful one: both say the same of everything."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bastion.history import pack
from recorder import request
from recorder.request import Content, digest, parse
from recorder.votes import Violation
from tests.bench.record import CONTENT
from tests.recorder.judging import request as made_by_a_daemon

GOOD: dict[str, Any] = {**CONTENT, "id": "r-1", "session": "s-1", "sequence": 3, "command": "dXB0aW1l"}
MORE = {
    "script": "deploy.sh", "script_code": "Y29kZQ==", "author": "ana", "edits": "r-0", "answers": "",
    "emergency": "fire", "approvers": ["ops"], "assessment": {"score": 3.5},
}  # fmt: skip
ODD = st.sampled_from([
    None, True, False, 0, 1.0, 1e22, -1, 2**60, 2**64, 2**70, "", "x", "dXB0aW1l", "dXB0aW1", " dXB0aW1l",
    "\ud800", "\0é\u202e\U0001f600",
    [], ["x"], [1], [1.5], [["LANG", "C"]], [["\udfff", 1]], {}, {"a": 1e3},
])  # fmt: skip


def careful(data: bytes) -> Content:
    return request._parse(data)


def same(data: bytes) -> bool:
    """Is it a content?"""
    try:
        slow = careful(data)
    except Violation:
        with pytest.raises(Violation, match="content"):
            parse(data)
        return False
    quick = parse(data)
    codes = (quick.command, quick.stdin_code, quick.script_code)
    assert codes == (slow.command, slow.stdin_code, slow.script_code)
    for name in (*request._TEXTS, *request._EDITED, "emergency", "approvers", "script", "approvals"):
        assert quick.fields.get(name) == slow.fields.get(name)
    assert digest(quick) == digest(slow)
    return True


def test_the_usual_ones_are_read_quickly() -> None:
    for fields in (GOOD, {**GOOD, **MORE}, {**GOOD, "task": '\0\x7fé\u2028\U0001f600\\"'}):
        data = json.dumps(fields).encode()
        assert parse(data).plain
        assert same(data)


@pytest.mark.parametrize("changes", [{}, {"emergency": "fire"}, {"script": "deploy.sh", "script_code": b"id"}])
def test_what_a_daemon_keeps_is_read_quickly(changes: dict[str, Any]) -> None:
    made = made_by_a_daemon(**changes)
    assert parse(pack(made)).plain
    assert same(pack(made))
    assert digest(parse(pack(made))) == made.digest


@given(
    st.dictionaries(st.sampled_from(sorted({**GOOD, **MORE})), ODD, max_size=3),
    st.sets(st.sampled_from(sorted(GOOD)), max_size=1),
)
def test_both_ways_say_the_same(changes: dict[str, Any], without: set[str]) -> None:
    fields = {name: value for name, value in {**GOOD, **changes}.items() if name not in without}
    for ascii_ in (True, False):
        try:
            same(json.dumps(fields, ensure_ascii=ascii_).encode())
        except UnicodeEncodeError:
            continue


CHANGES = (
    *(
        b"",
        b" ",
        b"1.5",
        b"NaN",
        b"\xff",
        b'"id":"r-2",',
        b"\\ud800",
        b"[",
        b"\x00",
        b"\\x",
        b"\\u12",
        b"-",
        b"01",
        b"}",
    ),
    *(b'"', b"\xc3(", b"\xed\xa0\x80", b"9" * 30),
)


@pytest.mark.parametrize("put", CHANGES)
@pytest.mark.parametrize(
    "fields", [GOOD, {**GOOD, **MORE, "deep": {"a": ["b", 1.5, {"c": None}]}}], ids=["good", "more"]
)
def test_of_changed_bytes_too(fields: dict[str, Any], put: bytes) -> None:
    """At each place, also in what the quick way steps over."""
    data = json.dumps(fields).encode()
    for at in range(len(data) + 1):
        for cut in range(3):
            same(data[:at] + put + data[at + cut :])


def test_an_edited_one_says_what_was_edited() -> None:
    for missing in request._EDITED[1:]:
        fields = {name: value for name, value in {**GOOD, **MORE}.items() if name != missing}
        with pytest.raises(Violation, match="malformed"):
            parse(json.dumps(fields).encode())


def test_other_things_than_objects() -> None:
    for data in (b"", b"[]", b"null", b"1", b'"x"', b"[" * 100_000, "{}".encode("utf-16")):
        assert not same(data)
