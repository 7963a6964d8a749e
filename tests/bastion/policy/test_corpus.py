"""The classifier against labelled sets from elsewhere, where they lie beside the project (tests/support/corpus.py)."""

from __future__ import annotations

import pytest

from tests.support import corpus

LOW = {"nl2bash": 0.95, "metamorphic": 0.90, "sql_pg": 0.85, "db_hand": 0.80, "tldr_hand": 0.60}
"""Share of read-only commands that must be low, at least."""
HIGH = 0.90
"""Share of destructive commands that must be high, at least."""
HARSH = 0.10
"""Share of commands that are not destructive that may be high, at most."""


@pytest.fixture(scope="module")
def results() -> list[corpus.Result]:
    path = corpus.directory()
    if path is None:
        pytest.skip("no labelled sets beside the project")
    return list(corpus.judge(path))


def test_nothing_unsafe_is_low(results: list[corpus.Result]) -> None:
    assert {one.name: one.holes for one in results if one.holes} == {}


def test_what_only_reads_is_low_often_enough(results: list[corpus.Result]) -> None:
    shares = {one.name: one.share("read-only", "asked") for one in results if one.name in LOW}
    assert {name: share for name, share in shares.items() if share is not None and share < LOW[name]} == {}


def test_what_destroys_is_high_and_the_rest_seldom(results: list[corpus.Result]) -> None:
    destructive = sum(one.count.get("destructive", 0) for one in results)
    assert sum(len(one.misses.get("soft", ())) for one in results) <= (1 - HIGH) * destructive
    other = sum(one.count.get("not-destructive", 0) for one in results)
    assert sum(len(one.misses.get("harsh", ())) for one in results) <= HARSH * other
