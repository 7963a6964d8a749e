"""What the worker needs of a channel: out of the configuration and the files with secrets that it names."""

from __future__ import annotations

import stat
from pathlib import Path
from typing import Any

from bastion.errors import UsageError
from bastion.notify import signing
from bastion.notify.desktop import session_bus
from bastion.notify.post import address
from bastion.outlets import Outlet

FILE_LIMIT = 8 << 10
"""Bytes of a file with a secret."""


def settings_of(outlet: Outlet, base: Path) -> dict[str, Any]:
    """What the worker needs of a channel, secrets and all. Raises UsageError."""
    found = {name: _read(base, getattr(outlet, f"{name}_file"), outlet) for name in ("secret", "token", "app_token")}
    settings = {
        "name": outlet.name,
        "kind": outlet.kind,
        "url": _read(base, outlet.url_file, outlet) or outlet.url,
        "to": outlet.to,
        "detail": outlet.detail,
        **found,
    }
    try:
        if outlet.kind in ("webhook", "ntfy") or (outlet.kind == "slack" and settings["url"]):
            address(str(settings["url"]))
        if outlet.kind == "desktop" and outlet.url:
            session_bus(outlet.url)
        if outlet.kind == "webhook":
            signing.parse_secret(found["secret"])
    except ValueError as error:
        raise UsageError(f"[[notify]] {outlet.name}: {error}") from None
    return settings


def _read(base: Path, name: str, outlet: Outlet) -> str:
    """The one line of a file that only its owner reads; empty without a file."""
    if not name:
        return ""
    path = base / Path(name).expanduser()
    try:
        if stat.S_IMODE(path.stat().st_mode) & 0o077:
            raise UsageError(f"{path} is readable by others", f"chmod 600 {path}")
        with path.open("rb") as file:
            text = file.read(FILE_LIMIT).decode().strip()
    except OSError as error:
        raise UsageError(f"[[notify]] {outlet.name}: cannot read {path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise UsageError(f"[[notify]] {outlet.name}: {path} is no text") from None
    if not text or not text.isprintable():
        raise UsageError(f"[[notify]] {outlet.name}: {path} has to hold one line")
    return text
