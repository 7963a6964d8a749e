"""Commands that seem to start a shell, or to lead to another host, whether or not that can be governed. Pure.

By the programs' names, which prove nothing: it is a word for people, and decides nothing. What it misses is held line
by line all the same.
"""

from __future__ import annotations

from enum import Enum, auto
from itertools import pairwise

from bastion.policy.shell import Parsed, parse


class Leads(Enum):
    """Where a command seems to lead."""

    SHELL = auto()
    AWAY = auto()


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


ELSEWHERE = _set("ssh slogin rsh telnet mosh")
SHELLS = _set("ash bash csh dash fish ksh mksh rbash sh tcsh zsh")
ACCOUNTS = _set("sudo doas su runuser")
CONTAINERS = _set("docker podman kubectl lxc machinectl")
WRAPPERS = _set("busybox chroot command env exec nice nohup nsenter setsid systemd-run unshare")
"""Programs behind which a shell can stand."""
VALUED = _set("-u -g -U --user --group -C -h -p -r -t -D -R -T -n")
"""Options of ACCOUNTS and WRAPPERS with a word behind them."""


def leads_to(item: bytes) -> Leads | None:
    """None where it seems to do neither."""
    parsed = parse(item)
    if not isinstance(parsed, Parsed):
        return None
    lines = [[word.text for word in command.words] for command in parsed.commands() if command.words]
    if any(_name(words[0]) in ELSEWHERE for words in lines):
        return Leads.AWAY
    return Leads.SHELL if any(_is_shell(words) for words in lines) else None


def edits_lines(item: bytes) -> bool:
    """Whether it turns bash's own line editor on or off: `set -o vi`. In a governed shell, where the editor is off and
    the line is evaluated, bash 5.2 dies of it."""
    parsed = parse(item)
    if not isinstance(parsed, Parsed):
        return False
    for command in parsed.commands():
        words = [word.text for word in command.words if word.text not in ("builtin", "command")]
        after = {word for before, word in pairwise(words) if before in ("-o", "+o")}
        if words[:1] == ["set"] and after & {"vi", "emacs"}:
            return True
    return False


def _is_shell(words: list[str]) -> bool:
    first, rest = _name(words[0]), words[1:]
    if "-c" in rest or "--command" in rest or "--session-command" in rest:
        return False
    if first in SHELLS:
        return all(word.startswith("-") for word in rest)
    if first in ("su", "runuser"):
        return True
    if first in ("sudo", "doas") and not _operands(rest):
        return not {"-i", "-s", "--login", "--shell"}.isdisjoint(rest)
    if first in CONTAINERS:
        return not {"exec", "shell"}.isdisjoint(rest) and _name(rest[-1]) in SHELLS
    if first not in ACCOUNTS | WRAPPERS:
        return False
    operands = _operands(rest)
    if first in ("chroot", "nsenter"):
        operands = operands[-1:]
    return bool(operands) and _is_shell(operands)


def _operands(words: list[str]) -> list[str]:
    """From the first word on that is no option, no option's value and no assignment."""
    for number, word in enumerate(words):
        if not word.startswith("-") and "=" not in word and not (number and words[number - 1] in VALUED):
            return words[number:]
    return []


def _name(word: str) -> str:
    return word.rpartition("/")[2]
