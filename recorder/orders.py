"""What people order to be taken out of a ledger's recordings (recorder.tombstones), in the form that they sign. Pure.

A statement is canonical JSON with exactly the fields of its kind, all text but `v`. Frames are named by ranges of their
numbers, ascending and not touching, so that there is one way to write them. Whoever reads an order writes it again, and
what does not come out as it went in is none.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from recorder.votes import Violation

NAMESPACE = "redaction@agent-bastion"
"""SSHSIG namespace: a signature for a vote is none for this."""
FIELDS = frozenset({"checkpoint", "contents", "expires", "frames", "origin", "reason", "session", "v"})
RANGES_LIMIT = 200
"""Ranges in one order: with two signatures it still fits into an entry of 16 KiB."""
_RANGE = re.compile(r"(0|[1-9][0-9]{0,11})-(0|[1-9][0-9]{0,11})", re.ASCII)
_NUMBER = re.compile(r"0|[1-9][0-9]{0,15}", re.ASCII)

Ranges = tuple[tuple[int, int], ...]
"""First and last number, ascending, not touching."""


@dataclass(frozen=True, slots=True)
class Order:
    """What shall be taken out."""

    origin: str
    session: str
    frames: Ranges
    """Numbers of frames within the session."""
    contents: tuple[int, ...]
    """Numbers of `request.proposed` entries."""
    reason: str
    expires: int
    """Microseconds since the epoch; not to be carried out later."""
    checkpoint: str
    """SHA-256 (hex) of the last checkpoint note that the first signer saw."""

    def encode(self) -> bytes:
        """What is signed: canonical JSON."""
        fields = {
            "checkpoint": self.checkpoint,
            "contents": ",".join(map(str, self.contents)),
            "expires": str(self.expires),
            "frames": ranges_text(self.frames),
            "origin": self.origin,
            "reason": self.reason,
            "session": self.session,
            "v": 1,
        }
        return json.dumps(fields, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()

    def covers(self, number: int) -> bool:
        """Is that frame to go?"""
        return any(first <= number <= last for first, last in self.frames)


def order_of(fields: Mapping[str, str]) -> Order:
    """The order with these fields of a statement. Raises Violation."""
    numbers = [text for text in fields["contents"].split(",") if text]
    if not all(_NUMBER.fullmatch(text) for text in numbers) or len(numbers) > RANGES_LIMIT:
        raise Violation("an order whose entries cannot be read")
    contents = tuple(map(int, numbers))
    if list(contents) != sorted(set(contents)):
        raise Violation("an order whose entries are not in order")
    frames = ranges_of(fields["frames"])
    if not (frames or contents) or not fields["reason"].strip():
        raise Violation("an order for nothing, or without a reason")
    return Order(
        fields["origin"], fields["session"], frames, contents, fields["reason"], int(fields["expires"]),
        fields["checkpoint"],
    )  # fmt: skip


def read_order(data: bytes) -> Order:
    """The order that these bytes state. Raises Violation for anything that `encode` cannot have made."""
    try:
        fields = json.loads(data)
    except (ValueError, RecursionError):
        raise Violation("an order that is no JSON") from None
    if not isinstance(fields, dict) or fields.keys() != FIELDS or fields.pop("v") != 1:
        raise Violation("an order of another form")
    if not all(isinstance(value, str) for value in fields.values()) or not _NUMBER.fullmatch(fields["expires"]):
        raise Violation("an order of another form")
    try:
        order = order_of(fields)
        if order.encode() == data:
            return order
    except UnicodeEncodeError:
        pass
    raise Violation("an order that is not in its form")


def ranges_text(ranges: Ranges) -> str:
    """As it stands in an entry."""
    return ",".join(f"{first}-{last}" for first, last in ranges)


def ranges_of(text: object) -> Ranges:
    """What `ranges_text` made. Raises Violation for anything else."""
    if not isinstance(text, str):
        raise Violation("numbers of frames that cannot be read")
    found: list[tuple[int, int]] = []
    for part in text.split(",") if text else ():
        match = _RANGE.fullmatch(part)
        if match is None or int(match[1]) > int(match[2]) or (found and int(match[1]) <= found[-1][1] + 1):
            raise Violation("numbers of frames that cannot be read")
        found.append((int(match[1]), int(match[2])))
    if len(found) > RANGES_LIMIT:
        raise Violation(f"more than {RANGES_LIMIT} ranges of frames")
    return tuple(found)


def joined(numbers: Iterable[int]) -> Ranges:
    """Ascending numbers as ranges."""
    found: list[tuple[int, int]] = []
    for number in numbers:
        if found and number == found[-1][1] + 1:
            found[-1] = (found[-1][0], number)
        else:
            found.append((number, number))
    return tuple(found)
