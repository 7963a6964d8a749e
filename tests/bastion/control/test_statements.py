"""Statements: one spelling each, and nothing else reads."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from bastion.control.statements import (
    StatementError,
    VoteStatement,
    WhitelistStatement,
    decode_vote,
    decode_whitelist,
    encode,
)
from bastion.model import Choice

TEXT = st.text(st.characters(exclude_categories=["Cs"]))
TIME = st.integers(0, 10**19 - 1)
PLAIN_VOTES = st.builds(
    VoteStatement,
    origin=TEXT, proposal=TEXT, request=TEXT, digest=TEXT, choice=st.sampled_from(Choice), reason=TEXT,
    expires=TIME, checkpoint=TEXT,
)  # fmt: skip
MODED = st.tuples(PLAIN_VOTES, st.sampled_from(["line", "raw"]), st.integers(0, 9999)).map(
    lambda drawn: dataclasses.replace(drawn[0], mode=drawn[1], seconds=str(drawn[2]))
)
VOTES = PLAIN_VOTES | MODED
ENTRIES = st.builds(
    WhitelistStatement,
    origin=TEXT, command=TEXT, pattern=TEXT, identity=TEXT, target=TEXT, env=TEXT, login=TEXT, code=TEXT, tier=TEXT,
    expires=TIME, checkpoint=TEXT,
)  # fmt: skip
VOTE = VoteStatement("o", "p", "r", "d", Choice.APPROVE, "w", 5, "c")


@given(VOTES)
def test_a_vote_reads_back(vote: VoteStatement) -> None:
    assert decode_vote(encode(vote)) == vote


@given(ENTRIES)
def test_a_whitelist_entry_reads_back(entry: WhitelistStatement) -> None:
    assert decode_whitelist(encode(entry)) == entry


@given(VOTES | ENTRIES)
def test_the_form_is_rfc_8785(statement: VoteStatement | WhitelistStatement) -> None:
    assert encode(statement) == rfc8785.dumps(json.loads(encode(statement)))


def test_the_exact_bytes() -> None:
    assert encode(VOTE) == (
        b'{"checkpoint":"c","choice":"approve","digest":"d","expires":"5","origin":"o","proposal":"p",'
        b'"reason":"w","request":"r","v":1}'
    )


def test_a_mode_stands_in_the_bytes_only_when_there_is_one() -> None:
    moded = dataclasses.replace(VOTE, mode="raw", seconds="300")
    assert b'"mode":"raw",' in encode(moded)
    assert b'"seconds":"300"' in encode(moded)
    for data in (
        encode(moded).replace(b'"300"', b'"0300"'),
        encode(moded).replace(b'"300"', b'"-1"'),
        encode(moded).replace(b'"300"', b'"99999"'),
        encode(moded).replace(b'"raw"', b'""'),
        encode(moded).replace(b'"mode":"raw",', b""),
        encode(VOTE).replace(b'"origin"', b'"mode":"","origin"'),
    ):
        with pytest.raises(StatementError):
            decode_vote(data)


@given(VOTES, ENTRIES)
def test_one_kind_never_reads_as_the_other(vote: VoteStatement, entry: WhitelistStatement) -> None:
    with pytest.raises(StatementError):
        decode_whitelist(encode(vote))
    with pytest.raises(StatementError):
        decode_vote(encode(entry))


def changed(**fields: Any) -> bytes:
    value = {**json.loads(encode(VOTE)), **fields}
    value = {name: field for name, field in value.items() if field is not ...}
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"null",
        b"[]",
        b"{}",
        b"[" * 100_000,
        b"\xff",
        changed(v=2),
        changed(v="1"),
        changed(v=...),
        changed(extra="x"),
        changed(reason=...),
        changed(reason=1),
        changed(reason=None),
        changed(choice="maybe"),
        changed(choice=""),
        changed(expires=5),
        changed(expires="-5"),
        changed(expires="05"),
        changed(expires="+5"),
        changed(expires="5.0"),
        changed(expires=""),
        changed(expires="٥"),
        changed(expires="1" * 20),
        changed(reason="\udc00"),
        encode(VOTE) + b"\n",
        b" " + encode(VOTE),
        encode(VOTE).replace(b",", b", "),
        encode(VOTE).replace(b'"w"', b'"\\u0077"'),
        encode(VOTE).replace(b'"reason":"w"', b'"reason":"v","reason":"w"'),
        json.dumps(dict(reversed(json.loads(encode(VOTE)).items())), separators=(",", ":")).encode(),
    ],
)
def test_everything_else_is_refused(data: bytes) -> None:
    with pytest.raises(StatementError):
        decode_vote(data)


@given(st.binary() | st.text().map(str.encode))
def test_garbage_raises_one_type(data: bytes) -> None:
    for decode in (decode_vote, decode_whitelist):
        with pytest.raises(StatementError):
            decode(data)


@given(VOTES, st.integers(0, 400), st.integers(1, 255))
def test_a_changed_byte_is_another_vote_or_none(vote: VoteStatement, at: int, flip: int) -> None:
    data = bytearray(encode(vote))
    data[at % len(data)] ^= flip
    try:
        read = decode_vote(bytes(data))
    except StatementError:
        return
    assert read != vote
    assert encode(read) == bytes(data)
