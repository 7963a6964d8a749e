"""A document of rows that a widget paints one by one. Pure.

A document is a list of blocks: ready rows, and sources (long texts, numbered, wrapped, see `tui/reading.py`). A row
knows which characters of the must-be-read text it stands for, so that painting it can be counted. Styles are names;
the widget gives them colours. All text in here has been made visible already.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import accumulate

from bastion.policy.visible import CLOSE, NEWLINE, OPEN
from tui.reading import Wrapped, wrap
from tui.syntax import Colours

PLAIN = Colours()
Parts = tuple[tuple[str, str], ...]
"""Text and style name, from the left."""

LABEL = 10
"""Characters of the column that holds labels. Nothing that an agent sent ever stands in it."""
NUMBER = 5
"""Characters of the column that holds line numbers."""

_MARK = re.compile(f"({OPEN}[^{CLOSE}]*{CLOSE}?|{NEWLINE})")
"""What `policy.visible` put in place of a character; no agent can send one."""


@dataclass(frozen=True, slots=True)
class Row:
    """One row of the screen."""

    parts: Parts
    span: tuple[int, int] | None = None
    """The slice of the must-be-read text that is on it."""

    @property
    def text(self) -> str:
        return "".join(text for text, _ in self.parts)


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows that are ready."""

    rows: Sequence[Row]

    def __len__(self) -> int:
        return len(self.rows)

    def row(self, at: int) -> Row:
        return self.rows[at]


@dataclass(frozen=True, slots=True)
class Source:
    """A long text with line numbers; `offset` is its place in the must-be-read text."""

    wrapped: Wrapped
    offset: int
    colours: Colours = PLAIN

    def __len__(self) -> int:
        return len(self.wrapped)

    def row(self, at: int) -> Row:
        start, end = self.wrapped.span(at)
        number = (
            f"{self.wrapped.numbers[at]:>{NUMBER - 1}} " if self.wrapped.begins_line(at) else " " * (NUMBER - 2) + "+ "
        )
        parts: list[tuple[str, str]] = [(number, "number"), ("| ", "rule")]
        text = self.wrapped.row(at)
        done = 0
        for stop, style in self.colours.cut(start, start + len(text)) or [(start + len(text), "command")]:
            parts += marked(text[done : stop - start], style)
            done = stop - start
        return Row(tuple(parts), (self.offset + start, self.offset + end))


def source(text: str, width: int, offset: int, colours: Colours = PLAIN) -> Source:
    """A visible text as a block of rows of `width` characters."""
    return Source(wrap(text, width - NUMBER - 2), offset, colours)


def marked(text: str, style: str) -> Parts:
    """The text with the marks of `policy.visible` in a style of their own."""
    styles = {NEWLINE: "newline", OPEN: "mark"}
    pieces = (piece for piece in _MARK.split(text) if piece)
    return tuple((piece, styles.get(piece[0], style) if _MARK.fullmatch(piece) else style) for piece in pieces)


def field_rows(label: str, text: str, width: int, style: str = "value") -> list[Row]:
    """A labelled text, wrapped; its further rows leave the label's column empty."""
    wrapped = wrap(text, width - LABEL)
    heads = [f"{label:<{LABEL}}"[:LABEL]] + [" " * LABEL] * (len(wrapped) - 1)
    return [Row(((head, "label"), *marked(wrapped.row(at), style))) for at, head in enumerate(heads)]


def banner_rows(text: str, width: int, style: str) -> list[Row]:
    """A sentence over the whole width."""
    wrapped = wrap(text, width)
    return [Row(((wrapped.row(at).ljust(width), style),)) for at in range(len(wrapped))]


def title_row(title: str, words: str, width: int) -> Row:
    """A heading with a rule behind it."""
    head = f"{title} "
    tail = f" {words}"
    return Row(((head, "title"), ("-" * max(2, width - len(head) - len(tail)), "rule"), (tail, "words")))


BLANK = Row((("", "value"),))


@dataclass(frozen=True, slots=True)
class Document:
    """Blocks, one under the other."""

    blocks: Sequence[Rows | Source]
    digest: str = ""
    """Of the request that it shows; empty for anything else."""
    must: int = 0
    """Characters that must have been on the screen before an approval."""
    _ends: Sequence[int] = field(init=False, default=())

    def __post_init__(self) -> None:
        object.__setattr__(self, "_ends", list(accumulate(len(block) for block in self.blocks)))

    def __len__(self) -> int:
        return self._ends[-1] if self._ends else 0

    def row(self, at: int) -> Row:
        """The row, counted from 0. Raises IndexError beyond the end."""
        block = bisect_right(self._ends, at)
        before = self._ends[block - 1] if block else 0
        return self.blocks[block].row(at - before)

    @property
    def source_end(self) -> int:
        """The row behind the last one that must be read; 0 without any."""
        ends = (end for block, end in zip(self.blocks, self._ends, strict=True) if isinstance(block, Source))
        return max(ends, default=0)

    def source_below(self, bottom: int) -> int:
        """Rows of must-be-read text at or below row `bottom`."""
        count = 0
        for block, end in zip(self.blocks, self._ends, strict=True):
            if isinstance(block, Source):
                count += max(0, min(len(block), end - bottom))
        return count
