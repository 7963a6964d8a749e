"""The verifier's own reading of an entry's bytes. Pure.

It shares nothing with `recorder.entry`, which wrote them: another parser (msgspec), another encoder to compare with,
its own rules. A mistake in one is then a disagreement, which a test looks for, and not a blind spot. It is also ten
times as fast, and the verifier reads everything.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Annotated, Any

import msgspec

LIMIT = 16 * 1024
INTEGER = (1 << 53) - 1
DEPTH = 32
WORD = 255


class NotCanonical(ValueError):
    """The bytes are no entry in canonical form."""


Value = str | Annotated[int, msgspec.Meta(ge=-INTEGER, le=INTEGER)] | bool | list[Any] | dict[str, Any] | None
"""A value of a body: no floats, no large integers. msgspec looks at the first level, `_values` at those below."""


Word = Annotated[str, msgspec.Meta(max_length=WORD)]
Natural = Annotated[int, msgspec.Meta(ge=0, le=INTEGER)]


class Row(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """An entry's fields, all of them required."""

    actor: Word
    body: dict[str, Value]
    boot: str
    cause: str
    mono: Natural
    origin: Word
    prev: str
    request: Word
    seq: Natural
    session: Word
    t: Natural
    type: str
    v: int


_Scalar = str | Annotated[int, msgspec.Meta(ge=-INTEGER, le=INTEGER)] | bool | None
_One = _Scalar | list[_Scalar] | dict[str, _Scalar]
_Two = _Scalar | list[_One] | dict[str, _One]
_Three = _Scalar | list[_Two] | dict[str, _Two]


class _Nested(Row):
    """One whose values msgspec looks at on every level, of which there are four: what we write has three."""

    body: dict[str, _Three]


_decoder = msgspec.json.Decoder(Row)
_lines: Callable[[bytes], list[Any]] = msgspec.json.Decoder(_Nested).decode_lines
_again: Callable[[bytes], list[Row]] = msgspec.json.Decoder(Row).decode_lines
_encoder = msgspec.json.Encoder(order="sorted")
_hash = re.compile(r"[0-9a-f]{64}", re.ASCII).fullmatch


def parse(data: bytes) -> Row:
    """The entry. Raises NotCanonical. Whether seq, origin, prev and cause fit its neighbours, the caller checks."""
    row = form(data)
    if row.prev and not _hash(row.prev):
        raise NotCanonical("prev or cause is no leaf")
    return row


def form(data: bytes) -> Row:
    """As `parse`, but that `prev` may be any text: for a caller who knows what it must be."""
    if len(data) > LIMIT:
        raise NotCanonical(f"{len(data)} bytes; an entry has at most {LIMIT}")
    try:
        row = _decoder.decode(data)
        again = _encoder.encode(row)
    except (msgspec.MsgspecError, UnicodeError, RecursionError, ValueError) as error:
        raise NotCanonical(str(error)) from None
    if again != data:
        raise NotCanonical("not in canonical form")
    if row.v != 1:
        raise NotCanonical(f"version {row.v} is not known here")
    if not _are_words(row.type, row.boot):
        raise NotCanonical("a malformed type or boot")
    if row.cause and not _hash(row.cause):
        raise NotCanonical("prev or cause is no leaf")
    if not data.isascii():
        _ascii_keys(row.body)
    if b"[" in data or data.count(b"{") != 2:  # otherwise nothing is nested, and msgspec has looked at the values
        for value in row.body.values():
            kind = type(value)
            if kind is dict or kind is list:
                _values(value, DEPTH - 2)
    return row


def forms(entries: Sequence[bytes], text: bytes) -> list[Row] | None:
    """What `form` gives of each of them; None: not every one is in its form, or it takes a look at each to tell. A
    cause that is the same text as `prev` is not looked at: the caller knows what `prev` must be.

    `text` is the entries, each with a line feed behind it. All of them are decoded at once, encoded at once and looked
    at as a whole, which takes half of the time. The encoder writes a line feed behind each and nowhere else; so where
    it gives `text`, no entry has one inside, and the rows are those of the entries, one by one.
    """
    try:
        rows = _lines(text)
        if _encoder.encode_lines(rows) != text or len(rows) != len(entries):
            return None
    except (msgspec.MsgspecError, UnicodeError, RecursionError, ValueError):
        return None
    whole = (
        max(map(len, entries), default=0) <= LIMIT
        and {row.v for row in rows} <= {1}
        and all(map(_is_type, {row.type for row in rows}))
        and all(map(_is_boot, {row.boot for row in rows}))
        and all(not cause or _hash(cause) for cause in {row.cause for row in rows if row.cause != row.prev})
    )
    if not whole:
        return None
    if not text.isascii():
        try:
            for row in rows:
                _ascii_keys(row.body)
        except NotCanonical:
            return None
    return rows


def read_all(text: bytes) -> list[Row]:
    """Entries with a line feed behind each, that `form` has accepted before, so that none has one inside; once more.
    Raises msgspec.MsgspecError."""
    return _again(text)


def is_hash(text: object) -> bool:
    """64 lower-case hex digits?"""
    return isinstance(text, str) and _hash(text) is not None


@lru_cache(maxsize=1024)
def _are_words(kind: str, boot: str) -> bool:
    return _is_type(kind) and _is_boot(boot)


def _is_boot(text: str) -> bool:
    return 1 <= len(text) <= 64 and set(text) <= set("0123456789abcdef-")


def _is_type(text: str) -> bool:
    words = text.replace("-", ".").split(".")
    return (
        len(words) > 1
        and len(text) <= WORD
        and all(word.isascii() and word.isalpha() and word.islower() for word in words)
    )


def _values(value: Any, depth: int) -> None:
    """No floats, no large integers, not too deep."""
    if depth == 0:
        raise NotCanonical("too deep")
    for item in value.values() if type(value) is dict else value:
        kind = type(item)
        if kind is int:
            if not -INTEGER <= item <= INTEGER:
                raise NotCanonical("an integer outside 2^53")
        elif kind is float:
            raise NotCanonical("a float")
        elif kind is dict or kind is list:
            _values(item, depth - 1)


def _ascii_keys(value: object) -> None:
    if isinstance(value, dict):
        for key, item in value.items():
            if not key.isascii():
                raise NotCanonical("a key that is not ASCII")
            _ascii_keys(item)
    elif isinstance(value, list):
        for item in value:
            _ascii_keys(item)
