"""One entry of the ledger as canonical bytes. Pure.

An entry is one line of JSON in the RFC 8785 form, narrowed: ASCII keys, no floats, integers within ±(2^53 - 1), no
lone surrogates, at most 16 KiB and 32 levels. The bytes are hashed and stored as they are and never made again.

    {"actor","body","boot","cause","mono","origin","prev","request","seq","session","t","type","v"}

`leaf` is SHA-256(0x00 || bytes), the leaf hash of RFC 6962 section 2.1. `prev` is the leaf of the entry before, and
empty in entry 0. `cause` is the leaf of the earlier entry that this one answers, or empty. `t` (wall clock) and `mono`
(CLOCK_MONOTONIC) are microseconds as integers: 2^53 us reach to the year 2255, so they need not be strings; a clock
that reads outside is an EntryError. `boot` names the boot that `mono` counts from.

The origin of a ledger is `HOST/xxxxxxxx`, where the x are the first 8 hex digits of entry 0's leaf. Entry 0 cannot
hold its own hash: it carries HOST alone, every later entry the whole origin, and `origin_of` is the rule for both.
"""

from __future__ import annotations

import functools
import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

import msgspec

from recorder.errors import EntryError

VERSION = 1
ENTRY_LIMIT = 16 * 1024
"""Bytes in one entry: what tlog implementations assume of a leaf (a tile's entry has a 16-bit length), less some."""
INTEGER_LIMIT = (1 << 53) - 1
"""The largest integer that every JSON reader keeps exact (RFC 8785 section 3.2.2.3, ECMAScript MAX_SAFE_INTEGER)."""
DEPTH_LIMIT = 32
"""Levels of arrays and objects in a body. What we write has 3; readers in other languages stop at 64 and up."""
WORD_LIMIT = 255
"""Characters of type, actor, session, request and origin: none has a use for more, and POSIX names have this limit."""

Json = Any
"""A value of JSON without floats: str, int, bool, None, list, dict with ASCII keys. Checked when it is encoded."""

_HOST = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9.-]{0,198}[A-Za-z0-9])?", re.ASCII)
_HEX64 = re.compile(r"[0-9a-f]{64}", re.ASCII)
_TYPE = re.compile(r"[a-z]+(?:[.-][a-z]+)+", re.ASCII)
_MARK = re.compile(r"[0-9a-f]{8}", re.ASCII)
_BOOT = re.compile(r"[0-9a-f-]{1,64}", re.ASCII)
_FIELDS = {"actor", "body", "boot", "cause", "mono", "origin", "prev", "request", "seq", "session", "t", "type", "v"}


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry, with its bytes."""

    origin: str
    seq: int
    """Counts from 0, without gaps."""
    t: int
    """Wall clock, microseconds since the epoch. May go back when the clock does."""
    mono: int
    """Monotonic clock, microseconds; orders the entries of one boot."""
    boot: str
    """Identifier of the boot, 1-64 hex digits and dashes."""
    prev: str
    type: str
    actor: str
    session: str
    request: str
    cause: str
    body: Mapping[str, Json]
    bytes: bytes
    """The canonical form: what is hashed and stored."""
    leaf: str
    """Lower-case hex."""


def leaf_hash(data: bytes) -> bytes:
    """RFC 6962 section 2.1: SHA-256(0x00 || data)."""
    return hashlib.sha256(b"\x00" + data).digest()


def commitment(salt: bytes, data: bytes) -> bytes:
    """What stands in an entry for a payload: SHA-256(0x00 || salt || data). The salt has 16 bytes."""
    digest = hashlib.sha256(b"\x00" + salt)
    digest.update(data)
    return digest.digest()


def origin_of(host: str, genesis_leaf: str) -> str:
    """The origin of the ledger that begins with that leaf (hex)."""
    return f"{host}/{genesis_leaf[:8]}"


def canonical(value: Json) -> bytes:
    """The RFC 8785 form of a value. Raises EntryError for what the profile excludes."""
    _check(value, DEPTH_LIMIT)
    return _dump(value)


_encoder = msgspec.json.Encoder(order="sorted")
"""Keys are ASCII, so their order is that of RFC 8785 (UTF-16); strings are escaped as there (the tests compare every
character with json's)."""


def _dump(value: Json) -> bytes:
    try:
        return _encoder.encode(value)
    except UnicodeEncodeError:
        raise EntryError("text with a lone surrogate") from None


def encode(
    *,
    origin: str,
    seq: int,
    t: int,
    mono: int,
    boot: str,
    prev: str,
    type: str,
    actor: str,
    session: str,
    request: str,
    cause: str,
    body: Mapping[str, Json],
) -> Entry:
    """Build an entry. Raises EntryError for values that cannot stand in one, and for more than ENTRY_LIMIT bytes."""
    fields = {
        "v": VERSION,
        "origin": origin,
        "seq": seq,
        "t": t,
        "mono": mono,
        "boot": boot,
        "prev": prev,
        "type": type,
        "actor": actor,
        "session": session,
        "request": request,
        "cause": cause,
        "body": dict(body),
    }
    _check_fields(fields)
    _check(fields["body"], DEPTH_LIMIT - 1)
    data = _dump(fields)
    if len(data) > ENTRY_LIMIT:
        raise EntryError(f"an entry of {len(data)} bytes; the limit is {ENTRY_LIMIT}", "put bulk into a payload")
    return _entry(fields, data)


def decode(data: bytes) -> Entry:
    """Read an entry. Raises EntryError for any bytes that `encode` cannot have made."""
    if len(data) > ENTRY_LIMIT:
        raise EntryError(f"an entry of {len(data)} bytes; the limit is {ENTRY_LIMIT}")
    try:
        fields = _decoder.decode(data.decode())
    except (ValueError, RecursionError) as error:  # UnicodeDecodeError and JSONDecodeError are ValueErrors
        raise EntryError(f"not JSON of an entry: {error}") from None
    if not isinstance(fields, dict) or fields.keys() != _FIELDS:
        raise EntryError("not the fields of an entry")
    _check_fields(fields)
    if not data.isascii() or data.count(b"[") + data.count(b"{") > DEPTH_LIMIT:
        _check(fields, DEPTH_LIMIT)  # otherwise the decoder has seen to it: no key can be other than ASCII or too deep
    if _dump(fields) != data:  # also catches repeated keys, -0, escapes and white space
        raise EntryError("not in canonical form")
    return _entry(fields, data)


def _entry(fields: dict[str, Any], data: bytes) -> Entry:
    return Entry(
        fields["origin"], fields["seq"], fields["t"], fields["mono"], fields["boot"], fields["prev"], fields["type"],
        fields["actor"], fields["session"], fields["request"], fields["cause"], fields["body"],
        data, leaf_hash(data).hex(),
    )  # fmt: skip


def _no_float(text: str) -> NoReturn:
    raise ValueError(f"{text[:20]} is a float")


def _integer(text: str) -> int:
    value = int(text)
    if not -INTEGER_LIMIT <= value <= INTEGER_LIMIT:
        raise ValueError(f"{text[:20]} is outside 2^53")
    return value


_decoder = json.JSONDecoder(parse_float=_no_float, parse_constant=_no_float, parse_int=_integer)


def _check_fields(fields: dict[str, Any]) -> None:
    """The rules of single fields. `origin` of entry 0 is a host; that of others a host, a slash and 8 hex digits."""
    if fields["v"] != VERSION or type(fields["v"]) is not int:
        raise EntryError(f"version {fields['v']!r} is not known here")
    for name in ("seq", "t", "mono"):
        value = fields[name]
        if type(value) is not int or not 0 <= value <= INTEGER_LIMIT:
            raise EntryError(f"{name} is out of range")
    for name in ("origin", "boot", "prev", "type", "actor", "session", "request", "cause"):
        value = fields[name]
        if type(value) is not str or len(value) > WORD_LIMIT:
            raise EntryError(f"{name} is no text of at most {WORD_LIMIT} characters")
    seq = fields["seq"]
    _check_origin(fields["origin"], seq == 0)
    if not (_HEX64.fullmatch(fields["prev"]) if seq else fields["prev"] == ""):
        raise EntryError("prev is no leaf")
    if fields["cause"] and not _HEX64.fullmatch(fields["cause"]):
        raise EntryError("cause is no leaf")
    if not _TYPE.fullmatch(fields["type"]):
        raise EntryError(f"{fields['type']!r} is no entry type", "words with dots, such as session.opened")
    if not _BOOT.fullmatch(fields["boot"]):
        raise EntryError("boot is no boot identifier")
    if not isinstance(fields["body"], dict):
        raise EntryError("body is no object")


@functools.lru_cache(maxsize=8)
def _check_origin(origin: str, first: bool) -> None:
    """It is the same in nearly all entries that somebody has at hand."""
    host, slash, mark = origin.partition("/")
    if not _HOST.fullmatch(host):
        raise EntryError("the origin is no host name", "letters, digits, dots and dashes, at most 200")
    if (bool(slash) is first) or (slash and not _MARK.fullmatch(mark)):
        raise EntryError("the origin does not have the form for this number")


def _check(value: object, depth: int) -> None:
    """Exact types only: a bool is no int here, and a subclass could print itself in another way."""
    kind = type(value)
    if kind is str or kind is bool or value is None:
        return
    if kind is int:  # which tells mypy nothing of the value
        if not -INTEGER_LIMIT <= value <= INTEGER_LIMIT:  # type: ignore[operator]
            raise EntryError("an integer outside 2^53", "write it as a string")
    elif depth == 0:
        raise EntryError(f"more than {DEPTH_LIMIT} levels")
    elif isinstance(value, dict):
        for key, item in value.items():
            if type(key) is not str or not key.isascii():
                raise EntryError(f"{str(key)[:40]!r} is no ASCII key")
            if type(item) is not str:  # as nearly all are
                _check(item, depth - 1)
    elif isinstance(value, list | tuple):
        for item in value:
            _check(item, depth - 1)
    else:
        raise EntryError(f"{kind.__name__} has no place in an entry", "str, int, bool, None, list or dict")
