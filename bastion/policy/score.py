"""From findings to a score, a tier and sentences. Pure.

The weightiest finding decides: its weight is the score, and its band the tier. Every further finding adds a fifth of
its weight, up to the end of that band, so that ten harmless changes do not look like a disaster and a disaster is not
hidden among them. Combinations that are worse than their parts (a download that is run) are findings of their own.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from bastion.model import Assessment, Effect, Reversible, Tier
from bastion.policy.programs import Action
from bastion.policy.visible import visible_line

MEDIUM, HIGH = 25, 60
"""Scores from which the tier is medium, high."""
SHARE = 5
"""Further findings count for a fifth."""
REASONS_LIMIT = 12
"""Sentences that are listed; a person reads three. The rest is counted in the last."""
WHAT_WIDTH = 80
"""Characters of what a sentence names; the whole command stands beside it."""

_REVERSIBLE = {Reversible.YES: 0, Reversible.UNKNOWN: 1, Reversible.PARTLY: 2, Reversible.NO: 3}


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that a command does."""

    action: Action
    what: str = ""
    """What it touches, as in the command; agent's text."""
    place: str = ""
    """What its place adds, as words."""
    weight: int = 0
    """After its place."""

    @property
    def effects(self) -> tuple[Effect, ...]:
        """What it does to what it touches."""
        what = self.what.replace("\0", "…")
        return tuple(Effect(kind, what) for kind in self.action.effects)

    @property
    def sentence(self) -> str:
        """For a person."""
        what = visible_line(self.what.replace("\0", "…"), WHAT_WIDTH) if self.what else ""
        text = self.action.say.replace("{what}", what).rstrip(" :")
        return f"{text} ({self.place})" if self.place else text


def tier(score: int) -> Tier:
    """The band of a score."""
    return Tier.LOW if score < MEDIUM else Tier.MEDIUM if score < HIGH else Tier.HIGH


def assess(findings: Iterable[Finding]) -> Assessment:
    """The assessment that these findings add up to."""
    unique = {(finding.action.name, finding.what, finding.place): finding for finding in findings}
    ranked = sorted(unique.values(), key=lambda finding: -finding.weight)
    effects = tuple(dict.fromkeys(effect for finding in ranked for effect in finding.effects))
    verbs = tuple(dict.fromkeys(verb for finding in ranked for verb in finding.action.verbs))
    told = [finding for finding in ranked if finding.weight > 0]
    if not told:
        return Assessment(0, Tier.LOW, ("only reads",), (0,), Reversible.YES, effects, verbs)
    ceiling = next((limit - 1 for limit in (MEDIUM, HIGH) if told[0].weight < limit), 100)
    reasons: dict[str, int] = {}
    score = 0
    for finding in told:
        added = min(finding.weight // SHARE if score else finding.weight, ceiling - score)
        score += added
        reasons[finding.sentence] = reasons.get(finding.sentence, 0) + added
    sentences, weights = list(reasons), list(reasons.values())
    if len(sentences) > REASONS_LIMIT:
        kept = REASONS_LIMIT - 1
        sentences[kept:] = [f"and {len(sentences) - kept} more reasons"]
        weights[kept:] = [sum(weights[kept:])]
    reversible = max((finding.action.reversible for finding in told), key=_REVERSIBLE.__getitem__)
    return Assessment(score, tier(score), tuple(sentences), tuple(weights), reversible, effects, verbs)
