"""The list as text: one spelling of each entry, and whatever reads comes back as it was."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bastion.policy.listing import HEADER, SIZE_LIMIT, Change, ListingError, Row, diff, line_of, parse, render

TEXT = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12)
COMMAND = st.one_of(st.binary(min_size=1, max_size=12), TEXT.map(str.encode), st.just(b"base64:eA=="))
ROWS = st.builds(
    lambda place, env, **rest: Row(target="" if env else place, env=place if env else "", **rest),
    place=TEXT, env=st.booleans(), identity=TEXT, login=TEXT, pattern=st.one_of(st.just(""), TEXT), command=COMMAND,
    code=st.sampled_from(["", "ab" * 32]), tier=st.sampled_from(["low", "medium", "unrated"]),
    expires=st.integers(0, 253_402_300_799_999_999),
)  # fmt: skip

UPTIME = Row("agent-7", "deploy", "", "staging", "", b"uptime", "", "low", 0)
RESTART = Row(
    "agent-7", "deploy", "web-1", "", "docker restart {container}", b"docker restart web", "", "medium",
    1_795_842_000_000_000,
)  # fmt: skip


def test_the_form() -> None:
    assert render([RESTART, UPTIME]).splitlines() == [
        HEADER,
        'agent-7 deploy env:staging low - exact "uptime"',
        'agent-7 deploy target:web-1 medium 2026-11-28T05:00:00Z pattern "docker restart {container}" '
        '"docker restart web"',
    ]


@given(st.lists(ROWS, max_size=5))
def test_it_reads_back(rows: list[Row]) -> None:
    text = render(rows)
    assert parse(text) == sorted(set(rows))
    assert render(parse(text)) == text
    assert text.isascii()
    assert all(char.isprintable() or char == "\n" for char in text)


@given(st.text(st.sampled_from('ab "\\{}:-\n#0u'), max_size=60))
def test_garbage_is_one_error_or_a_list(text: str) -> None:
    for whole in (text, f"{HEADER}\n{text}", f'{HEADER}\na b env:c low - exact "x"\n{text}'):
        try:
            rows = parse(whole)
        except ListingError:
            continue
        assert parse(render(rows)) == rows


@pytest.mark.parametrize(
    "line",
    [
        "agent-7", 'a b env:c low - exact', 'a b c low - exact "x"', 'a b env: low - exact "x"',
        'a b env:c low never exact "x"', 'a b env:c low 2026-13-01T00:00:00Z exact "x"', 'a b env:c low - exact x',
        'a  b env:c low - exact "x"', 'a b env:c low - exact "x" ', 'a b env:c low - exact "x" "y"',
        'a b env:c low - pattern "x"', 'a b env:c low - exact "\\u0078"', 'a b env:c low - exact base64:eA==',
        'a b env:c low - exact base64:!', '"a" b env:c low - exact "x"', 'a b env:c low - other "x"',
    ],
)  # fmt: skip
def test_what_is_no_entry(line: str) -> None:
    with pytest.raises(ListingError, match="line 2"):
        parse(f"{HEADER}\n{line}\n")


def test_other_headers_and_sizes() -> None:
    for text in ("", "x", "# bastion whitelist 2\n"):
        with pytest.raises(ListingError, match="line 1"):
            parse(text)
    with pytest.raises(ListingError, match="at most"):
        parse(HEADER + "\n" + "#" * SIZE_LIMIT)
    assert parse(f"{HEADER}\n\n# a remark\n{line_of(UPTIME)}\n") == [UPTIME]


def test_diff() -> None:
    from dataclasses import replace

    longer = replace(RESTART, expires=RESTART.expires + 1)
    other = replace(UPTIME, command=b"id")
    assert diff([UPTIME, RESTART], [RESTART, UPTIME]) == []
    assert diff([UPTIME, RESTART], [longer, other]) == [Change("+", other), Change("-", UPTIME), Change("~", longer)]
    moved = replace(UPTIME, env="production")
    assert diff([UPTIME], [moved], place=False) == []
    assert len(diff([UPTIME], [moved])) == 2
