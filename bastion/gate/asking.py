"""What the bastion asks a governed shell on its own: what the words of an item mean there. Pure.

Theory of operation. The same name can be an alias, a function and a program, and only the shell knows. So before an
item is proposed, its command words are looked up with `type -a` (bash) or `command -V` (POSIX), and the traps are
listed; the approver is shown the answer. The question is our own text. Of the agent's item only words of WORD go into
it, between single quotes, as operands: nothing of it can be run.

The answer comes on the terminal between two random numbers (digits only: a terminal can change letters), in one write,
so that what a background job prints meanwhile is told apart and reaches the agent. `$?` stays what it was, but under
`set -e`, where a status that is not 0 would end the shell.

Not protected: approved code that re-defines what the question uses makes the answer lie. It is for people's eyes, and
decides only whether `cd` is the builtin.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from bastion.gate.modes import SAFER
from bastion.policy.shell import Parsed, parse

WORD = re.compile(r"[A-Za-z0-9_.+@%/\[:][A-Za-z0-9_.+@%/\[:-]{0,63}", re.ASCII)
"""A command word that is looked up; others stand before the approver as they are."""
WORDS_MOST = 8
ANSWER_LIMIT = 2_000
"""Characters of the answer that are kept: a function's body can be long, and is cut with a word."""
USUAL = re.compile(r"(\S+) is (a shell builtin|a special shell builtin|a shell keyword|(\1|(/usr(/local)?)?/s?bin/\1))")
"""An answer that says nothing: the builtin, or the program of that name in a directory of the system."""


def words_of(item: bytes) -> list[str]:
    """Command words of an item that can be looked up, each once."""
    parsed = parse(item)
    if not isinstance(parsed, Parsed):
        return []
    found: dict[str, None] = {}
    for command in parsed.commands():
        if command.words and command.words[0].constant and WORD.fullmatch(command.words[0].text):
            found[command.words[0].text] = None
    return list(found)[:WORDS_MOST]


def question(item: bytes, kind: str, mark: str, status: int) -> bytes | None:
    """What to run in a shell of that kind (`bash`, `sh`); None when there is nothing to ask. `mark`: decimal digits."""
    words = words_of(item)
    if not words:
        return None
    quoted = [f"'{word}'" for word in words]
    if kind == "bash":
        look = f"\\builtin type -a -- {' '.join(quoted)} 2>&1; \\builtin trap -p"
        tell, leave = "\\builtin printf", f"(\\builtin exit {status})"
    else:
        look = "; ".join(f"\\command -V {word} 2>&1" for word in quoted) + "; \\trap"
        tell, leave = "\\printf", f"(\\exit {status})"
    restore = f"case $- in *e*) ;; *) {leave} ;; esac" if status else ":"
    return f'{tell} %s "{mark}$({look}){mark}" || :; {restore}'.encode()


def who(kind: str, mark: str) -> bytes:
    """What to run in an inner shell to learn who and where one is there: `root@web`. `mark`: decimal digits."""
    tell = "\\builtin printf" if kind == "bash" else "\\printf"
    return f'{tell} %s "{mark}$(command -p id -un 2>/dev/null)@$(command -p uname -n 2>/dev/null){mark}" || :'.encode()


def set_up(kind: str) -> bytes:
    """The safer environment, for a shell whose sshd did not take it (AcceptEnv)."""
    export = "\\builtin export" if kind == "bash" else "\\export"
    return f"{export} {' '.join(f'{name}={value}' for name, value in SAFER)}".encode()


def sift(data: bytes, mark: str) -> tuple[bytes | None, bytes]:
    """(the answer, everything else): the answer is None while it is not whole."""
    before, first, behind = data.partition(mark.encode())
    answer, second, after = behind.partition(mark.encode())
    return (answer, before + after) if first and second else (None, data)


def context(answer: bytes) -> tuple[tuple[str, str], ...]:
    """What the approver is shown of it: only what is not as anybody would think."""
    return tuple(_parts(answer.decode("utf-8", "backslashreplace").replace("\r\n", "\n")))


def plain(answer: bytes) -> bool:
    """Every word is the shell's builtin, keyword or the system's program, and nothing is trapped."""
    lines = [line for line in answer.decode("utf-8", "backslashreplace").replace("\r\n", "\n").split("\n") if line]
    return bool(lines) and all(USUAL.fullmatch(line) for line in lines)


def _parts(text: str) -> Iterator[tuple[str, str]]:
    lines = text.split("\n")
    traps = [line for line in lines if line.startswith("trap -- ")]
    meanings = [line for line in lines if line not in traps]
    if any(not USUAL.fullmatch(line) for line in meanings if line):
        yield "means", _cut("\n".join(meanings).strip())
    if traps:
        yield "traps", _cut("\n".join(traps))


def _cut(text: str) -> str:
    return text if len(text) <= ANSWER_LIMIT else f"{text[:ANSWER_LIMIT]}… (+{len(text) - ANSWER_LIMIT} characters)"
