"""Private keys that systemd hands to the service, instead of files in the state directory.

With `LoadCredential=host_key:/etc/credstore/…`, or `LoadCredentialEncrypted=`, a key lies in memory while the service
runs, and encrypted or on another file system otherwise (systemd.exec(5), CREDENTIALS). The public half stays in the
state directory.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path


def directory(environment: Mapping[str, str] = os.environ) -> Path | None:
    """Where systemd put them; None outside such a service."""
    named = environment.get("CREDENTIALS_DIRECTORY", "")
    return Path(named) if named.startswith("/") else None


def place(state: Path, name: str) -> Path:
    """Of a private key: a credential of that name, else the file in the state directory."""
    handed = directory()
    return handed / name if handed is not None and (handed / name).exists() else state / name


def exposed(path: Path) -> bool:
    """Whether others can read a private key. Only the service's account can read a credential, by an ACL whose mask
    shows as group bits. Raises OSError."""
    shown = 0o037 if path.parent == directory() else 0o077
    return bool(path.stat().st_mode & shown)
