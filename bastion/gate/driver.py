"""What runs on the target to make a governed shell: four programs, nothing installed. Pure.

Theory of operation. One connection carries three channels. T has the terminal (or three pipes) and runs `tty.sh`, which
makes a private named pipe and becomes the shell, its commands coming from that pipe. K runs `control.sh`, which copies
our frames into the pipe. O runs `observer.sh`, which tells what mode the terminal is in and who reads from it. The
shell then reads `bash.sh` or `posix.sh` from the pipe: the functions that our frames call.

sshd gives a command to the account's login shell, whatever that is. The first three are therefore one command that
bash, dash, zsh, fish, tcsh, mksh and busybox read alike: `exec /bin/sh -c '…' words`, where the program between the
quotes holds no single quote, no exclamation mark, no newline and no backslash but before a digit. A restricted shell
refuses `exec`, nologin says its sentence: then there is no governed shell, and the agent is told what they said.

Nothing on a command line authorises anything: the nonces there name the first marks, which come once.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from importlib import resources

_SHELL = resources.files("bastion.gate").joinpath("shell")

PLACES = 4
"""Directories in which tty.sh tries to make the pipe; control.sh knows the same."""


def _one_line(name: str) -> str:
    """A program as one line: comments and indentation off, lines joined by blanks. Raises ValueError if it could be
    read differently by some login shell."""
    lines = [line.strip() for line in _SHELL.joinpath(name).read_text("utf-8").splitlines()]
    text = " ".join(line for line in lines if line and not line.startswith("#"))
    if not re.fullmatch(r"(?:[ -~](?<![!'\\])|\\(?=[0-9]))+", text):
        raise ValueError(f"{name} holds what a login shell may read as something else")
    return text


def _whole(name: str) -> str:
    """A program as the shell reads it from the pipe: comments and indentation off, which saves a third."""
    lines = [line.strip() for line in _SHELL.joinpath(name).read_text("utf-8").splitlines()]
    return "".join(line + "\n" for line in lines if line and not line.startswith("#"))


TTY = _one_line("tty.sh")
CONTROL = _one_line("control.sh")
OBSERVER = _one_line("observer.sh")
FINDER = f"{_one_line('finder.sh')} {OBSERVER}"
NESTED = _one_line("nested.sh")
INNER = _one_line("inner.sh")
BASH = _whole("bash.sh")
POSIX = _whole("posix.sh")


def bootstrap(mark: str, name: str, *, terminal: bool) -> bytes:
    """The command of channel T. `name`: the directory of the pipe, unique."""
    return _command(TTY, mark, _name(name), "tty" if terminal else "pipe")


def control(mark: str, name: str) -> bytes:
    """The command of channel K. Its first line of input is `place`."""
    return _command(CONTROL, mark, _name(name))


def observer(tty: str, pid: int) -> bytes:
    """The command of channel O: the terminal and the shell that it is to look at."""
    return _command(OBSERVER, tty, str(pid))


def finder() -> bytes:
    """The command of the observer of a command with a terminal, which finds that by itself."""
    return _command(FINDER)


def inner(prefix: str, mark: str, name: str) -> bytes:
    """The command of the control channel of an inner shell, behind `prefix` where it must run inside. Its first line of
    input is NESTED, and GO says that the shell has opened the pipe."""
    if not prefix:
        return _command(INNER, mark, _name(name))
    return f"exec {prefix}/bin/sh -c '{INNER}' bastion {mark} {_name(name)}".encode()


def nested(mark: str, directory: str, shell: str) -> str:
    """The bootstrap of an inner shell, as words that need no quoting."""
    words = f"/bin/sh {directory}/s {mark} {directory}/f {shell}"
    if not re.fullmatch(r"[A-Za-z0-9./ -]+", words):
        raise ValueError("not the directory of a pipe")
    return words


@dataclass(frozen=True, slots=True)
class Programs:
    """What the channels of one shell are asked for: the command, and what is written to it first. Here each is asked
    for its whole program; see `gate.dispatch` for a certificate that holds them."""

    mark: str
    """Nonce of the first marks."""
    name: str
    """Of the pipe's directory."""
    terminal: bool

    def shell(self) -> tuple[bytes, bytes]:
        """Channel T."""
        return bootstrap(self.mark, self.name, terminal=self.terminal), b""

    def control(self) -> tuple[bytes, bytes]:
        """Channel K."""
        return control(self.mark, self.name), b""

    def observer(self, tty: str, pid: int) -> tuple[bytes, bytes]:
        """Channel O."""
        return observer(tty, pid), b""

    def inner(self, prefix: str, mark: str, name: str) -> tuple[bytes, bytes]:
        """The control channel of an inner shell. Raises ValueError for a prefix that cannot be asked for."""
        return inner(prefix, mark, name), b""


def place(number: int, pid: int, *, terminal: bool) -> bytes:
    """Where the pipe is, for the control program."""
    return b"%d %d %d\n" % (number, pid, terminal)


GO = b"\n"
"""To a shell without a terminal, when the pipe has its other end."""


UNEDITED = "[[ -o vi ]] && set +o vi; [[ -o emacs ]] && set +o emacs"
"""What bash reads before all else: a start-up file with `set -o vi` turns the line editor on in spite of --noediting,
and then each line of ours would be keys, with an echo. This one may be echoed."""


def functions(kind: str, *, control: int, interrupts: str, ready: str) -> bytes:
    """What the shell reads first: the driver for its kind. `control` is the process id of the control program,
    `interrupts` the nonce of the `I` marks, `ready` that of the `R` mark."""
    text, first = (BASH, f"{UNEDITED}\n") if kind == "bash" else (POSIX, "")
    quiet = "PS1= PS2=; unset PROMPT_COMMAND"  # before the next line is read, with its prompt
    return f"{first}{quiet}; __b_k={control} __b_j={interrupts}\n{text}\\__b_a {ready}\n".encode()


def _name(name: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9.-]{1,80}", name):
        raise ValueError("not a name for the pipe's directory")
    return name


def _command(program: str, *words: str) -> bytes:
    assert all(re.fullmatch(r"[A-Za-z0-9./-]+", word) for word in words)  # noqa: S101 -- our own, or checked
    return f"exec /bin/sh -c '{program}' {' '.join(('bastion', *words))}".encode()
