"""tui/widgets/bars.py"""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tui.widgets.bars import shortened

PARTS = st.lists(st.tuples(st.text("abc", max_size=10), st.just("value"))).map(tuple)


@given(PARTS, st.integers(0, 40))
def test_what_does_not_fit_is_cut_and_says_so(parts: tuple[tuple[str, str], ...], width: int) -> None:
    whole = "".join(text for text, _ in parts)
    shown = "".join(text for text, _ in shortened(parts, width))
    if len(whole) <= width:
        assert shown == whole
    else:
        assert shown == whole[: max(0, width - 1)] + "…"
