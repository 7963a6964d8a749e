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
USUAL = re.compile(
    r"(\S+) is (a shell builtin|a special shell builtin|a shell keyword"
    r"|(a tracked alias for )?(\1|(/usr(/local)?)?/s?bin/\1))"
)
"""An answer that says nothing: the builtin, or the program of that name in a directory of the system."""
HASHED = re.compile(r"(\S+)\t((/usr(/local)?)?/s?bin/\1)")
"""What `hash -t` says that says nothing: `type -a` does not look there, and the shell does (`hash -p /tmp/x ls`)."""
VARIABLES = (
    *("LD_PRELOAD", "LD_LIBRARY_PATH", "LD_AUDIT", "BASH_ENV", "ENV", "GCONV_PATH", "PYTHONPATH", "PYTHONSTARTUP"),
    *("PYTHONHOME", "PERL5LIB", "PERL5OPT", "RUBYLIB", "RUBYOPT", "NODE_OPTIONS", "NODE_PATH", "JAVA_TOOL_OPTIONS"),
    *("GIT_DIR", "GIT_EXEC_PATH", "GIT_SSH", "GIT_SSH_COMMAND", "GIT_EXTERNAL_DIFF"),
    *("SUDO_ASKPASS", "SSH_ASKPASS", "RSYNC_RSH", "KUBECONFIG"),
    *("DOCKER_HOST", "PGHOST", "PGSERVICE", "MYSQL_HOST", "AWS_PROFILE"),
)
"""Variables that have programs run other code, or work elsewhere, than their command line says: shown where they are
set (ld.so(8), bash(1), each program's manual)."""
UNANSWERED = ("shell", "does not say what the words mean")
"""Shown where the shell was asked, and said nothing that could be taken for an answer."""
PARTS = ("meanings", "hashed", "variables", "traps", "PATH", "aliases", "functions")
"""Of an answer; the last three are asked for only where a command word is not known beforehand."""
_PLACES = "/usr/local/sbin /usr/local/bin /usr/sbin /usr/bin /sbin /bin /usr/games /usr/local/games /snap/bin"
PLACES = frozenset(_PLACES.split())
"""Directories of PATH that are nothing to be told of."""


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


def unknown(item: bytes) -> bool:
    """Whether a command word of it cannot be looked up beforehand: one that only run time knows, or more than are."""
    parsed = parse(item)
    if not isinstance(parsed, Parsed):
        return True
    words = [command.words[0] for command in parsed.commands() if command.words]
    return len({word.text for word in words}) > WORDS_MOST or any(
        not word.constant or word.splits or not WORD.fullmatch(word.text) for word in words
    )


def question(item: bytes, kind: str, mark: str, status: int) -> bytes | None:
    """What to run in a shell of that kind (`bash`, `sh`); None when there is nothing to ask. `mark`: decimal digits."""
    words, all_of_it = words_of(item), unknown(item)
    if not words and not all_of_it:
        return None
    looks = _of_bash(words, all_of_it) if kind == "bash" else _of_sh(words, all_of_it)
    word, leave = ("\\builtin ", "\\builtin exit") if kind == "bash" else ("\\", "\\exit")
    look = f"; {word}printf %s {_between(mark)}; ".join(f"{each} || :" if each else ":" for each in looks)
    restore = f"case $- in *e*) ;; *) ({leave} {status}) ;; esac" if status else ":"
    return f'{word}printf %s "{mark}$({look}){mark}" || :; {restore}'.encode()


def _of_bash(words: list[str], all_of_it: bool) -> tuple[str, ...]:
    """One question for each part of an answer."""
    meanings = hashed = ""
    if words:
        names = " ".join(f"'{word}'" for word in words)
        meanings = f"\\builtin type -a -- {names} 2>&1"
        hashed = f"\\builtin hash -t -- {names} '{words[0]}' 2>/dev/null"  # names are said from two on
    variables = f"\\builtin declare -p {' '.join(VARIABLES)} 2>/dev/null"
    more = ('\\builtin printf %s "$PATH"', "\\builtin alias -p", "\\builtin compgen -A function")
    return meanings, hashed, variables, "\\builtin trap -p", *(more if all_of_it else ("", "", ""))


def _of_sh(words: list[str], all_of_it: bool) -> tuple[str, ...]:
    meanings = " || :; ".join(f"\\command -V '{word}' 2>&1" for word in words)
    more = ('\\printf %s "$PATH"', "\\alias", "") if all_of_it else ("", "", "")
    return meanings, "", "\\export -p", "\\trap", *more


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


def _between(mark: str) -> str:
    """What parts an answer: as random as the mark, and not to be taken for it."""
    return f"/{mark[:-1]}/"


def context(answer: bytes, mark: str) -> tuple[tuple[str, str], ...]:
    """What the approver is shown of it: only what is not as anybody would think."""
    parts = _split(answer, mark)
    return tuple(_shown(*parts)) if parts is not None else (UNANSWERED,)


def plain(answer: bytes, mark: str) -> bool:
    """Every word is the shell's builtin, keyword or the system's program, and nothing is trapped."""
    parts = _split(answer, mark)
    if parts is None:
        return False
    meanings, hashed, _, traps, *_ = parts
    lines = [line for line in meanings.split("\n") if line]
    return bool(lines) and not traps.strip() and not _odd(hashed) and all(map(USUAL.fullmatch, lines))


def _split(answer: bytes, mark: str) -> list[str] | None:
    parts = answer.decode("utf-8", "backslashreplace").replace("\r\n", "\n").split(_between(mark))
    return parts if len(parts) == len(PARTS) else None


def _odd(hashed: str) -> list[str]:
    lines = dict.fromkeys(line for line in hashed.split("\n") if line and not HASHED.fullmatch(line))
    return [" is hashed: ".join(line.split("\t", 1)) for line in lines]


def _shown(
    meanings: str, hashed: str, variables: str, traps: str, path: str, aliases: str, functions: str
) -> Iterator[tuple[str, str]]:
    lines = _odd(hashed)
    if lines or any(not USUAL.fullmatch(line) for line in meanings.split("\n") if line):
        meanings = "\n".join([meanings.strip(), *lines])
    else:
        meanings = ""
    names = "\n".join(name for name in functions.split("\n") if name[:4] != "__b_")  # the driver's own
    path = "" if set(path.split(":")) <= PLACES else path
    shown = (meanings, _variables(variables), traps, path, aliases, names)
    for name, text in zip(("means", "variables", "traps", "PATH", "aliases", "functions"), shown, strict=True):
        if text.strip():
            yield name, _cut(text.strip())


_SET = re.compile(r"(?:declare -\S+|export) (%s)=" % "|".join(VARIABLES))  # noqa: UP031 -- braces would be doubled


def _variables(text: str) -> str:
    """Those of VARIABLES, each up to the next one's line."""
    kept, on = [], False
    for line in text.split("\n"):
        if line.startswith(("declare -", "export ")):
            on = _SET.match(line) is not None
        if on and line:
            kept.append(re.sub(r"^(declare -\S+|export) ", "", line))
    return "\n".join(kept)


def _cut(text: str) -> str:
    return text if len(text) <= ANSWER_LIMIT else f"{text[:ANSWER_LIMIT]}… (+{len(text) - ANSWER_LIMIT} characters)"
