"""tui/reading.py"""

from __future__ import annotations

import itertools
import time

from hypothesis import given
from hypothesis import strategies as st

from bastion.policy.visible import visible
from tui.reading import MIN_WIDTH, Seen, wrap

PIECES = st.lists(
    st.sampled_from(["a", "word ", " ", "\n", "\x1b", "\u202e", "é", "x" * 30, "--long-option=value", "\t", "  "])
).map("".join)


@given(PIECES, st.integers(0, 120))
def test_rows_are_the_text_and_nothing_else(text: str, width: int) -> None:
    shown = visible(text)
    wrapped = wrap(shown, width)
    spans = [wrapped.span(row) for row in range(len(wrapped))]
    assert spans[0][0] == 0
    assert spans[-1][1] == len(shown)
    assert all(before[1] == after[0] for before, after in itertools.pairwise(spans))
    for row in range(len(wrapped)):
        assert len(wrapped.row(row)) <= max(width, MIN_WIDTH)
        assert "\n" not in wrapped.row(row)


@given(PIECES, st.integers(60, 120))
def test_marks_are_not_broken_where_they_fit(text: str, width: int) -> None:
    wrapped = wrap(visible(text), width)
    for row in range(len(wrapped)):
        assert wrapped.row(row).count("⟨") == wrapped.row(row).count("⟩")


@given(PIECES)
def test_numbers_count_lines(text: str) -> None:
    shown = visible(text)
    wrapped = wrap(shown, 20)
    firsts = [wrapped.numbers[row] for row in range(len(wrapped)) if wrapped.begins_line(row)]
    assert firsts == list(range(1, len(firsts) + 1))


def test_rows_end_after_a_blank() -> None:
    wrapped = wrap("systemctl restart nginx && true", 20)
    assert [wrapped.row(row) for row in range(len(wrapped))] == ["systemctl restart ", "nginx && true"]


@given(st.lists(st.tuples(st.integers(0, 60), st.integers(0, 20))), st.integers(0, 80))
def test_seen_is_the_union_of_what_was_added(added: list[tuple[int, int]], total: int) -> None:
    seen, truth, end = Seen(), set(), -1
    for start, length in added:
        seen.add(start, start + length)
        truth |= set(range(start, start + length))
        end = max(end, start + length)
    assert seen.missing(total) == total - len(truth & set(range(total)))
    assert seen.reached(total) == (end >= total)


def test_nothing_seen_reaches_nothing_not_even_an_empty_text() -> None:
    assert not Seen().reached(0)
    seen = Seen()
    seen.add(0, 0)
    assert seen.reached(0)


@given(PIECES, st.integers(8, 40), st.integers(8, 40), st.data())
def test_reading_survives_a_resize(text: str, first: int, second: int, data: st.DataObject) -> None:
    """Half read at one width and the rest at another is read."""
    shown = visible(text)
    seen, narrow, wide = Seen(), wrap(shown, first), wrap(shown, second)
    half = data.draw(st.integers(0, len(narrow)))
    for row in range(half):
        seen.add(*narrow.span(row))
    reached = narrow.span(half - 1)[1] if half else 0
    for row in range(len(wide)):
        if wide.span(row)[1] >= reached:
            seen.add(*wide.span(row))
    assert seen.missing(len(shown)) == 0
    assert seen.reached(len(shown))


def test_the_longest_text_wraps_at_once() -> None:
    """1 MiB of one-character lines, the worst that a bundled stdin may hold."""
    text = "a⏎\n" * (1 << 19)
    began = time.process_time()
    assert len(wrap(text, 100)) == 1 << 19
    assert time.process_time() - began < 5
