"""Does a command go down into directories, and so meet paths that its words do not name? Pure.

`grep -r key /srv` reads `/srv/secrets/token` although no word of it says so. Which programs walk, and by which option,
stands in `facts/table_walks.toml`. What is not known there walks when an option looks like `-r`, `-R` or
`--recursive`: this is asked of what is forbidden, so in doubt the answer is yes, and a person looks at the command.
"""

from __future__ import annotations

import functools
import posixpath
from collections.abc import Iterator, Sequence

from bastion.policy.argv import read
from bastion.policy.programs import load
from bastion.policy.words import Word

_USUAL = frozenset(("-r", "-R", "--recursive"))
SHORTEST = 3
"""Characters of an abbreviated long option with its dashes: getopt_long(3) takes any prefix that is unique."""


@functools.cache
def _table() -> tuple[frozenset[str], frozenset[str], dict[str, frozenset[str]]]:
    table = load().tables["walks"]
    marks = {name: frozenset(words.split()) for name, words in table["with"].items()}
    return frozenset(table["always"].split()), frozenset(table["never"].split()), marks


def walks(words: Sequence[Word]) -> bool:
    """Whether this simple command may read, list or change what lies below its directories."""
    if not words:
        return False
    always, never, marks = _table()
    name = posixpath.basename(words[0].text)
    if name in always:
        return True
    if name in never and name not in marks:
        return False
    wanted = marks.get(name, _USUAL)
    return bool(wanted) and any(not word.constant or _is_one(word.text, wanted) for word in words[1:])


def _is_one(text: str, wanted: frozenset[str]) -> bool:
    """`-r`, also among others (`-lr`), `--recursive`, also abbreviated and with a value, or a word as it is."""
    if text in wanted:
        return True
    if text.startswith("--"):
        name = text.partition("=")[0]
        return len(name) >= SHORTEST and any(option.startswith(name) for option in wanted)
    return text.startswith("-") and any(f"-{letter}" in wanted for letter in text[1:])


def places(words: Sequence[Word]) -> Iterator[str]:
    """Where a walking command may begin: its paths, as the facts tell them from other words. Where they cannot, any
    word may be one; and where none surely is one, it begins at `.`."""
    facts = load().program(words[0].text)
    given = read(facts, words) if facts is not None else None
    if given is None or given.unknown or given.unsure or given.lost:
        yield from (".", *_all(words))
        return
    kinds = given.kinds() if given.program.operands else (("read", word) for word in given.operands)
    paths = [word.text for kind, word in kinds if isinstance(word, Word) and _is_path(kind)]
    yield from paths or (".",)
    yield from (one.value.text for one in given.options if one.value is not None and "/" in one.value.text)


def _is_path(kind: str) -> bool:
    return kind not in ("skip", "host") and not kind.startswith("code:")


def _all(words: Sequence[Word]) -> Iterator[str]:
    """Every word, and what stands behind `=` and `:` in it, or behind the letter of an option (`-C/srv`)."""
    for word in words[1:]:
        yield word.text
        yield from (word.text.split(mark, 1)[1] for mark in ("=", ":") if mark in word.text)
        if word.text.startswith("-") and "/" in word.text:
            yield word.text[word.text.index("/") :]
