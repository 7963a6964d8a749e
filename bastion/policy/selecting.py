"""Does a selector of the policy speak of a request: surely, perhaps, or does it cover all that the request does? Pure.

For what is forbidden or held one hit anywhere is enough, and every reading of the command line counts (question.py).
For what is allowed everything must be covered at once: all verbs that the classifier named, or all effects that are
more than reading, or every simple command of a plain line.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence

from bastion.model import Effect, EffectKind, Reversible, Tier
from bastion.policy import globs, moving
from bastion.policy.places import unrooted
from bastion.policy.question import Question, program
from bastion.policy.rules import Rule, Selector
from bastion.policy.vocabulary import Category, vocabulary

_PATHS = frozenset((EffectKind.READS, EffectKind.WRITES, EffectKind.DELETES, EffectKind.EXECUTES, EffectKind.SECRET))
_PATH_WORDS = frozenset(("path", *(kind.value for kind in _PATHS)))


def selects(selector: Selector, question: Question) -> bool:
    """Whether the request does this, as far as anybody can say."""
    word, text = selector.word, selector.text
    if not text:
        if word in question.tags:
            return True
        category = vocabulary().categories.get(word)
        return category is not None and _in_category(category, question)
    if word == "command":
        pattern = command_words(text)
        if "*" not in pattern[0] and pattern[0].rpartition("/")[2] not in question.heads:
            return False
        return any(
            globs.text(pattern[0], program(words[0]) if "/" not in pattern[0] else words[0].text)
            and globs.words(pattern[1:], [each.text for each in words[1:]])
            for words in question.commands
        )
    if word == "path":
        return any(globs.path_reaches(text, path) for path in question.touched)
    if word == "host":
        return any(globs.text(text, host) for host in _hosts(question))
    return any(_is(effect, text, question) for effect in question.effects.get(word, ()))


def may_select(selector: Selector, question: Question) -> bool:
    """Whether it could turn out, when it runs, that the request does this. Asked of what no rule forbids for sure."""
    word, text = selector.word, selector.text
    if not text:
        return False  # the classifier lets nothing that it cannot name be low or medium without a verb for that
    if word == "command":
        head = command_words(text)[0]
        return question.uncertain or any(
            not words[0].constant
            or (globs.text(head, program(words[0])) and any(not word.constant for word in words[1:]))
            for words in question.readings
        )
    if word in _PATH_WORDS:
        return (
            question.uncertain
            or (question.vague and any("\0" in path or globs.may_reach(text, path) for path in question.vague))
            or (question.walked and any(globs.may_lie_below(text, path) for path in question.walked))
            or question.gaps(word)
            or (word == "reads" and any(globs.path_reaches(text, path) for path in question.mentioned))
        )
    return question.uncertain


def covered(question: Question, rules: Sequence[Rule]) -> Rule | None:
    """A rule that, with the others, allows all that the request does; None if something is not covered."""
    assessment = question.assessment
    if question.opaque or assessment.tier not in (Tier.LOW, Tier.MEDIUM):
        return None
    words: dict[str, Rule] = {}
    texts: list[tuple[Selector, Rule]] = []
    for rule in rules:
        for selector in rule.selectors:
            if selector.text:
                texts.append((selector, rule))
            else:
                words.setdefault(selector.word, rule)
    if "anything" in words:
        return words["anything"]
    tiers = ("low", "medium") if assessment.tier is Tier.LOW else ("medium",)
    for word in (*tiers, *(("reversible",) if assessment.reversible is Reversible.YES else ())):
        if word in words:
            return words[word]
    if assessment.verbs and all(verb in words for verb in assessment.verbs):
        return words[assessment.verbs[0]]
    return _effects_covered(question, words, texts) or _commands_covered(question, texts)


def _effects_covered(question: Question, words: dict[str, Rule], texts: list[tuple[Selector, Rule]]) -> Rule | None:
    """Every effect that is more than reading, or, for something that only reads, every effect."""
    found: Rule | None = None
    whats = set()
    effects = question.changes or question.assessment.effects
    rest: list[Effect] = []
    for effect in effects:
        if effect.kind is EffectKind.IRREVERSIBLE:
            rest.append(effect)
            continue
        rule = words.get(effect.kind.value)
        if rule is None:
            rule = next(
                (each for selector, each in texts if selector.word == effect.kind.value and _within(effect, selector)),
                None,
            )
        if rule is None:
            return None
        found = found or rule
        whats.add(effect.what)
    return found if all(effect.what in whats for effect in rest) else None


def _commands_covered(question: Question, texts: list[tuple[Selector, Rule]]) -> Rule | None:
    """Every simple command of a line that is nothing else."""
    patterns = [(command_words(selector.text), rule) for selector, rule in texts if selector.word == "command"]
    found: Rule | None = None
    if not patterns or question.plain is None:
        return None
    for argv in question.plain:
        rule = next((rule for pattern, rule in patterns if globs.words(pattern, argv)), None)
        if rule is None:
            return None
        found = found or rule
    return found


@functools.lru_cache(maxsize=4096)
def command_words(text: str) -> tuple[str, ...]:
    """A command pattern as the patterns of its words."""
    return tuple(text.split())


def _within(effect: Effect, selector: Selector) -> bool:
    if effect.kind is EffectKind.VCS and effect.what.startswith("refs/"):
        return globs.text(selector.text, effect.what)  # no path: git knows no `..` there
    if selector.text.startswith("/") or "/" in effect.what:
        return globs.path_within(selector.text, effect.what)
    return bool(effect.what) and "…" not in effect.what and globs.text(selector.text, effect.what)


def _is(effect: Effect, text: str, question: Question) -> bool:
    spelled = (effect.what, unrooted(effect.what), *moving.located((effect.what,), question.directories))
    if effect.kind in _PATHS and any(globs.path_reaches(text, path) for path in spelled):
        return True
    return globs.text(text, effect.what)


def _hosts(question: Question) -> set[str]:
    found = set(question.hosts)
    for effect in question.assessment.effects:
        if effect.kind is EffectKind.NETWORK:
            found |= {effect.what, _host_of(effect.what)}
    return found


def _host_of(what: str) -> str:
    """`https://user@host:443/path` to `host`."""
    rest = what.rpartition("://")[2]
    host = rest.partition("/")[0].rpartition("@")[2]
    return host[1:].partition("]")[0] if host.startswith("[") else host.partition(":")[0]


def _in_category(category: Category, question: Question) -> bool:
    if any(verb in category.verbs for verb in question.assessment.verbs):
        return True
    touched = [effect.what for effect in question.changes if effect.what] + list(question.paths)
    touched += moving.located(tuple(touched), question.directories)
    if any(globs.path_reaches(path, what) for path in category.paths for what in touched):
        return True
    named = {word.lower().removesuffix(".service") for what in touched for word in (what, *what.split())}
    return any(globs.text(name, word) for name in category.names for word in named)
