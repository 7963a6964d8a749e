"""Far ends of transfers that end in the bastion instead: which command lines are `scp -t` and `scp -f`. Pure.

Theory of operation. `scp -O` has its far end run by the target's shell, which would expand what the path has. Here no
shell runs: the words are taken as that shell would take them where they are literal, `~` and quotes included, and
refused with a sentence where it would make something else of them. What is not exactly such a command line (a `;`, a
redirect, an option that scp.c does not send) is none of it, and is judged as the command that it is.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from bastion.policy.shell import Command, Parsed, parse
from bastion.policy.transfers import SYSTEM
from bastion.policy.words import Word

NOT_LITERAL = (
    "the path of scp -O and rsync is taken as it is written, and this one the target's shell would expand: "
    "name the files, or use scp without -O"
)
OTHER_HOME = "~NAME in a path is not looked up: write the directory"

_OPTIONS = frozenset(("-t", "-f", "-r", "-p", "-d", "-v", "-q"))
"""What OpenSSH's scp.c sends to its far end, each by itself."""


@dataclass(frozen=True, slots=True)
class Scp:
    """`scp [-v] [-r] [-p] [-d] -t|-f [--] PATH…`"""

    sends: bool
    """-f: from the target; else -t, to it."""
    paths: tuple[bytes, ...]
    """Absolute, or from the login's home."""
    recursive: bool = False
    preserves: bool = False
    """Modes and times."""
    directory: bool = False
    """-d: the path has to be a directory."""


@dataclass(frozen=True, slots=True)
class Refused:
    """It is one, and cannot be done here; `reason` is a sentence for the agent."""

    reason: str


def scp(command: bytes) -> Scp | Refused | None:
    """What this command line copies by scp's old protocol; None for any other command. Never raises."""
    words = simple(command, "scp") if b"scp" in command else None
    if words is None:
        return None
    options, paths = _parted(words)
    given = [option.text for option in options]
    ways = [option for option in given if option in ("-t", "-f")]
    if not set(given) <= _OPTIONS or not all(map(written, options)) or len(ways) != 1 or not paths:
        return None
    sends = ways == ["-f"]
    if len(paths) > 1 and not sends:
        return None
    found: list[bytes] = []
    for word in paths:
        path = literal(word)
        if isinstance(path, Refused):
            return path
        found.append(path)
    return Scp(sends, tuple(found), "-r" in given, "-p" in given, "-d" in given)


def simple(command: bytes, program: str) -> list[Word] | None:
    """The words behind the program's name, where the command line is one run of this program and nothing else."""
    parsed = parse(command)
    if not isinstance(parsed, Parsed) or parsed.functions:
        return None
    found: list[Command] = list(parsed.commands())
    if len(found) != 1 or parsed.root.parts != (found[0],) or found[0].assignments or found[0].redirects:
        return None
    words = list(found[0].words)
    if not words or command.split() != b" ".join(word.raw.encode() for word in words).split():
        return None  # a comment, an `&`, a `;`
    directory, _, name = words[0].text.rpartition("/")
    return words[1:] if name == program and directory in SYSTEM and written(words[0]) else None


def _parted(words: list[Word]) -> tuple[list[Word], list[Word]]:
    """Options and what follows them; `--` is neither."""
    for at, word in enumerate(words):
        if word.text == "--" and written(word):
            return words[:at], words[at + 1 :]
        if not word.text.startswith("-"):
            return words[:at], words[at:]
    return words, []


def written(word: Word) -> bool:
    """No shell makes anything else of it than what stands there."""
    return word.constant and not word.splits and not word.inner and "$" not in word.raw


_TILDE = re.compile(r"~([^/]*)(/.*)?", re.DOTALL)


def literal(word: Word) -> bytes | Refused:
    """The path that this word is to every shell, from the login's home where it is not absolute."""
    if not word.text or not written(word):
        return Refused(NOT_LITERAL)
    home = _TILDE.fullmatch(word.text)
    if home is None:
        return word.text.encode()
    if not word.raw.startswith("~"):
        return b"./" + word.text.encode()  # quoted: a file of that name
    if home[1]:
        return Refused(OTHER_HOME)
    return (home[2] or "").lstrip("/").encode() or b"."
