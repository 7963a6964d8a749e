"""Commands that start a shell inside the shell: which of them can be governed, and how. Pure.

Theory of operation. `sudo -i` as it stands gives a shell that reads from the terminal, into which an agent could only
type line by line. Governed, the same prefix starts our bootstrap instead of that shell, which becomes the same shell
with commands from a pipe: frames, `$?`, directory and ^C are then as in the outer one. The prefix stays what was
approved; what stands behind it is constant but for nonces and the name of a directory.

The pipe is made by a second control channel: as the outer account where the inner one is the same or root, which can
open it; in the container for `docker exec` and `kubectl exec`, behind the same prefix without a terminal.

Anything else is no nested shell for us (None): another user with sudo or su could not open the pipe, and a word that is
not literal could be anything. Such a command runs as every command does.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

WORDS_LIMIT = 24
"""Words of a command that starts a shell; people write five."""

_WORD = re.compile(r"[A-Za-z0-9_./:@=+-]{1,200}", re.ASCII)
_BASH = {"bash", "/bin/bash", "/usr/bin/bash"}
_SH = {"sh", "/bin/sh", "/usr/bin/sh", "dash", "/bin/dash", "ash", "/bin/ash"}
_MODES = {(): "plain", ("-i",): "plain", ("-l",): "login", ("--login",): "login", ("-il",): "login", ("-li",): "login"}
_INTERACTIVE = {"-it", "-ti"}
_CONTAINER = {
    "docker": ({"-u", "--user", "-w", "--workdir"}, set[str]()),
    "podman": ({"-u", "--user", "-w", "--workdir"}, set[str]()),
    "kubectl": ({"-n", "--namespace", "-c", "--container"}, {"--"}),
}
"""For each program: its options that take a word, and what stands before the command inside."""


@dataclass(frozen=True, slots=True)
class Nesting:
    """How to start a governed shell behind a prefix."""

    prefix: str
    """What stands before the bootstrap, with its blank; empty for a plain `bash`."""
    shell: str
    """`login`, `plain` (bash where there is one) or `sh`."""
    inside: str = ""
    """What stands before the control program where it must run inside, with its blank."""
    quoted: bool = False
    """The prefix takes the command as one word (`su -c`)."""

    def command(self, words: str) -> bytes:
        """The command that replaces the approved one. `words`: the bootstrap's command line, which needs no quoting."""
        return f"{self.prefix}'{words}'".encode() if self.quoted else f"{self.prefix}{words}".encode()


def nesting(command: bytes) -> Nesting | None:
    """How to govern the shell that this command starts; None if it starts none, or one that cannot be governed."""
    try:
        words = command.decode("ascii").split(" ")
    except UnicodeDecodeError:
        return None
    words = [word for word in words if word]
    if not 0 < len(words) <= WORDS_LIMIT or not all(_WORD.fullmatch(word) for word in words):
        return None
    match words:
        case ["sudo", *rest]:
            return _sudo(rest)
        case ["su", *rest]:
            return _su("", rest)
        case [("docker" | "podman" | "kubectl") as program, *rest]:
            return _container(program, rest)
        case _:
            shell = _shell(words)
            return Nesting("", shell) if shell else None


def _shell(words: list[str]) -> str:
    """Which shell the words start; "" if they do something else."""
    mode = _MODES.get(tuple(words[1:]), "")
    if words and words[0] in _SH:
        return "sh" if mode == "plain" else ""
    return mode if words and words[0] in _BASH else ""


def _sudo(rest: list[str]) -> Nesting | None:
    prefix = "sudo "
    if rest[:1] == ["-n"]:
        prefix, rest = "sudo -n ", rest[1:]
    match rest:
        case ["-i" | "--login"]:
            return Nesting(f"{prefix}-i ", "login")
        case ["-s" | "--shell"]:
            return Nesting(f"{prefix}-s ", "plain")
        case ["su", *more]:
            return _su(prefix, more)
        case _:
            shell = _shell(rest)
            return Nesting(prefix, shell) if shell else None


def _su(prefix: str, rest: list[str]) -> Nesting | None:
    login = rest[:1] in (["-"], ["-l"], ["--login"])
    if rest[login:] not in ([], ["root"]):
        return None
    # --session-command: -c would take the terminal away from the shell, and with it ^C and job control
    return Nesting(f"{prefix}su {'- ' if login else ''}--session-command ", "login" if login else "plain", quoted=True)


def _container(program: str, rest: list[str]) -> Nesting | None:
    """`docker exec -it NAME sh`, `kubectl exec -it NAME -- sh`: options that we know, then the container, the shell."""
    valued, before = _CONTAINER[program]
    if rest[:1] != ["exec"]:
        return None
    rest, options, interactive, name = rest[1:], [program, "exec"], False, ""
    while rest:
        word, *rest = rest
        if word in _INTERACTIVE:
            interactive = True
        elif word in valued and rest:
            options += [word, rest[0]]
            rest = rest[1:]
        elif not name and not word.startswith("-"):
            name = word
            options.append(word)
            if not before:
                break
        elif name and word in before:
            options.append(word)
            break
        else:
            return None
    shell = _shell(rest)
    if not (interactive and name and shell) or (before and options[-1] not in before):
        return None
    outside, inside = [*options[:2], "-it", *options[2:]], [*options[:2], "-i", *options[2:]]
    return Nesting(" ".join(outside) + " ", shell, inside=" ".join(inside) + " ")
