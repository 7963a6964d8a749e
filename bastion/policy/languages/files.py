"""Words that name a file, in their program's own way, or a file of another machine. Pure."""

from __future__ import annotations

import re

from bastion.policy.languages import Act
from bastion.policy.words import UNKNOWN


def pager(word: str) -> list[Act]:
    """`less +!id` runs; `less +G` does not."""
    if word.startswith("+"):
        return [] if re.fullmatch(r"\+(?:\d+|G|F|/.*|\d*[gGp%])?", word) else [("run-code", "a pager's first command")]
    return [("read", word)]


def dd(word: str) -> list[Act]:
    """`of=` writes."""
    name, _, value = word.partition("=")
    if UNKNOWN in name:
        return [("copy", value or word)]
    if name == "of":
        return [("copy", value)]
    return [("read", value)] if name == "if" else []


def manifest(word: str) -> list[Act]:
    """A file, or an address that is fetched."""
    return [("download" if "://" in word or word.startswith("git@") else "read", word)]


def response(word: str) -> list[Act]:
    """`@file` is a file of arguments, options too, also behind `--`: nm(1) takes one that loads code (binutils 2.40,
    libiberty's expandargv). It names what is read, and errors show its content."""
    if word.startswith("@"):
        return [("load-library", word), ("read", word[1:]), ("read", UNKNOWN)]
    return [("unknown-argument", word), ("read", word)] if word[:1] in (UNKNOWN, "*", "?", "[") else [("read", word)]


def archive(word: str) -> list[Act]:
    """`host:file` is on another machine, which tar(1) and cpio(1) reach by running rsh or ssh."""
    return [("connect", word)] if remote_path(word) else [("read", word)]


def remote_path(word: str) -> bool:
    """`host:path`, `rsync://host`: on another machine."""
    return re.match(r"(?:[^/:]+@)?[^/:]+:|\w+://", word) is not None


_YQ_LOAD = re.compile(r"\bload\w*\s*\(\s*(?:\"((?:[^\"\\]|\\.)*)\"\s*\))?")


def yq(expression: str) -> list[Act]:
    """`load("file")` and its kind read a file of that name; one that is worked out may be any (yq 4, Load)."""
    return [
        ("read-secret", "a file whose name is worked out") if match[1] is None else ("read", match[1])
        for match in _YQ_LOAD.finditer(expression)
    ]
