"""The files of the two certificate authorities: one vouches for host keys, the other lets commands in on targets.

Each is an Ed25519 key without a passphrase, 0600, made once beside the host key, with its public half in `.pub`.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

import asyncssh

from bastion.credentials import exposed
from bastion.errors import UsageError


def public_line(key: asyncssh.SSHKey) -> str:
    """`algorithm base64`."""
    return " ".join(key.export_public_key().decode().split()[:2])


def make(path: Path) -> asyncssh.SSHKey:
    """A new key, as `path` and `path.pub`. Raises OSError; FileExistsError if there is one."""
    key = asyncssh.generate_private_key("ssh-ed25519", comment=path.name)
    for where, data, mode in (
        (path, key.export_private_key(), 0o600),
        (path.with_suffix(".pub"), key.export_public_key(), 0o644),
    ):
        fd = os.open(where, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, mode)
        with os.fdopen(fd, "wb") as file:
            os.fchmod(fd, mode)  # whatever the umask is
            file.write(data)
            file.flush()
            os.fsync(fd)
    return key


def load(path: Path) -> asyncssh.SSHKey:
    """The key. Raises UsageError."""
    try:
        if exposed(path):
            raise UsageError(f"{path} is readable by others", f"chmod 600 {path}")
        key = asyncssh.read_private_key(path)
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from None
    except (asyncssh.KeyImportError, asyncssh.KeyEncryptionError) as error:
        raise UsageError(f"{path} is no usable private key: {error}") from None
    if key.get_algorithm() != "ssh-ed25519":
        raise UsageError(f"{path} is no Ed25519 key")
    return key


def load_or_make(path: Path) -> asyncssh.SSHKey:
    """The key; a new one where there is none yet, as in a state directory of an earlier release. Raises UsageError."""
    if not path.exists() and path.with_suffix(".pub").exists():
        hint = "where systemd hands it to the service, only the service has it"
        raise UsageError(f"{path} is gone, and its public half is there: another one would be another key", hint)
    try:
        with contextlib.suppress(FileExistsError):
            return make(path)
    except OSError as error:
        raise UsageError(f"cannot make {path}: {error.strerror}") from None
    return load(path)


def public_of(path: Path) -> str:
    """The public half, also where only the service has the private one. Raises UsageError."""
    public = path.with_suffix(".pub")
    if path.exists() or not public.exists():
        return public_line(load_or_make(path))
    try:
        return " ".join(public.read_text("ascii").split()[:2])
    except (OSError, ValueError) as error:
        raise UsageError(f"cannot read {public}: {error}") from None
