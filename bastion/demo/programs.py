"""How the demo calls programs: our own command in processes of its own, and the system's ssh."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import sys
from pathlib import Path

import asyncssh

import bastion
from bastion.errors import BastionError

COMMAND = (sys.executable, "-P", "-m", "bastion")
"""The `bastion` command of this very installation, wherever the `bastion` on PATH may be."""


def environment(work: Path) -> dict[str, str]:
    """For our own programs in a child process: this code, and nothing that the person has configured for themselves."""
    ours = str(Path(bastion.__file__).resolve().parents[1])
    apart = ("BASTION_CONFIG", "XDG_CONFIG_HOME", "SSH_AUTH_SOCK")
    kept = {name: value for name, value in os.environ.items() if name not in apart}
    path = [ours, *filter(None, kept.get("PYTHONPATH", "").split(os.pathsep))]
    return {**kept, "PYTHONPATH": os.pathsep.join(path), "XDG_CONFIG_HOME": str(work)}


def find_ssh() -> str:
    """The ssh client. Raises BastionError: there is none, or it would not work for this account."""
    try:
        pwd.getpwuid(os.getuid())
    except KeyError:
        raise BastionError(f"uid {os.getuid()} has no account here, and ssh runs for nobody else") from None
    found = shutil.which("ssh")
    if found is None:
        raise BastionError("the demo's agents need an ssh client", "apt install openssh-client")
    return found


def spelled() -> str:
    """How a person calls the `bastion` command here."""
    if shutil.which("bastion"):
        return "bastion"
    beside = Path(sys.executable).with_name("bastion")
    return str(beside) if beside.exists() else f"{sys.executable} -m bastion"


def free_port() -> int:
    """A loopback port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def listening(port: int) -> bool:
    """Whether somebody answers there."""
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def make_key(path: Path) -> str:
    """A new key pair at `path` and PATH.pub, as ssh-keygen writes it; its public line. Raises OSError."""
    key = asyncssh.generate_private_key("ssh-ed25519", comment=path.name)
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(fd, "wb") as file:
        file.write(key.export_private_key())
    public = key.export_public_key().decode()
    path.with_name(f"{path.name}.pub").write_text(public)
    return " ".join(public.split()[:2])
