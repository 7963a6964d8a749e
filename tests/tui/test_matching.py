"""tui/matching.py"""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tui.matching import Filter, request_fields, session_fields
from tui.samples import request, session

INFO = request(command=b"rm -rf /srv/Backups", identity="disk-janitor", target="web-1", tier="high")


@pytest.mark.parametrize(
    ("text", "matches"),
    [
        ("", True),
        ("  ", True),
        ("BACKUPS", True),
        ("janitor web", True),
        ("janitor web-2", False),
        ("risk:high", True),
        ("risk:low", False),
        ("agent:web", False),
        ("target:web", True),
        ("-risk:low", True),
        ("-backups", False),
        ("-", True),
        ("nofield:web", False),
        ("command:rm agent:disk -target:db", True),
    ],
)
def test_filter(text: str, matches: bool) -> None:
    assert Filter.parse(text).matches(request_fields(INFO)) is matches


@given(st.text())
def test_any_text_is_a_filter(text: str) -> None:
    parsed = Filter.parse(text)
    parsed.matches(request_fields(INFO))
    parsed.matches(session_fields(session()))


@given(st.text(st.characters(categories=["L", "N"]), min_size=1))
def test_a_word_and_its_negation_disagree(word: str) -> None:
    fields = request_fields(INFO)
    assert Filter.parse(word).matches(fields) is not Filter.parse("-" + word).matches(fields)
