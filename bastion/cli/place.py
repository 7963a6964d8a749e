"""A place in a recording, as people type it."""

from __future__ import annotations

import re

from bastion.errors import UsageError

_PLACE = re.compile(r"(?:(?:([0-9]{1,3}):)?([0-9]{1,2}):)?([0-9]{1,9})(?:\.([0-9]{1,6}))?", re.ASCII)


def place(text: str) -> int:
    """`83.5`, `1:23.5` or `0:01:23.5` in microseconds. Raises UsageError."""
    match = _PLACE.fullmatch(text.strip())
    if match is None:
        raise UsageError(f"{text!r} is no time", "83.5, 1:23.5 and 0:01:23.5 are the same one")
    hours, minutes, seconds, part = match.groups()
    whole = int(hours or 0) * 3600 + int(minutes or 0) * 60 + int(seconds)
    return whole * 1_000_000 + int((part or "").ljust(6, "0"))
