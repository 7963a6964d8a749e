"""What changes in a file, as lines for a person; or why they are not shown. Pure.

A unified diff of text, with a mark in front of every line that no path of a description has, so that no content can
pass for a part of the description. Bytes are not decoded: whoever shows them makes them visible. What is not text, and
what is too long to be read, is said to be not shown, with its size.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass

SIDE_LIMIT = 64 << 10
"""Bytes of a file that are compared; difflib takes the square of the lines, and a person reads a few hundred."""

LINES_LIMIT = 2_000
"""Lines of one side that are compared, behind what both sides have alike at their ends."""

MARK = b"    | "


@dataclass(frozen=True, slots=True)
class Difference:
    """Lines to show, or why there are none."""

    lines: tuple[bytes, ...]
    """Without their line ends."""
    hidden: str = ""
    """Why the content is not shown; empty where it is."""

    @property
    def size(self) -> int:
        """Bytes that it takes in a description."""
        return sum(len(line) + len(MARK) + 1 for line in self.lines)


def compare(old: bytes | None, new: bytes | None) -> Difference:
    """From `old` to `new`; None: there is no file. Both are whole, at most SIDE_LIMIT bytes each."""
    before, after = old or b"", new or b""
    if len(before) > SIDE_LIMIT or len(after) > SIDE_LIMIT:
        return Difference((), f"more than {SIDE_LIMIT >> 10} KiB")
    if not (_is_text(before) and _is_text(after)):
        return Difference((), "not text")
    left, right = _lines(before), _lines(after)
    if left == right:
        return Difference(())
    head = _common(left, right)
    tail = _common(left[head:][::-1], right[head:][::-1])
    if max(len(left), len(right)) - head - tail > LINES_LIMIT:
        return Difference((), f"more than {LINES_LIMIT} lines")
    return Difference(tuple(_unified(left, right, head, tail)))


def _is_text(data: bytes) -> bool:
    if b"\0" in data:
        return False
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _lines(data: bytes) -> list[bytes]:
    """Split at LF only, which stays; a last line without one is another line than the same with it."""
    *whole, rest = data.split(b"\n")
    return [line + b"\n" for line in whole] + ([rest] if rest else [])


def _common(left: list[bytes], right: list[bytes]) -> int:
    count = 0
    for one, other in zip(left, right, strict=False):
        if one != other:
            break
        count += 1
    return count


CONTEXT = 3
"""Lines around a change, as diff -u has them."""


def _unified(left: list[bytes], right: list[bytes], head: int, tail: int) -> list[bytes]:
    """Only the part between the common ends is compared, with some of them around it."""
    start = max(0, head - CONTEXT)
    end = max(0, tail - CONTEXT)
    before, after = left[start : len(left) - end], right[start : len(right) - end]
    texts = [[line.decode("latin-1") for line in side] for side in (before, after)]
    out: list[bytes] = []
    for line in difflib.unified_diff(texts[0], texts[1], n=CONTEXT):
        if line.startswith(("---", "+++")) and not out and line.rstrip() in ("---", "+++"):
            continue
        out += _written(_moved(line, start) if line.startswith("@@") and line.endswith("@@\n") else line)
    return out


def _moved(line: str, by: int) -> str:
    """A hunk's header, `@@ -A,B +C,D @@`, counted from the beginning of the file."""

    def move(part: str) -> str:
        sign, numbers = part[0], part[1:]
        first, comma, count = numbers.partition(",")
        return f"{sign}{int(first) + by}{comma}{count}"

    _, old, new, _ = line.split()
    return f"@@ {move(old)} {move(new)} @@\n"


def _written(line: str) -> list[bytes]:
    data = line.encode("latin-1")
    return [data[:-1]] if data.endswith(b"\n") else [data, b"\\ no newline at the end"]
