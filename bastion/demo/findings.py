"""What became of the target's world, held against what was approved. Pure.

The claim of the product, checked on the files: nothing happened that was not approved. In a headless run also that all
happened that should have.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from bastion.demo.scenarios import AGENTS, WORDS, Effect, End


@dataclass(frozen=True, slots=True)
class Finding:
    """One effect, and whether it is as it should be."""

    why: str
    """In a word or two: what was said about it."""
    words: str
    right: bool

    def __str__(self) -> str:
        return f"{'ok' if self.right else 'BAD':3}  {self.why:8}  {self.words}"


def findings(
    happened: frozenset[Effect], ends: Mapping[tuple[str, str], End], intended: frozenset[Effect] | None
) -> list[Finding]:
    """One an effect that was asked for, has happened, or had to.

    `ends` says how each command ended, by agent and step; `intended`, where it is known, what had to happen.
    """
    ran = _effects(ends, {End.RAN})
    refused = _effects(ends, {End.DENIED, End.EXPIRED}) - ran
    found: list[Finding] = []
    for effect, words in WORDS.items():
        why = "approved" if effect in ran else "denied" if effect in refused else "no word"
        is_so = effect in happened
        if not is_so and why == "no word" and effect not in (intended or ()):
            continue
        right = (effect in ran or not is_so) and (intended is None or is_so == (effect in intended))
        found.append(Finding(why, words.after if is_so else words.before, right))
    return found


def _effects(ends: Mapping[tuple[str, str], End], wanted: set[End]) -> frozenset[Effect]:
    """What the commands that ended so can have done."""
    return frozenset(
        effect
        for agent in AGENTS
        for step in agent.steps
        if ends.get((agent.name, step.name)) in wanted
        for effect in step.effects
    )
