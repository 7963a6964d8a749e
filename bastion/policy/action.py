"""An action as a program writes it down (`policy check ACTION.json`), or a test in the policy, as a Question. Pure.

An action is either a command, which the risk classifier then judges as at run time, or described: by verbs, files,
categories. A described action without a tier is medium, or high where it is irreversible. Unknown keys, unknown words
and values of another type are errors: what is not understood must not be let through.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from bastion.errors import UsageError
from bastion.model import Assessment, Effect, EffectKind, IdentityKind, Reversible, Tier
from bastion.policy.question import Question
from bastion.policy.rules import Test
from bastion.policy.vocabulary import nearest, vocabulary

ACTION_LIMIT = 1 << 20
"""Bytes of an action's JSON."""

LIST_LIMIT = 100_000
"""Values of one list; a deployment with that many files is described by their number."""

KINDS = {kind.value: kind for kind in IdentityKind}
TEXTS = ("identity", "target", "environment", "login", "command", "tier", "task", "reason", "rollback", "emergency")
LISTS = ("verbs", "paths", "hosts", "categories", "activity")
KEYS = {*KINDS, *TEXTS, *LISTS, "action", "kind", "files", "irreversible", "effects"}

ALIASES = {
    "category": "categories",
    "path": "paths",
    "file": "files",
    "host": "hosts",
    "verb": "verbs",
    "env": "environment",
}
"""What people write, too."""

Assess = Callable[[bytes], Assessment]


def read(text: str | bytes, assess: Assess) -> Question:
    """The question that a JSON object asks. Raises UsageError."""
    if len(text) > ACTION_LIMIT:
        raise UsageError(f"an action has at most {ACTION_LIMIT} bytes")
    try:
        value = json.loads(text, object_pairs_hook=_once)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"the action is no JSON: {error}") from None
    if not isinstance(value, dict):
        raise UsageError("the action is no JSON object")
    return of(value, assess)


def of_test(test: Test, assess: Assess) -> Question:
    """The question that a test of the policy asks. Raises UsageError."""
    many = {*LISTS, "files"}
    facts: dict[str, Any] = {word: list(values) if word in many else values[0] for word, values in test.facts.items()}
    if "files" in facts and len(facts["files"]) == 1 and facts["files"][0].isdigit():
        facts["files"] = int(facts["files"][0])
    if "irreversible" in facts:
        facts["irreversible"] = facts["irreversible"] == "true"
    for word, values in test.facts.items():
        if word not in many and len(values) > 1:
            raise UsageError(f"{word} takes one value")
    return of(facts, assess)


def of(value: Mapping[str, Any], assess: Assess) -> Question:
    """The question. Raises UsageError."""
    for name, full in ALIASES.items():
        if name in value and full in value:
            raise UsageError(f"the action has both {name} and {full}", "one of them")
    value = {ALIASES.get(name, name): each for name, each in value.items()}
    for key in value:
        if key not in KEYS:
            raise UsageError(f"unknown key {key!r} in the action", nearest(key, KEYS))
    texts = {name: _text(value, name) for name in (*TEXTS, *KINDS)}
    lists = {name: _list(value, name) for name in LISTS}
    verbs, activities = _words(value, lists)
    name, kind = _who(texts)
    files, count = _files(value)
    command = texts["command"].encode("utf-8", "surrogateescape") if "command" in value else None
    return Question(
        identity=name,
        identity_kind=kind,
        target=texts["target"],
        env=texts["environment"],
        login=texts["login"],
        assessment=_assessment(value, texts["tier"], verbs, assess(command) if command is not None else None),
        command=command,
        paths=(*lists["paths"], *files),
        hosts=tuple(lists["hosts"]),
        activities=frozenset(activities),
        files=count,
        task=texts["task"],
        reason=texts["reason"],
        rollback=texts["rollback"],
        emergency=texts["emergency"],
    )


def _who(texts: Mapping[str, str]) -> tuple[str, IdentityKind]:
    named = [(word, texts[word]) for word in (*KINDS, "identity") if texts[word]]
    if len(named) > 1:
        raise UsageError(f"the action names both {named[0][0]} and {named[1][0]}", "one of them")
    if not named:
        return "", IdentityKind.AGENT
    return named[0][1], KINDS.get(named[0][0], IdentityKind.AGENT)


def _words(value: Mapping[str, Any], lists: Mapping[str, list[str]]) -> tuple[list[str], list[str]]:
    """Verbs, and activities with categories; `action` and `kind` are one word of any of them."""
    words = vocabulary()
    verbs, activities = list(lists["verbs"]), [*lists["activity"], *lists["categories"]]
    for key in ("action", "kind"):
        if word := _text(value, key):
            (verbs if word in words.verbs else activities).append(word)
    for verb in verbs:
        if verb not in words.verbs:
            raise UsageError(f"unknown verb {verb!r}", nearest(verb, words.verbs))
    for name in activities:
        if name not in words.activities and name not in words.categories:
            known = words.activities | words.categories.keys()
            raise UsageError(f"unknown word {name!r}", nearest(name, known | words.verbs))
    return verbs, activities


def _files(value: Mapping[str, Any]) -> tuple[list[str], int]:
    """Names, or only how many."""
    files = value.get("files", [])
    if isinstance(files, int) and not isinstance(files, bool) and files >= 0:
        return [], files
    return _list(value, "files"), 0


def _assessment(value: Mapping[str, Any], tier: str, verbs: list[str], found: Assessment | None) -> Assessment:
    irreversible = value.get("irreversible", False)
    if not isinstance(irreversible, bool):
        raise UsageError("irreversible must be true or false")
    effects = [_effect(each) for each in _any_list(value, "effects")]
    if tier not in ("", "low", "medium", "high"):
        raise UsageError(f"unknown tier {tier!r}", "low, medium or high")
    if found is None:
        rated = Tier(tier) if tier else Tier.HIGH if irreversible else Tier.MEDIUM
        undone = Reversible.NO if irreversible else Reversible.UNKNOWN
        return Assessment(None, rated, (), (), undone, tuple(effects), tuple(dict.fromkeys(verbs)))
    if tier and tier != found.tier:
        raise UsageError(f"the command is {found.tier} and the action says {tier}", "leave the tier out")
    return Assessment(
        found.score,
        found.tier,
        found.reasons,
        found.weights,
        Reversible.NO if irreversible else found.reversible,
        (*found.effects, *effects),
        tuple(dict.fromkeys((*found.verbs, *verbs))),
    )


def _effect(value: Any) -> Effect:
    match value:
        case {"kind": str(kind), "what": str(what), **rest} if not rest and kind in set(EffectKind):
            return Effect(EffectKind(kind), what)
        case str(kind) if kind in set(EffectKind):
            return Effect(EffectKind(kind), "")
        case _:
            raise UsageError("an effect is {kind, what}", f"kind is one of {', '.join(EffectKind)}")


def _text(value: Mapping[str, Any], name: str) -> str:
    text = value.get(name, "")
    if not isinstance(text, str):
        raise UsageError(f"{name} must be a text")
    return text


def _any_list(value: Mapping[str, Any], name: str) -> list[Any]:
    found = value.get(name, [])
    if not isinstance(found, list) or len(found) > LIST_LIMIT:
        raise UsageError(f"{name} must be a list of at most {LIST_LIMIT}")
    return found


def _list(value: Mapping[str, Any], name: str) -> list[str]:
    """A list of texts; one text alone stands for a list of it."""
    if isinstance(value.get(name), str):
        return [value[name]]
    found = _any_list(value, name)
    if not all(isinstance(each, str) for each in found):
        raise UsageError(f"{name} must be a list of texts")
    return found


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object without repeated keys: two readers must not see two actions."""
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key is repeated")
    return found
