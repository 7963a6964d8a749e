"""From findings to a score, a tier and sentences. Pure.

The weightiest finding decides: its weight is the score, and its band the tier. Every further finding adds a fifth of
its weight, up to the end of that band, so that ten harmless changes do not look like a disaster and a disaster is not
hidden among them. Combinations that are worse than their parts (a download that is run) are findings of their own.
"""

from __future__ import annotations

from collections.abc import Iterable

from bastion.model import Assessment, Reversible, Tier
from bastion.policy.findings import HIGH, MEDIUM, Finding

SHARE = 5
"""Further findings count for a fifth."""
REASONS_LIMIT = 12
"""Sentences that are listed; a person reads three. The rest is counted in the last."""

_REVERSIBLE = {Reversible.YES: 0, Reversible.UNKNOWN: 1, Reversible.PARTLY: 2, Reversible.NO: 3}


def tier(score: int) -> Tier:
    """The band of a score."""
    return Tier.LOW if score < MEDIUM else Tier.MEDIUM if score < HIGH else Tier.HIGH


def _distinct(ranked: Iterable[Finding]) -> list[Finding]:
    """Without those that say less of the same thing: `deletes x` beside `deletes x recursively`."""
    kept: list[Finding] = []
    said: dict[str, list[frozenset[str]]] = {}
    for finding in ranked:
        kinds = frozenset(finding.action.effects)
        before = said.setdefault(finding.what, [])
        if not (finding.action.path and any(kinds <= more for more in before)):
            kept.append(finding)
            before.append(kinds)
    return kept


def assess(findings: Iterable[Finding]) -> Assessment:
    """The assessment that these findings add up to."""
    unique = {(finding.action.name, finding.what, finding.place): finding for finding in findings}
    ranked = sorted(unique.values(), key=lambda finding: -finding.weight)
    effects = tuple(dict.fromkeys(effect for finding in ranked for effect in finding.effects))
    verbs = tuple(dict.fromkeys(verb for finding in ranked for verb in (*finding.action.verbs, *finding.verbs)))
    told = _distinct(finding for finding in ranked if finding.weight > 0)
    if not told:
        return Assessment(0, Tier.LOW, ("only reads",), (0,), Reversible.YES, effects, verbs)
    ceiling = next((limit - 1 for limit in (MEDIUM, HIGH) if told[0].weight < limit), 100)
    reasons: dict[str, int] = {}
    score = 0
    for finding in told:
        added = min(finding.weight // SHARE if reasons else finding.weight, ceiling - score)
        score += added
        reasons[finding.sentence] = reasons.get(finding.sentence, 0) + added
    sentences, weights = list(reasons), list(reasons.values())
    if len(sentences) > REASONS_LIMIT:
        kept = REASONS_LIMIT - 1
        sentences[kept:] = [f"and {len(sentences) - kept} more reasons"]
        weights[kept:] = [sum(weights[kept:])]
    reversible = max((finding.action.reversible for finding in told), key=_REVERSIBLE.__getitem__)
    return Assessment(score, tier(score), tuple(sentences), tuple(weights), reversible, effects, verbs)
