"""Where a path points: temporary, system, data, backup, start-up file, secret. Pure.

Paths are compared as text after normalising; nothing is looked up, so a link or a mount that leads elsewhere is not
seen. A relative path is tried below every directory that the line may have changed to, and, when it climbs (`../..`),
from the root; the worst place counts. A name with gaps (`/etc/sha*`, `$dir/shadow`) counts as a secret when it could
spell one and says enough of it; a name that is nothing but a gap could be any file, and is not counted.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Iterator

from bastion.policy.programs import Place
from bastion.policy.words import UNKNOWN

_PARTS = re.compile(r"\*\*/|\*\*|\*|\?")
_WILD = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
_ELSEWHERE = re.compile(r"/proc/[^/]+/(?:task/[^/]+/)?(?:root|cwd)(?=/|$)")
"""Other names of the root directory (proc(5)); `cwd` may be it."""
_GAPS = re.compile(rf"(?:[*?{UNKNOWN}]|\[[^\]/]*\])+")
TELLING = 2
"""Letters that a name with gaps must have in common with a secret's to count."""


START = 2
"""Characters by which samples are looked up; two tell hundreds of them apart into dozens."""


class Places:
    """The classes of places.toml, compiled."""

    def __init__(self, places: Iterable[Place]) -> None:
        self._changes = [(place, _compile(place.patterns)) for place in places if place.changes]
        self._reads = [(place, _compile(place.patterns)) for place in places if not place.changes]
        self._samples = [
            (sample, place) for place, _ in self._reads for pattern in place.patterns for sample in _samples(pattern)
        ]

        self._by_start: dict[str, list[tuple[str, Place]]] = {}
        for sample, place in self._samples:
            self._by_start.setdefault(sample[:START], []).append((sample, place))

    def _beginning(self, text: str) -> list[tuple[str, Place]]:
        """The samples that can begin with it, in order, and few others."""
        return self._by_start.get(text[:START], []) if len(text) >= START else self._samples

    def of_change(self, path: str, directories: tuple[str, ...] = ()) -> Place | None:
        """The class that counts for writing or deleting this path: the worst of what it may be."""
        worst: Place | None = None
        for position, candidate in enumerate(spellings(path, directories)):
            found = next((place for place, pattern in self._changes if pattern.fullmatch(candidate)), None)
            if not position or _weight(found) > _weight(worst):
                worst = found
        if worst is not None and worst.weight < 0 and UNKNOWN in path:
            return None  # what run time fills in can be `../..`
        return worst

    def of_read(self, path: str, directories: tuple[str, ...] = (), *, wild: bool = False) -> Place | None:
        """The class that counts for reading it; `wild`: it holds a glob or a gap."""
        for candidate in spellings(path, directories):
            for place, pattern in self._reads:
                if pattern.fullmatch(candidate):
                    return place
            if wild and (found := self._spelled(candidate)) is not None:
                return found
        return None

    def of_name(self, name: str) -> Place | None:
        """The class of a file that has this name somewhere; `name` may be a glob that `find` reads."""
        parts = _GAPS.split(name)
        if len("".join(parts).strip(".")) < TELLING:
            return None
        for sample, place in self._samples:
            if _fills(parts, sample.rpartition("/")[2]):
                return place
        return None

    def _spelled(self, path: str) -> Place | None:
        *parents, last = path.split("/")
        letters = len(re.sub(rf"\[[^\]]*\]|[*?.{UNKNOWN}]", "", last))
        parent = parents[-1] if parents else ""
        known = parent not in ("", "~", ".", "..") and not re.search(rf"[*?\[{UNKNOWN}]", parent)
        if letters < TELLING and not known:
            return None
        ends = [path]
        if known:
            ends.append(f"{parent}/{last}")  # below whatever home: `/root/.ssh/*`
        if "[" in last and letters >= TELLING:
            ends.append(last)  # a name that hides a letter: `~/.ssh/[i]d_rsa`
        for parts in map(_GAPS.split, ends):
            for sample, place in self._beginning(parts[0]):
                if _fills(parts, sample) and (letters >= TELLING or sample.split("/")[-2:-1] == [parent]):
                    return place
        return None


def _fills(parts: list[str], sample: str) -> bool:
    """Whether text in the gaps between these parts makes the sample. Every gap may be anything, also a `/`."""
    if len(parts) == 1:
        return parts[0] == sample
    first, *middle, last = parts
    if len(sample) < len(first) + len(last) or not sample.startswith(first) or not sample.endswith(last):
        return False
    at, end = len(first), len(sample) - len(last)
    for part in middle:
        at = sample.find(part, at, end)
        if at < 0:
            return False
        at += len(part)
    return True


def spellings(path: str, directories: tuple[str, ...]) -> Iterator[str]:
    """The paths that this one may be, normal."""
    clean = normal(path)
    yield clean
    if short := unrooted(clean):
        yield short
    if clean.startswith(("/", "~")):
        return
    if clean.startswith("../"):
        yield "/" + clean.replace("../", "")
    for directory in directories:
        yield normal(f"{directory}/{path}")


def unrooted(path: str) -> str:
    """The path behind another name of the root directory (`/proc/self/root/etc`); empty for every other one."""
    if "proc" not in path:
        return ""
    clean = normal(path)
    if not clean.startswith("/proc/") or (short := _ELSEWHERE.sub("", clean)) == clean:
        return ""
    return normal(short or "/")


def normal(path: str) -> str:
    """Without `//`, `/./` and `/../`; a home directory is `~`."""
    if not path:
        return path
    clean = posixpath.normpath(path)
    return clean[1:] if clean.startswith("//") else clean


def _weight(place: Place | None) -> int:
    return place.weight if place is not None else 0


def _compile(patterns: Iterable[str]) -> re.Pattern[str]:
    return re.compile("|".join(_regex(pattern) for pattern in patterns), re.DOTALL)


def _regex(pattern: str) -> str:
    parts, at = [], 0
    for match in _PARTS.finditer(pattern):
        parts += [re.escape(pattern[at : match.start()]), _WILD[match[0]]]
        at = match.end()
    return "".join([*parts, re.escape(pattern[at:])])


def _samples(pattern: str) -> Iterator[str]:
    """Members of a class, to hold a glob against."""
    body = pattern.removeprefix("**/").replace("**", "x")
    body = re.sub(r"(?<=/)\*(?=/)", "1", body).replace("*", "")
    if body == pattern.replace("*", "") or not pattern.startswith("**/"):
        yield body
        return
    for start in ("", "/", "/h/", "~/"):
        yield start + body
