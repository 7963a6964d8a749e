"""Words that a command hands to another one: those of xargs, of find, and what stands in their place. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from bastion.policy.argv import Invocation
from bastion.policy.surroundings import Input
from bastion.policy.words import UNKNOWN, Word


def anchored(operands: Sequence[Word]) -> bool:
    """What find prints begins with its starting point, which is no option."""
    starts = [word for word in operands if word.text[:1] not in "(!,"]
    return bool(starts) and all(word.constant and word.text[:1] in ("/", ".", "~") for word in starts)


def from_here(word: Word) -> Word:
    return Word(word.text.replace("{}", f"./{UNKNOWN}"), word.raw) if word.text.startswith("{}") else word


def placeholder(word: Word, sign: str) -> Word:
    """`{}` of find and xargs -I, as a word of which only its surroundings are known."""
    if sign not in word.text:
        return word
    return Word(word.text.replace(sign, UNKNOWN), word.raw, word.glob, word.splits)


def fed(given: Invocation, words: Sequence[Word], stdin: Input) -> tuple[Word, ...]:
    """The command that xargs runs: its words, and those that come from its input (xargs(1))."""
    signs = [
        one.value.text if one.value is not None and one.value.text else "{}"
        for one in given.options
        if one.name in ("-I", "-i", "-J", "--replace")
    ]
    if signs:
        for sign in signs:
            words = [placeholder(word, sign) for word in words]
        return tuple(words)
    if stdin.anchored and given.has(frozenset(("-0", "--null"))):
        return (*words, Word(f"./{UNKNOWN}", "(from its input)"))
    return (*words, Word(UNKNOWN, "(from its input)", splits=True))
