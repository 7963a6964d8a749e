"""Figures about deciding: right, bounded, and the same whatever the order of what does not depend on it."""

from __future__ import annotations

import random
import tracemalloc
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bastion.stats import (
    BUCKETS,
    DAYS,
    KEYS,
    OTHER,
    QUICK_LEAST,
    QUICK_US,
    STEP,
    WAITING,
    Approver,
    Command,
    Counter,
    Fold,
    Heavy,
    Times,
)

S = 1_000_000


@dataclass
class Row:
    type: str
    t: int
    request: str = ""
    body: dict[str, Any] = field(default_factory=dict)


def proposed(request: str, t: int, verdict: str = "hold", **body: Any) -> Row:
    said = {"verdict": verdict, "rule": "default", "approvals": 1, "identity": "agent-7", "env": "production"}
    return Row("request.proposed", t, request, {**said, **body})


def decided(request: str, t: int, choice: str = "approve", by: str = "ana") -> Row:
    return Row("request.decided", t, request, {"choice": choice, "by": by})


def folded(*rows: Row) -> Fold:
    fold = Fold()
    for row in rows:
        fold.feed(row)
    return fold


def test_a_day() -> None:
    fold = folded(
        proposed("r-1", 0), decided("r-1", 3 * S),
        proposed("r-2", 10 * S), decided("r-2", 11 * S, "deny", "ben"),
        proposed("r-3", 20 * S), decided("r-3", 80 * S, "expired", ""),
        proposed("r-4", 30 * S, "allow", rule="whitelist w-1"),
        proposed("r-5", 31 * S, "deny", rule="policy p:3: deny low"),
        proposed("r-6", 32 * S),
    )  # fmt: skip
    assert dict(fold.states.top(9)) == {"approved": 1, "denied": 1, "expired": 1}
    assert dict(fold.verdicts.top(9)) == {"hold": 4, "allow": 1, "deny": 1}
    assert (fold.allowed.top(1), fold.refused.top(1)) == ([("whitelist w-1", 1)], [("policy p:3: deny low", 1)])
    assert (fold.waiting, fold.times.count, fold.times.longest) == (1, 2, 3 * S)
    assert (fold.identities["agent-7"].requests, fold.environments["production"].held) == (6, 4)
    assert fold.approvers["ben"].denied == 1
    assert list(fold.days) == ["1970-01-01"]


def test_who_edits_and_approves_is_no_rubber_stamp() -> None:
    """The request that stands in another's place comes with its author's approval, in the same second."""
    rows = [row for number in range(9) for row in (
        proposed(f"r-{number}", number * S, author="ana", edits="r-x", approvals=2), decided(f"r-{number}", number * S),
        decided(f"r-{number}", number * S + 1, by="ben"),
    )]  # fmt: skip
    fold = folded(*rows)
    assert (fold.approvers["ana"].approved, fold.approvers["ana"].quick, fold.approvers["ana"].warning) == (9, 0, "")
    assert fold.approvers["ben"].warning  # who approves somebody else's edit at once is
    assert fold.times.count == 9


def test_two_approvals_are_one_decision() -> None:
    fold = folded(proposed("r-1", 0, approvals=2), decided("r-1", S), decided("r-1", 5 * S, by="ben"))
    assert dict(fold.states.top(9)) == {"approved": 1}
    assert (fold.approvers["ana"].approved, fold.approvers["ben"].approved, fold.times.count) == (1, 1, 2)


def test_a_vote_whose_proposal_is_not_there_has_no_time() -> None:
    fold = folded(decided("r-9", 5 * S))
    assert (fold.times.count, fold.approvers["ana"].approved, fold.approvers["ana"].quick) == (0, 1, 0)


@pytest.mark.parametrize(
    ("quick", "slow", "warned"),
    [(QUICK_LEAST - 1, 0, False), (QUICK_LEAST, 0, True), (QUICK_LEAST, 15, True), (QUICK_LEAST, 16, False)],
)
def test_who_does_not_read(quick: int, slow: int, warned: bool) -> None:
    rows = []
    for number in range(quick + slow):
        took = QUICK_US - 1 if number < quick else QUICK_US
        rows += [proposed(f"r-{number}", number * 100 * S), decided(f"r-{number}", number * 100 * S + took)]
    assert bool(folded(*rows).approvers["ana"].warning) is warned


def test_denying_fast_is_no_habit() -> None:
    rows = []
    for number in range(20):
        rows += [proposed(f"r-{number}", number * S), decided(f"r-{number}", number * S + 1, "deny")]
    assert folded(*rows).approvers["ana"].warning == ""


@given(st.lists(st.integers(1, 10**13), min_size=1, max_size=200), st.floats(0.01, 1))
def test_quantiles_are_within_a_step(values: list[int], share: float) -> None:
    times = Times()
    for value in values:
        times.add(value)
    exact = sorted(values)[max(0, -(-int(share * len(values) * 10**9) // 10**9) - 1)]
    got = times.quantile(share)
    most = STEP**BUCKETS * 1000
    near = [value for value in values if value / STEP <= max(got, 1) * 1.001 and got <= value * STEP * 1.001]
    assert got <= max(values)
    assert near or got <= 1000 or exact > most


def test_quantile_of_nothing() -> None:
    assert Times().quantile(0.5) == 0


def test_memory_is_flat() -> None:
    """With as many identities, rules, days and approvers as requests."""

    def size(count: int) -> int:
        tracemalloc.start()
        fold = Fold()
        for number in range(count):
            name = f"n{number}"
            fold.feed(proposed(name, number * 86_400 * S, identity=name, env=name))
            fold.feed(proposed(name + "a", number * 86_400 * S, "allow", rule=name))
            if number % 2:
                fold.feed(decided(name, number * 86_400 * S + S, by=name))
            fold.asks(Command(name, "l", "t", name.encode(), "low", code=False))
        kept = tracemalloc.get_traced_memory()[0]
        tracemalloc.stop()
        assert len(fold.days) <= DAYS
        assert fold.waiting <= WAITING
        assert max(len(fold.identities), len(fold.approvers), len(fold.environments)) <= KEYS + 1
        return kept

    small, large = size(2_500), size(5_000)
    assert large < small * 1.5


def test_what_is_too_many_is_other() -> None:
    counter = Counter()
    for number in range(KEYS + 5):
        counter.add(str(number))
    assert counter.top(1) == [(OTHER, 5)]


def test_the_heaviest_are_never_lost() -> None:
    heavy = Heavy(kept=50)
    chance = random.Random(7)
    stream = ["often"] * 400 + ["half"] * 200 + [f"once {number}" for number in range(2_000)]
    chance.shuffle(stream)
    for name in stream:
        heavy.add(Command("a", "l", "t", name.encode(), "low", code=False))
    (first, count), (second, _) = heavy.top(2)
    assert (first.command, second.command) == (b"often", b"half")
    assert 400 <= count <= 400 + len(stream) / 50


def test_an_approver_without_approvals_has_no_habit() -> None:
    assert Approver().warning == ""
