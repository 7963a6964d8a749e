"""Addresses, and ids that were shortened."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bastion.errors import Conflict, NotFound, UsageError
from bastion.names import parse_address, pick


@given(st.text() | st.text("[]:0123456789abcdefg.-_"))
def test_no_text_surprises_the_address_parser(text: str) -> None:
    try:
        host, port = parse_address(text)
    except UsageError:
        return
    assert host
    assert 0 < port < 65536
    again = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    assert parse_address(again) == (host, port)


@pytest.mark.parametrize(
    ("text", "expected"),
    [("web-1", ("web-1", 22)), ("10.0.0.1:2200", ("10.0.0.1", 2200)), ("[::1]", ("::1", 22)), ("[::1]:1", ("::1", 1))],
)
def test_addresses(text: str, expected: tuple[str, int]) -> None:
    assert parse_address(text) == expected


@pytest.mark.parametrize(
    "text", ["", "::1", "a:0", "a:65536", "a:", "-oProxyCommand=x", "a b", "a\n", "user@a", "[x]:1", "a:٢"]
)
def test_what_is_no_address(text: str) -> None:
    with pytest.raises(UsageError):
        parse_address(text)


@given(st.lists(st.text("ab", min_size=1, max_size=4), unique=True), st.text("ab", max_size=4))
def test_pick_finds_one_or_says_why_not(known: list[str], wanted: str) -> None:
    hits = [each for each in known if wanted and each.startswith(wanted)]
    if wanted in known:
        assert pick(wanted, known, "thing") == wanted
    elif len(hits) == 1:
        assert pick(wanted, known, "thing") == hits[0]
    else:
        with pytest.raises(Conflict if hits else NotFound):
            pick(wanted, known, "thing")
