"""How risky a transfer is: the same actions and places as for commands, without a command line. Pure.

Both the path as asked for and the path as resolved count: the worse of them decides. Every path is an effect, so policy
sees each of them (`deny path`, `block_paths`, `writes "…"`).
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Sequence
from dataclasses import replace

from bastion.model import Assessment
from bastion.policy import programs, score
from bastion.policy.findings import Finder, Finding
from bastion.policy.places import Places
from bastion.policy.words import Word
from bastion.sftp import names
from bastion.sftp.changes import Item, Kind, There, shows

SPECIAL = 0o6000
"""setuid and setgid: chmod(2)."""

WORLD = 0o002
"""Anybody on the target may write."""

INTO = frozenset({Kind.RENAME, Kind.REPLACE, Kind.SYMLINK})
"""Kinds by which a whole directory comes to a place."""

ACTIONS = {
    Kind.READ: "read",
    Kind.REMOVE: "delete",
    Kind.RENAME: "move",
    Kind.REPLACE: "move",
    Kind.MKDIR: "create",
    Kind.RMDIR: "delete-empty",
    Kind.SYMLINK: "link",
    Kind.LINK: "link",
}
"""Kinds that are one action of facts/actions.toml; the others depend on what is there."""


@functools.cache
def _finder() -> Finder:
    facts = programs.load()
    return Finder(facts.actions, Places(facts.places))


def rate(items: Sequence[Item]) -> Assessment:
    """The assessment of all of them together."""
    finder = _finder()
    found: list[Finding] = []
    for item, shown in zip(items, shows(items), strict=True):
        found += _findings(finder, item)
        if item.kind is Kind.WRITE and not shown:
            found.append(finder.find("unseen", f"content that is not shown: {names.text(item.path)}"))
    return score.assess(found)


def _findings(finder: Finder, item: Item) -> Iterable[Finding]:
    if item.kind is Kind.LOOK:
        yield from (finder.find("look", names.text(path)) for path in item.paths or (b"",))
        return
    for path in item.paths:
        yield from _on(finder, _action(item, path), path)
    if item.kind in INTO and item.found.there is not There.FILE:
        for path in (item.path, item.asked) if item.kind is Kind.SYMLINK else (item.to, item.to_asked):
            yield from _inside(finder, ACTIONS[item.kind], path)
    if item.kind in (Kind.RENAME, Kind.REPLACE, Kind.LINK):
        for path in (item.path, item.asked) if item.kind is not Kind.LINK else (item.to, item.to_asked):
            yield from _on(finder, "read", path)  # under its new name, nobody would know it as a secret
    if item.to_found.there is not There.NOTHING and item.kind is not Kind.LINK:
        for path in (item.to, item.to_asked):
            yield from _on(finder, "delete", path)
    mode = item.set.mode or 0
    if mode & SPECIAL:
        yield finder.find("guard-off", f"{names.text(item.path)} runs with its owner's rights (mode {mode:04o})")
    elif mode & WORLD:
        yield finder.find("mode-tree", f"{names.text(item.path)} for everybody (mode {mode:04o})")
    if item.set.owner is not None:
        yield from _on(finder, "owner", item.path)


def _inside(finder: Finder, action: str, path: bytes) -> Iterable[Finding]:
    """What comes to a place may be a directory with something in it, which then stands there: `.ssh` is one."""
    for finding in _on(finder, action, names.join(path, b"*")):
        yield replace(finding, what=names.text(path))


def _action(item: Item, path: bytes) -> str:
    if item.kind is Kind.WRITE:
        return "create" if item.found.there is There.NOTHING else "write"
    if item.kind is Kind.SETSTAT:
        return "mode"
    if item.kind in (Kind.LINK, Kind.SYMLINK) and path not in (item.path, item.asked):
        return "read"  # what it leads to
    return ACTIONS[item.kind]


def _on(finder: Finder, action: str, path: bytes) -> list[Finding]:
    text = names.text(path)
    return finder.path(action, Word(text, text)) if path else []
