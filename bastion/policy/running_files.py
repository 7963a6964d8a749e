"""The file that a line runs, where more than a simple command stands round it; and what that file brings in. Pure.

Theory of operation. `scripts.script_file` knows simple commands only, because what it names is remembered. To show and
pin a file (scripts.guarded) the line may be one of these forms as well, told by every word of it:

    cd DIR && LINE               DIR begins with `/`, `./` or `../`, so that CDPATH has no say
    LINE && sleep 0              as Ansible ends its lines
    sh -c 'LINE'                 and other POSIX shells
    sudo, nohup, time LINE       with options that change nothing about the file
    bash -x FILE, python3 -u FILE and the like
    make [-C DIR] [-f FILE] [options] TARGET…

make takes GNUmakefile and makefile before Makefile: its choice is pinned by asking that the other two are not there.

What a file brings in from elsewhere (`include`, `source`, other scripts) is not read: it is said. Such a line is
never low, and never remembered.
"""

from __future__ import annotations

import posixpath
import re
import shlex
from collections.abc import Sequence

from bastion.policy.ansible_lines import of_command
from bastion.policy.plays import from_copy
from bastion.policy.remembered import remembered
from bastion.policy.scripts import READ_FIRST, SHELLS, SYSTEM, guarded, runs_script, script_file
from bastion.policy.shell import Block, BlockKind, Command, Parsed, parse
from bastion.policy.words import Word

DEPTH = 4
"""Forms inside forms that are followed."""
BROUGHT_SHOWN = 8
"""Things that are brought in and named; the rest is counted."""

_WRAPPERS = {"sudo": frozenset({"-n", "-E", "-H"}), "nohup": frozenset[str](), "time": frozenset[str]()}
_FLAGS = {
    **dict.fromkeys(sorted(SHELLS & READ_FIRST), re.compile(r"-[euxvfCm]+")),
    **dict.fromkeys(("python", "python2", "python3"), re.compile(r"-[uBEsSIOqv]+")),
}
"""Options that an interpreter may have before its file: they say how it runs, not what."""
_MAKE = re.compile(r"-[skiBnrw]+|-j[0-9]*|--(?:silent|quiet|keep-going|dry-run|no-print-directory)")
_TARGET = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_./-]*(?:=[^\0\n]*)?")
"""A target, or a variable."""
_INCLUDE = re.compile(rb"(?m)^[ \t]*[-s]?include[ \t]+([^\n#]+)")

BEFORE_MAKEFILE = ("GNUmakefile", "makefile")
"""make(1): names that it looks for before Makefile."""


@remembered
def shown_file(command: bytes) -> str:
    """The one file that the line runs, as seen from where it starts; empty where that is not certain. Never raises."""
    frame = of_command(command)
    return frame.script if frame is not None and frame.script else _of(command, DEPTH)


def pinned(command: bytes, path: str, sha256: str) -> bytes:
    """The command as it goes to the target: it runs only while its file holds what was approved, and while it is still
    the file that the command runs. Without a path, the command as it is."""
    if copied := from_copy(command, path, sha256):
        return copied
    by_default = posixpath.basename(path) == "Makefile"  # with `-f Makefile`, too: there it refuses more than it has to
    beside = posixpath.dirname(path)
    absent = [posixpath.join(beside, name) for name in BEFORE_MAKEFILE] if by_default else []
    return guarded(command, path, sha256, absent)


def _of(command: bytes, depth: int) -> str:
    parsed = parse(command)
    if depth == 0 or not isinstance(parsed, Parsed) or parsed.functions:
        return ""
    if path := script_file(parsed):
        return path
    found = _in_sequence(parsed.root)
    if found is None or command.split() != _written(found).split():
        return ""  # anything but `&&` between them, a comment, a `&`
    base = ""
    if len(found) > 1 and _is(found[0], "cd") and len(found[0].words) == 2:
        base = found[0].words[1].text
        if not base.startswith(("/", "./", "../")):
            return ""
        found = found[1:]
    if len(found) == 2 and _is(found[1], "sleep") and len(found[1].words) == 2:
        found = found[:1]
    if len(found) != 1:
        return ""
    path = _simple(found[0], depth)
    return posixpath.join(base, path) if path else ""


def _in_sequence(root: Block) -> list[Command] | None:
    """Simple commands of constant words in lists, in order; None for anything else."""
    found: list[Command] = []
    for part in root.parts:
        if isinstance(part, Block) and part.kind is BlockKind.LIST and not part.words and not part.redirects:
            inner = _in_sequence(part)
            if inner is None:
                return None
            found += inner
        elif isinstance(part, Command) and _constant(part):
            found.append(part)
        else:
            return None
    return found


def _constant(command: Command) -> bool:
    return (
        bool(command.words)
        and not command.assignments
        and not command.redirects
        and all(word.constant and not word.splits and not word.inner and "$" not in word.raw for word in command.words)
    )


def _written(found: Sequence[Command]) -> bytes:
    lines = (" ".join(word.raw for word in command.words) for command in found)
    return " && ".join(lines).encode("utf-8", "surrogateescape")


def _name(word: Word) -> str:
    return word.text.rpartition("/")[2] if word.text.startswith(SYSTEM) else word.text


def _is(command: Command, name: str) -> bool:
    return _name(command.words[0]) == name


def _simple(command: Command, depth: int) -> str:
    words: Sequence[Word] = command.words
    while words and (options := _WRAPPERS.get(_name(words[0]))) is not None:
        words = words[1:]
        while words and words[0].text in options:
            words = words[1:]
    if not words:
        return ""
    name, rest = _name(words[0]), [word.text for word in words[1:]]
    if name == "make":
        return _make(rest)
    if name in SHELLS and len(rest) == 2 and rest[0] == "-c":
        return _of(rest[1].encode("utf-8", "surrogateescape"), depth - 1)
    flags = _FLAGS.get(name)
    while flags is not None and rest and flags.fullmatch(rest[0]):
        rest = rest[1:]
    line = " ".join(map(shlex.quote, [words[0].text, *rest]))
    parsed = parse(line.encode("utf-8", "surrogateescape"))
    return script_file(parsed) if isinstance(parsed, Parsed) else ""


def _make(words: list[str]) -> str:
    base, file = "", ""
    while words:
        word, words = words[0], words[1:]
        if word in ("-C", "-f") and words and not words[0].startswith("-"):
            value, words = words[0], words[1:]
            if word == "-C" and not base and not file:
                base = value
            elif word == "-f" and not file:
                file = value
            else:
                return ""
        elif not _MAKE.fullmatch(word) and not _TARGET.fullmatch(word):
            return ""
    return posixpath.join(base, file or "Makefile")


# --- what the file brings in ------------------------------------------------------------------------------------------


def brought_in(path: str, code: bytes) -> tuple[str, ...]:
    """Sentences about what a file runs or takes from elsewhere, which nobody is shown. Never raises."""
    if posixpath.basename(path).lower().endswith(("makefile", ".mk")):
        named = [name.decode("utf-8", "backslashreplace") for line in _INCLUDE.findall(code) for name in line.split()]
        said = [f"{path} includes {name}, which is not shown" for name in dict.fromkeys(named)]
        return _cut([*said, f"{path}: what its recipes run is not rated"])
    if not _is_shell(path, code):
        return ()
    parsed = parse(code)
    if not isinstance(parsed, Parsed):
        return (f"{path} {parsed.reason}: what it runs is not rated",)
    inner = dict.fromkeys(
        script for each in parsed.commands() if (script := runs_script(Parsed(_alone(each), frozenset())))
    )
    return _cut([f"{path} itself runs {script}, which is not shown" for script in inner])


def _alone(command: Command) -> Block:
    return Block(BlockKind.LIST, (command,))


def _is_shell(path: str, code: bytes) -> bool:
    first = code.split(b"\n", 1)[0]
    return path.endswith(".sh") or (
        first.startswith(b"#!") and any(first.rstrip().endswith(s.encode()) for s in SHELLS)
    )


def _cut(said: list[str]) -> tuple[str, ...]:
    more = len(said) - BROUGHT_SHOWN
    return (*said[:BROUGHT_SHOWN], f"and {more} more") if more > 0 else tuple(said)
