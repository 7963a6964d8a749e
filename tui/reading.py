"""Long text in rows, and which of it has been on the screen. Pure.

Theory of operation. `wrap` cuts a visible text into rows without losing, adding or reordering a character: rows are
slices `[start, next start)` of the text, so "every row was painted" means "every character was painted", whatever
the width was at the time. `Seen` collects the painted slices. An approval asks it two things: has the end been on
the screen, and how much never was.

Text of one request may be 1 MiB of one-character lines (524,288 rows), so rows are two machine arrays and are made
into strings only when they are painted.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from dataclasses import dataclass, field

from bastion.policy.visible import CLOSE, OPEN

MIN_WIDTH = 8
"""Characters a row; a narrower terminal is cut at its edge by the terminal, not by us."""


@dataclass(frozen=True, slots=True)
class Wrapped:
    """A text and where its rows begin."""

    text: str
    starts: array[int]
    """Offset of each row in `text`."""
    numbers: array[int]
    """Number of the line, from 1, that each row belongs to."""

    def __len__(self) -> int:
        return len(self.starts)

    def span(self, row: int) -> tuple[int, int]:
        """The slice of the text that the row stands for, a line break at its end included."""
        after = self.starts[row + 1] if row + 1 < len(self.starts) else len(self.text)
        return self.starts[row], after

    def row(self, row: int) -> str:
        """What is painted in the row."""
        start, end = self.span(row)
        return self.text[start:end].removesuffix("\n")

    def begins_line(self, row: int) -> bool:
        """The row is the first of its line, not a continuation."""
        return row == 0 or self.numbers[row - 1] != self.numbers[row]


def wrap(text: str, width: int) -> Wrapped:
    """`text` (as `policy.visible` made it: one cell a character) in rows of at most `width` characters.

    Rows end after a blank where one is near, never inside a mark `⟨…⟩` that fits on a row of its own. A text always
    has at least one row.
    """
    width = max(width, MIN_WIDTH)
    starts, numbers = array("I"), array("I")
    place = 0
    lines = text.split("\n")
    if len(lines) > 1 and not lines[-1]:
        lines.pop()
    for number, line in enumerate(lines, 1):
        begin = 0
        starts.append(place)
        numbers.append(number)
        while len(line) - begin > width:
            begin = _cut(line, begin, width)
            starts.append(place + begin)
            numbers.append(number)
        place += len(line) + 1
    return Wrapped(text, starts, numbers)


def _cut(line: str, begin: int, width: int) -> int:
    """Where the row that starts at `begin` ends; always beyond `begin`."""
    limit = begin + width
    blank = line.rfind(" ", begin + width // 2, limit)
    for place in (blank + 1, limit) if blank >= 0 else (limit,):
        opened = line.rfind(OPEN, begin, place)
        if opened < 0 or line.find(CLOSE, opened, place) >= 0:
            return place
        if opened > begin:
            return opened
    return limit


@dataclass(slots=True)
class Seen:
    """Which slices of a text have been painted."""

    _starts: list[int] = field(default_factory=list)
    _ends: list[int] = field(default_factory=list)

    def add(self, start: int, end: int) -> None:
        """The slice `[start, end)` was painted; an empty one says that the place was."""
        low = bisect_left(self._ends, start)
        high = bisect_right(self._starts, end)
        if low < high:
            start = min(start, self._starts[low])
            end = max(end, self._ends[high - 1])
        self._starts[low:high] = [start]
        self._ends[low:high] = [end]

    def reached(self, total: int) -> bool:
        """The end of a text of `total` characters has been painted."""
        return bool(self._ends) and self._ends[-1] >= total

    def missing(self, total: int) -> int:
        """Characters of the first `total` that never were painted."""
        pairs = zip(self._starts, self._ends, strict=True)
        return total - sum(max(0, min(end, total) - min(start, total)) for start, end in pairs)
