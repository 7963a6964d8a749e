"""From findings to a score."""

from __future__ import annotations

import pytest

from bastion.model import EffectKind, Reversible, Tier
from bastion.policy import score
from bastion.policy.findings import Finding
from bastion.policy.programs import Action


def found(weight: int, what: str = "x", **given: object) -> Finding:
    action = Action("a", weight, "does {what}", (EffectKind.WRITES,), Reversible.YES)
    for name, value in given.items():
        object.__setattr__(action, name, value)
    return Finding(action, what, "", weight)


@pytest.mark.parametrize(
    ("weights", "expected", "tier"),
    [
        ([], 0, Tier.LOW),
        ([0], 0, Tier.LOW),
        ([24], 24, Tier.LOW),
        ([25], 25, Tier.MEDIUM),
        ([59], 59, Tier.MEDIUM),
        ([60], 60, Tier.HIGH),
        ([20] * 30, 24, Tier.LOW),
        ([30, 30], 36, Tier.MEDIUM),
        ([40] * 30, 59, Tier.MEDIUM),
        ([60] * 30, 100, Tier.HIGH),
        ([100, 100], 100, Tier.HIGH),
    ],
)
def test_the_weightiest_decides_the_tier_and_the_rest_adds_up_to_its_end(
    weights: list[int], expected: int, tier: Tier
) -> None:
    assessment = score.assess([found(weight, str(at)) for at, weight in enumerate(weights)])
    assert (assessment.score, assessment.tier) == (expected, tier)
    assert sum(assessment.weights) == expected
    assert len(assessment.reasons) == len(assessment.weights) <= score.REASONS_LIMIT


def test_what_says_less_of_the_same_path_is_left_out() -> None:
    assessment = score.assess(
        [found(66, "x", path=True, name="tree"), found(46, "x", path=True), found(46, "y", path=True)]
    )
    assert assessment.weights == (66, 9)


def test_one_thing_that_cannot_be_undone_makes_the_whole_so() -> None:
    findings = [found(30, "a"), found(40, "b", reversible=Reversible.PARTLY), found(26, "c", reversible=Reversible.NO)]
    assert score.assess(findings).reversible is Reversible.NO
    assert score.assess(findings[:2]).reversible is Reversible.PARTLY


def test_every_effect_is_listed_and_none_is_longer_than_a_path() -> None:
    """Policy looks for paths among them: the thousandth counts as much as the first."""
    assessment = score.assess([found(30, str(number)) for number in range(1_000)] + [found(30, "x" * 10_000)])
    assert len(assessment.effects) == 1_001
    assert max(len(effect.what) for effect in assessment.effects) == 4_096
