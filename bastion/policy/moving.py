"""Where a command line may have changed the current directory to. Pure.

A relative path means a file below one of these; nothing is looked up, and which `cd` worked is not known, so all of
them count.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from bastion.policy.places import normal
from bastion.policy.words import UNKNOWN, Word

DIRECTORIES_LIMIT = 16
"""Directories that one line may have changed to; beyond, relative paths are looked up in these only."""

_MOVES = frozenset(("cd", "pushd"))
_CHDIR = frozenset(("-C", "--chdir", "-w", "--workdir", "-D"))
_MOVING = re.compile(r"(?:cd|pushd)\s+['\"]?([^\s'\";&|]+)")


def directories(commands: Iterable[tuple[Word, ...]], before: tuple[str, ...]) -> tuple[str, ...]:
    """What the current directory may be, anywhere in this line: more rather than fewer."""
    known = list(before)
    for words in commands:
        for target in _moves([word.text for word in words]) if words else ():
            found = [target] if target.startswith(("/", "~")) else [target, *(f"{start}/{target}" for start in known)]
            known += [path for path in map(normal, found) if path not in known]
    return tuple(known[:DIRECTORIES_LIMIT])


def _moves(texts: list[str]) -> Iterator[str]:
    """Where these words may go: `cd X`, also behind `time` or in an `eval`, `env -C X`, `docker exec -w X`."""
    for at, text in enumerate(texts):
        if text in _MOVES and texts[-1] not in (text, "-"):
            yield texts[-1]
        elif text in _CHDIR and at + 1 < len(texts):
            yield texts[at + 1]
        elif text.startswith(("--chdir=", "--workdir=", "--working-directory=", "-C/")):
            yield text[2:] if text.startswith("-C") else text.partition("=")[2]
        elif texts[0] == "eval":
            yield from _MOVING.findall(text)


def located(paths: Iterable[str], among: tuple[str, ...]) -> Iterator[str]:
    """Where relative paths lie below these directories."""
    if not among:
        return
    for path in paths:
        if path and not path.startswith(("/", "~", "-")):
            yield from (normal(f"{directory}/{path}") for directory in among)


def unclear(directory: str) -> bool:
    """Only run time knows which directory this is."""
    return any(sign in directory for sign in (UNKNOWN, "*", "?", "[", "{"))
