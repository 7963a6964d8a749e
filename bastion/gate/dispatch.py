"""What stands in a certificate of the mint where one connection has several channels. Pure.

Theory of operation. sshd runs the certificate's forced command on every channel, whatever is asked for, and tells it in
SSH_ORIGINAL_COMMAND what that was. A governed shell has several channels (gate/driver.py), so its forced command holds
all of their programs, and what is asked for is one of the words here: compared as a whole, never evaluated. No other
word, no shell, subsystem or copying program runs anything.

    bastion-shell     the shell, with the nonce and the directory that stand in the certificate
    bastion-control   its control program, likewise
    bastion-observer  looks at a terminal: which one is the first line of its input
    bastion-inner     the control program of an inner shell: nonce and directory are the first line of its input

A command with a terminal has two: its own, and the observer that finds its terminal. Whatever is asked for but
`bastion-observer` runs the command, by the account's login shell, as sshd would have done it; its bytes travel as one
word of letters, digits and octal escapes, which every login shell reads alike.

The forced command itself is read by the account's login shell, as in gate/driver.py: one line, single quotes only.

Not protected: who has the certificate *and* its key, within its minute, can drive a shell of their own with it, as the
bastion does. Both exist in the daemon's memory only, and the key is dropped once the connection stands.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from bastion.gate import driver
from bastion.gate.frames import is_nonce, word

SHELL, CONTROL, OBSERVER, INNER = b"bastion-shell", b"bastion-control", b"bastion-observer", b"bastion-inner"
"""What is asked for. None is a program anywhere: where sshd forces nothing, nothing runs."""

REFUSAL = "bastion: this certificate is for a governed shell, and runs nothing else"
REFUSED_STATUS = 126

_SHELL = (
    'case "$SSH_ORIGINAL_COMMAND" in '
    f"{SHELL.decode()}) {driver.TTY};; "
    f"{CONTROL.decode()}) {driver.CONTROL};; "
    f'{OBSERVER.decode()}) read -r x y || exit 1; set -- "$x" "$y"; {driver.OBSERVER};; '
    f"{INNER.decode()}) read -r x y || exit 1; case $x$y in */*) exit {REFUSED_STATUS};; esac; "
    f'set -- "$x" "$y"; {driver.INNER};; '
    f'*) echo "{REFUSAL}" >&2; exit {REFUSED_STATUS};; esac'
)
_COMMAND = (
    f'if [ "$SSH_ORIGINAL_COMMAND" = {OBSERVER.decode()} ]; then {driver.FINDER}; exit; fi; '
    'c=$(printf %b "${1}x"); exec "$SHELL" -c "${c%x}"'
)


def command(approved: bytes) -> str:
    """The forced command of a certificate for one command with a terminal. Raises FrameError for one with a NUL."""
    return f"exec /bin/sh -c '{_COMMAND}' bastion {word(approved).decode()}"


@dataclass(frozen=True, slots=True)
class Dispatched(driver.Programs):
    """The programs stand in the certificate, and are asked for by a word."""

    def forced(self) -> str:
        """The certificate's command."""
        if not is_nonce(self.mark) or not re.fullmatch(r"\.bastion-[0-9a-f]{24}", self.name):
            raise ValueError("not a shell's nonce and directory")
        return f"exec /bin/sh -c '{_SHELL}' bastion {self.mark} {self.name} {'tty' if self.terminal else 'pipe'}"

    def shell(self) -> tuple[bytes, bytes]:
        """See Programs."""
        return SHELL, b""

    def control(self) -> tuple[bytes, bytes]:
        """See Programs."""
        return CONTROL, b""

    def observer(self, tty: str, pid: int) -> tuple[bytes, bytes]:
        """See Programs."""
        return OBSERVER, f"{tty} {pid}\n".encode()

    def inner(self, prefix: str, mark: str, name: str) -> tuple[bytes, bytes]:
        """See Programs."""
        if prefix:
            raise ValueError("a certificate holds no control program that runs inside a container")
        return INNER, f"{mark} {name}\n".encode()
