"""Where in some bytes a secret stands. Pure.

Theory of operation. What a secret looks like is data (secrets.toml): a public part in front (a name, an option, the
prefix of a token), the characters that the secret consists of, and what must follow. All rules are one RE2 expression,
so the time is linear in the bytes whatever they are, and the rules are asked from left to right: of two that begin at
the same place the first in the file counts. What RE2 cannot say (a value is a variable, looks random, holds a dot) is
looked at afterwards, at the first LOOK bytes of a value, once.

`find` is for what is there as a whole: a command, a reason, a line of a screen. `Stream` is for what comes piece by
piece: it gives back as many bytes as it gets, with secrets overwritten, and keeps back at most HOLD of them, only while
they may be the beginning of a secret; the public part is never kept back, so that a prompt shows at once. What it gave
out it remembers as context, for a secret whose name came in an earlier piece. Terminal sequences (CSI) within a secret
do not hide it.

What this is for: that secrets do not lie about, in lists, logs and transcripts. What it is not: a wall. It knows forms
and names; a password in prose, one that has no name beside it, and whatever somebody encodes, reverses or prints letter
by letter on lines of their own, it does not see. An agent that may read a file can always read it out in another form.
"""

from __future__ import annotations

import re
import tomllib
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

import re2

HOLD = 4096
"""Bytes that a stream keeps back at most. The longest token in use, a JWT with many claims, has about that."""
CONTEXT = 1024
"""Bytes given out that a stream still looks at: a public part in front of a secret, an option line of usual length."""
LOOK = 256
"""Bytes of a value that are looked at to tell whether it looks random."""
BLOCK = 64 << 10
"""Bytes of a private key in armour. An RSA key of 16,384 bits has 13 KiB."""
RUN = 64 << 10
"""Bytes that a secret without an end is followed for."""
AGAIN = 64
"""Bytes of what turned out to be none that are looked at again, for another; of more than a name is made of, none: each
byte would be looked at as often."""
TAG = b"[secret]"

_MEMORY = 32 << 20
"""Bytes for RE2's automaton. It fills up to that for hostile input only."""
_END = b"-----END "
_SEQUENCE = rb"\x1b(?:\[[0-?]*[ -/]*[@-~]?|[ -/]*[0-OQ-WYZ\\^-~]|\z)"
"""CSI, also one that is cut short, and sequences of two characters; not the texts of OSC, DCS, SOS, PM and APC."""
_STARS = bytes(each if each in b"\r\n" else 0x2A for each in range(256))
"""What is laid out in lines stays so."""
_WORDS = frozenset({b"none", b"null", b"nil", b"true", b"false", b"undefined", b"password", b"prompt", b"required"})
"""Values that say that there is none."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One form."""

    name: str
    before: str
    chars: str
    least: int
    most: int
    """0: no limit."""
    after: str
    holds: bytes
    mixed: bool
    literal: bool
    """A value that is a variable, a placeholder or empty is none."""
    block: bool
    """The secret is what lies between this line and `-----END`."""
    source: str
    hit: tuple[str, ...]
    miss: tuple[str, ...]

    def accepts(self, value: bytes) -> bool:
        """Whether that is a secret, by what RE2 did not look at."""
        head = value[:LOOK]
        if self.holds and self.holds not in head:
            return False
        if self.literal and (head[:1] in b"$<{%*-=" or head.lower() in _WORDS):
            return False
        return not self.mixed or _mixed(head)


@dataclass(frozen=True, slots=True)
class Span:
    """Where a secret stands."""

    start: int
    end: int
    rule: Rule


class Finder:
    """The rules, ready."""

    def __init__(self, rules: tuple[Rule, ...]) -> None:
        self.rules = rules
        # without groups RE2 stays in its automaton; which rule it was is asked of the few bytes that were found
        self._whole = _compile("|".join(_without_group(_expression(rule)) for rule in rules))
        self._which = re2.Set.MatchSet(_options())
        for rule in rules:
            self._which.Add(_expression(rule).encode("latin-1"))
        self._which.Compile()
        self._each = [_compile(_expression(rule)) for rule in rules]
        begun = [f"{rule.before}({rule.chars}+)" for rule in rules if not rule.block]
        self._begun = _compile(f"(?:{'|'.join(begun)})\\z")
        self._runs = {rule.name: _compile(f"{rule.chars}*") for rule in rules if not rule.block}
        self._sequence = _compile(_SEQUENCE.decode())

    def find(self, data: bytes) -> list[Span]:
        """The secrets in `data`, in order; they do not overlap. Of a private key all between its ends."""
        spans: list[Span] = []
        at = 0
        while (found := self._whole.search(data, at)) is not None:
            first, last = found.span()
            at = first + 1
            span = self._span(data, first, last)
            if span is not None:
                if span.end > span.start and (span.rule.block or span.rule.accepts(data[span.start : span.end])):
                    at = max(span.end, at)
                    spans.append(span)
                else:  # it may be how another one begins: `secret_of= PGPASSWORD=x`
                    at = max(span.start if span.end - span.start <= AGAIN else span.end, at)
        return spans

    def _span(self, data: bytes, first: int, last: int) -> Span | None:
        """Which rule it was that matched there, and where its secret stands."""
        for number in sorted(self._which.Match(data[first : last + 1])):
            rule, found = self.rules[number], self._each[number].match(data, first)
            if found is None:  # what stands before `first` matters to it
                continue
            if not rule.block:
                return Span(found.start(1), found.end(1), rule)
            end = data.find(_END, found.end(), found.end() + BLOCK)
            return Span(found.end(), end if end >= 0 else min(len(data), found.end() + BLOCK), rule)
        return None

    def begun(self, data: bytes) -> int:
        """Where at the end of `data` something begins that may become a secret; its length where there is none."""
        found = self._begun.search(data)
        return len(data) if found is None else found.start(found.lastindex)

    def run(self, rule: Rule, data: bytes, start: int) -> int:
        """Where from `start` on the secret of that rule ends."""
        return int(self._runs[rule.name].match(data, start).end())

    def plain(self, data: bytes) -> Plain:
        """The bytes without terminal sequences."""
        if b"\x1b" not in data:
            return Plain(data, [0], [0])
        parts, starts, places, at, size = [], [], [], 0, 0
        for found in self._sequence.finditer(data):
            if found.start() > at:
                parts.append(data[at : found.start()])
                starts.append(size)
                places.append(at)
                size += found.start() - at
            at = found.end()
        parts.append(data[at:])
        starts.append(size)
        places.append(at)
        return Plain(b"".join(parts), starts, places)


@dataclass(frozen=True, slots=True)
class Plain:
    """Bytes without terminal sequences, and where they stood."""

    data: bytes
    starts: list[int]
    """Where in `data` the pieces begin …"""
    places: list[int]
    """… and where they stood."""

    def place(self, at: int) -> int:
        """Where the byte `at` of `data` stood."""
        number = bisect_right(self.starts, at) - 1
        return self.places[number] + at - self.starts[number]

    def at(self, place: int) -> int:
        """The first byte of `data` that stood at `place` or behind it."""
        number = bisect_right(self.places, place) - 1
        if number < 0:
            return 0
        end = self.starts[number + 1] if number + 1 < len(self.starts) else len(self.data)
        return min(self.starts[number] + place - self.places[number], end)

    def pieces(self, start: int, end: int) -> Iterator[tuple[int, int]]:
        """The places of the bytes [start, end)."""
        number = bisect_right(self.starts, start) - 1
        while start < end:
            last = self.starts[number + 1] if number + 1 < len(self.starts) else len(self.data)
            stop = min(end, last)
            if stop > start:
                place = self.places[number] + start - self.starts[number]
                yield place, place + stop - start
            start, number = max(stop, start), number + 1


class Stream:
    """One direction of bytes, with secrets overwritten by as many other bytes. See the file's header."""

    def __init__(self, finder: Finder | None = None) -> None:
        self._finder = finder or finder_of()
        self._context = self._held = b""
        self._open: Rule | None = None
        """The last secret reached the end of what came."""
        self._left = 0
        """Bytes for which it is followed."""
        self.found = 0
        """Secrets so far."""

    def feed(self, data: bytes) -> bytes:
        """What may go on now."""
        return self._work(data, last=False)

    def flush(self) -> bytes:
        """What was kept back: there will be no more."""
        out = self._work(b"", last=True)
        self._open, self._context = None, b""
        return out

    def _work(self, data: bytes, *, last: bool) -> bytes:
        if not data and not self._held:
            return b""
        base = len(self._context)
        scan = b"".join((self._context, self._held, data))
        plain = self._finder.plain(scan)
        text, begin = plain.data, plain.at(base)
        out = bytearray(scan)
        at = self._go_on(plain, begin, out) if self._open is not None else begin
        for span in self._finder.find(text):
            if span.end > at:
                self._cover(plain, max(span.start, begin), span.end, out)
                self.found += span.start >= begin
                at = span.end
                if span.end == len(text):
                    self._open, self._left = span.rule, BLOCK if span.rule.block else RUN
        keep = len(scan)
        if not last and self._open is None:
            start = max(self._finder.begun(text[-HOLD - CONTEXT :]) + max(0, len(text) - HOLD - CONTEXT), at)
            if start < len(text) and len(text) - start <= HOLD:
                keep = max(plain.place(start), base)
        known = plain.place(at) if begin < at < len(text) else 0  # what was found there needs not be found again
        self._context, self._held = scan[max(known, keep - CONTEXT) : keep] if known < keep else b"", scan[keep:]
        return bytes(out[base:keep])

    def _go_on(self, plain: Plain, begin: int, out: bytearray) -> int:
        """The secret that reached the end of the piece before: where it ends."""
        rule, text = self._open, plain.data
        assert rule is not None  # noqa: S101 -- the caller looked
        if rule.block:
            end = text.find(_END, max(0, begin - len(_END)))
            end = len(text) if end < 0 else max(end, begin)
        else:
            end = self._finder.run(rule, text, begin)
        self._left -= end - begin
        self._cover(plain, begin, end, out)
        if end < len(text) or self._left <= 0:
            self._open = None
        return end

    def _cover(self, plain: Plain, start: int, end: int, out: bytearray) -> None:
        at = 0
        for first, stop in plain.pieces(start, end):
            covered = bytearray(out[first:stop].translate(_STARS))
            if at < len(TAG) <= end - start and b"\n" not in covered and b"\r" not in covered:
                part = TAG[at : at + len(covered)]
                covered[: len(part)] = part
            out[first:stop] = covered
            at += stop - first


def overwrite(data: bytes, finder: Finder | None = None) -> bytes:
    """The same number of bytes, with secrets overwritten."""
    stream = Stream(finder)
    return stream.feed(data) + stream.flush()


@cache
def finder_of() -> Finder:
    """The rules of secrets.toml."""
    return Finder(rules_of(resources.files(__package__).joinpath("secrets.toml").read_text("utf-8")))


def rules_of(text: str) -> tuple[Rule, ...]:
    """The rules in a text of that form. Raises KeyError, TypeError or tomllib.TOMLDecodeError for another."""
    return tuple(_rule(row) for row in tomllib.loads(text)["rule"])


def _rule(row: dict[str, Any]) -> Rule:
    known = set(Rule.__dataclass_fields__)
    if extra := row.keys() - known:
        raise KeyError(f"{row['name']}: {', '.join(sorted(extra))}")
    values: dict[str, Any] = {"chars": "", "least": 1, "most": 0, "after": "", "holds": ""}
    values |= {"mixed": False, "literal": False, "block": False} | row
    values |= {"holds": values["holds"].encode(), "hit": tuple(row["hit"]), "miss": tuple(row["miss"])}
    return Rule(**values)


def _expression(rule: Rule) -> str:
    if rule.block:
        return f"({rule.before})"
    count = f"{{{rule.least},{rule.most or ''}}}" if rule.least > 1 or rule.most else "+"
    return f"{rule.before}({rule.chars}{count}){rule.after}"


def _options() -> Any:
    options = re2.Options()
    options.encoding = re2.Options.Encoding.LATIN1
    options.max_mem = _MEMORY
    options.log_errors = False
    return options


def _compile(expression: str) -> Any:
    return re2.compile(expression.encode("latin-1"), _options())


def _without_group(expression: str) -> str:
    """The expression with its one group made a non-capturing one. No rule writes a parenthesis in another way."""
    return re.sub(r"\((?!\?)", "(?:", expression)


def _mixed(value: bytes) -> bool:
    """A letter and a digit, and not the same few characters again and again: what a random text of 10 has."""
    digits = sum(48 <= each <= 57 for each in value)
    letters = sum(65 <= each <= 90 or 97 <= each <= 122 for each in value)
    return bool(digits and letters) and len(set(value)) * 5 >= min(len(value), 20) * 2
