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

    words: str
    why: str
    right: bool

    def __str__(self) -> str:
        return f"{'ok ' if self.right else 'BAD'} {self.words}" + (f" ({self.why})" if self.why else "")


def findings(
    happened: frozenset[Effect], ends: Mapping[tuple[str, str], End], intended: frozenset[Effect] | None
) -> list[Finding]:
    """One an effect that was asked for or has happened.

    `ends` says how each command ended, by agent and step; `intended`, where it is known, what had to happen.
    """
    ran = _effects(ends, {End.RAN})
    refused = _effects(ends, {End.DENIED, End.EXPIRED})
    found: list[Finding] = []
    for effect, words in WORDS.items():
        missing = intended is not None and effect in intended and effect not in happened
        if effect in happened:
            right = effect in ran and (intended is None or effect in intended)
            found.append(Finding(words.after, "approved" if effect in ran else "NOBODY APPROVED THAT", right))
        elif effect in ran:
            found.append(Finding(words.before, "though what was approved should have done it", not missing))
        elif effect in refused or missing:
            found.append(Finding(words.before, "not approved" if effect in refused else "never asked for", not missing))
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
