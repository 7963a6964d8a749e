"""Words that a policy can use for what a request does (vocabulary.toml), checked when they are first used. Pure."""

from __future__ import annotations

import difflib
import functools
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib.resources import files

from bastion.model import EffectKind, Tier

TIERS = frozenset({Tier.LOW.value, Tier.MEDIUM.value, Tier.HIGH.value})
EFFECTS = frozenset(kind.value for kind in EffectKind)
QUALITIES = frozenset({"reversible", "irreversible", "opaque", "anything"})
"""`opaque`: nobody can tell what it does. `irreversible`: cannot be undone, or only with luck unknown."""

WITH_TEXT = (EFFECTS - {"irreversible", "privilege"}) | {"command", "path", "host"}
"""Words that take a text: `writes "/srv/**"`, `command "git pull **"`, `host "*.example"`."""


@dataclass(frozen=True, slots=True)
class Category:
    """What belongs to it."""

    verbs: frozenset[str]
    paths: tuple[str, ...]
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """All words but those of the language itself."""

    verbs: frozenset[str]
    activities: frozenset[str]
    categories: Mapping[str, Category]

    @property
    def tags(self) -> frozenset[str]:
        """Every word that can stand alone behind `allow`, `deny` and so on, or head a section."""
        return self.verbs | self.activities | self.categories.keys() | TIERS | EFFECTS | QUALITIES


@functools.cache
def vocabulary() -> Vocabulary:
    """As packaged."""
    table = tomllib.loads(files(__package__).joinpath("vocabulary.toml").read_text("utf-8"))
    categories = {
        name: Category(frozenset(each["verbs"]), tuple(each["paths"]), tuple(each["names"]))
        for name, each in table["categories"].items()
    }
    return Vocabulary(frozenset(table["verbs"]), frozenset(table["activities"]), categories)


def nearest(word: str, known: Iterable[str]) -> str:
    """A hint: the word that was meant, or all of them."""
    words = sorted(known)
    near = difflib.get_close_matches(word, words, n=1)
    return f"did you mean {near[0]}?" if near else f"one of {', '.join(words)}"
