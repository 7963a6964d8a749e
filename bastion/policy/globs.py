"""Patterns that cannot backtrack: text, words of a command, paths. Pure.

Theory of operation. There is one algorithm, on a sequence of things: pieces that must follow each other, and gaps that
take any number of things. The pieces before the first gap are compared in place, those behind the last gap as well, and
each run of pieces between two gaps is put at the first place where it fits. Putting it further left never hurts, so
nothing is tried twice: a text of n things and a pattern of m pieces cost at most n times m comparisons, whatever the
pattern is. Regular expressions are not used.

    text      `web-*`               `*` is any run of characters, the empty one too
    words     `git push **`         each word is a text pattern for one word; `**` is any number of words, none too
    paths     `/srv/**/*.conf`      between slashes, a text pattern for one name; `**` is any number of names, none too

There is no `?` and no `[…]`: what a policy says should be read without a manual. A backslash has no meaning.
"""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Sequence
from functools import lru_cache

PATTERN_LIMIT = 1024
"""Characters of a pattern; a quarter of PATH_MAX."""

PATH_LIMIT = 4096
"""Characters of a path that is compared: PATH_MAX of Linux (limits.h). No longer one can be opened."""

GLOB_LIMIT = 256
"""Characters of a shell's pattern that is compared with one of ours, which takes the product of their lengths."""

GAP = "**"


def _fit(pieces: Sequence[str], things: Sequence[str], fits: Callable[[str, str], bool]) -> bool:
    """Whether `things` are what `pieces` say, in order, nothing left over."""
    runs: list[list[str]] = [[]]
    for piece in pieces:
        if piece == GAP:
            runs.append([])
        else:
            runs[-1].append(piece)
    first, last = runs[0], runs[-1]

    def here(run: Sequence[str], at: int) -> bool:
        return all(fits(piece, things[at + offset]) for offset, piece in enumerate(run))

    if len(runs) == 1:
        return len(things) == len(first) and here(first, 0)
    start, end = len(first), len(things) - len(last)
    if start > end or not here(first, 0) or not here(last, end):
        return False
    for run in runs[1:-1]:
        while start + len(run) <= end and not here(run, start):
            start += 1
        if start + len(run) > end:
            return False
        start += len(run)
    return True


def text(pattern: str, value: str) -> bool:
    """`*` is any run of characters; everything else stands for itself."""
    if "*" not in pattern:
        return pattern == value
    first, *between, last = pattern.split("*")
    at, end = len(first), len(value) - len(last)
    if at > end or not value.startswith(first) or not value.endswith(last):
        return False
    for part in between:
        found = value.find(part, at, end)
        if found < 0:
            return False
        at = found + len(part)
    return True


def words(pattern: Sequence[str], argv: Sequence[str]) -> bool:
    """Each word of the pattern against one word; `**` takes any number of them."""
    return _fit(pattern, argv, text)


@lru_cache(maxsize=4096)
def names(path: str) -> tuple[str, ...]:
    """The names of a path as written, without empty ones and `.`; `/` first if it is absolute."""
    parts = tuple(part for part in path.split("/") if part not in ("", "."))
    return ("/", *parts) if path.startswith("/") else parts


def path_reaches(pattern: str, path: str) -> bool:
    """Whether a path is, or lies below, what the pattern names; a pattern that begins without a slash may begin at any
    directory. For what is forbidden, so in doubt true: `..` is resolved, and also not (a link in the way would lead
    elsewhere); `secrets/**` is reached by `secrets` itself; so is any pattern by a path that is too long to be opened.
    """
    if len(path) > PATH_LIMIT:
        return True
    wanted, literal = _reaching(pattern)
    if literal not in path:
        return False
    if words(wanted, names(path)):
        return True
    return ".." in path and words(wanted, names(posixpath.normpath(path)))


@lru_cache(maxsize=4096)
def _reaching(pattern: str) -> tuple[tuple[str, ...], str]:
    """The pattern, for all that lies below as well; and its longest name without a star, which the path must have."""
    wanted = names(pattern)
    if wanted and wanted[-1] == GAP:
        wanted = wanted[:-1]
    if wanted[:1] != ("/",):
        wanted = (GAP, *wanted)
    literal = max((name for name in wanted if "*" not in name), key=len, default="")
    return (*wanted, GAP), literal


def path_within(pattern: str, path: str) -> bool:
    """Whether a path is surely one that the pattern names. For what is allowed, so in doubt false: it must be absolute
    and without `..`, and hold nothing that a shell would make something else of."""
    if not path.startswith("/") or len(path) > PATH_LIMIT or any(mark in path for mark in "*?[]{}$`\\~…\0\n"):
        return False
    parts = names(path)
    return ".." not in parts and words(names(pattern), parts)


def may_lie_below(pattern: str, directory: str) -> bool:
    """Whether something that the pattern reaches could lie below a directory, in which a shell's `*`, `?`, `[` may
    stand. In doubt true."""
    if len(directory) > GLOB_LIMIT or "{" in directory or ".." in directory.split("/"):
        return True
    wanted = _reaching(pattern)[0]
    have = names(directory)
    if wanted[0] == "/" and have[:1] != ("/",):
        return True  # nobody knows where it starts
    return any(_fit(wanted[:end], have, _overlap) for end in range(1, len(wanted) + 1))


def may_reach(pattern: str, glob: str) -> bool:
    """Whether a word with a shell's `*`, `?`, `[` could stand for a path that the pattern reaches. In doubt true."""
    if len(glob) > GLOB_LIMIT:
        return True
    have = names(glob)
    if any("**" in part or "{" in part for part in have):
        return True
    return _fit(_reaching(pattern)[0], have, _overlap)


def _overlap(pattern: str, glob: str) -> bool:
    """Whether one name could match both: the pattern's `*`, and the shell's `*`, `?` and `[…]` (any one character)."""
    if not any(mark in glob for mark in "*?["):
        return text(pattern, glob)
    if glob[0] in "*?[" and pattern.startswith("."):
        return False  # a shell's pattern takes a leading dot only when it is written (POSIX XCU 2.14.3)
    right = _shell_pieces(glob)
    row = [True]
    for mark in right:
        row.append(row[-1] and mark == "*")
    for char in pattern:
        below = [row[0] and char == "*"]
        for column, mark in enumerate(right):
            if "*" in (char, mark):
                below.append(row[column + 1] or below[column])
            else:
                below.append(row[column] and mark in (char, "?"))
        row = below
    return row[-1]


def _shell_pieces(glob: str) -> list[str]:
    """Characters, `*` and `?`; a bracket expression is taken for `*`, since where it ends depends on the locale."""
    return ["*" if char in "[]" else char for char in glob]
