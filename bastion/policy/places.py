"""Where a path points: temporary, system, data, backup, start-up file, secret. Pure.

Paths are compared as text after normalising; nothing is looked up, so a link or a mount that leads elsewhere is not
seen. A part that only run time knows can be anything within its component.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable

from bastion.policy.programs import Place
from bastion.policy.words import UNKNOWN

_PARTS = re.compile(r"\*\*/|\*\*|\*|\?")
_WILD = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}


class Places:
    """The classes of places.toml, compiled."""

    def __init__(self, places: Iterable[Place]) -> None:
        self._changes = [(place, _compile(place.patterns)) for place in places if place.changes]
        self._reads = [(place, _compile(place.patterns)) for place in places if not place.changes]
        self._samples = [
            pattern.replace("**/", "/x/").replace("**", "x").replace("*", "")
            for place, _ in self._reads
            for pattern in place.patterns
        ]

    def of_change(self, path: str) -> Place | None:
        """The class that counts for writing or deleting this path."""
        path = normal(path)
        return next((place for place, pattern in self._changes if pattern.fullmatch(path)), None)

    def of_read(self, path: str, *, glob: bool = False) -> Place | None:
        """The class that counts for reading it. A glob counts when it could stand for a member of the class."""
        path = normal(path)
        for place, pattern in self._reads:
            if pattern.fullmatch(path):
                return place
            if glob and any(_glob(path).fullmatch(sample) for sample in self._samples):
                return place
        return None


def normal(path: str) -> str:
    """Without `//`, `/./` and `/../`; a home directory is `~`."""
    if not path:
        return path
    clean = posixpath.normpath(path)
    return clean[1:] if clean.startswith("//") else clean


def _compile(patterns: Iterable[str]) -> re.Pattern[str]:
    return re.compile("|".join(_regex(pattern) for pattern in patterns), re.DOTALL)


def _regex(pattern: str) -> str:
    parts, at = [], 0
    for match in _PARTS.finditer(pattern):
        parts += [re.escape(pattern[at : match.start()]), _WILD[match[0]]]
        at = match.end()
    return "".join([*parts, re.escape(pattern[at:])])


def _glob(path: str) -> re.Pattern[str]:
    """A shell's glob as an expression; anything unusual in brackets matches everything there."""
    text = re.sub(r"\[[^\]/]*\]", "?", path.replace(UNKNOWN, "*"))
    return re.compile("".join({"*": "[^/]*", "?": "[^/]"}.get(char, re.escape(char)) for char in text), re.DOTALL)
