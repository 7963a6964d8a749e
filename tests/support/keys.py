"""Real key pairs, made by the real ssh-keygen; and public keys without a private half."""

from __future__ import annotations

import base64
import subprocess
from pathlib import Path


def make_key(path: Path, kind: str = "ed25519") -> str:
    """A key pair at `path` and `path`.pub; returns the public line."""
    path.parent.mkdir(parents=True, exist_ok=True)
    subprocess.run(["ssh-keygen", "-q", "-t", kind, "-N", "", "-C", path.name, "-f", str(path)], check=True)
    return path.with_name(f"{path.name}.pub").read_text()


def ed25519(number: int) -> str:
    """A public key line made of a number; nobody has its private half."""
    blob = b"\0\0\0\x0bssh-ed25519\0\0\0\x20" + number.to_bytes(32, "big")
    return f"ssh-ed25519 {base64.b64encode(blob).decode()}"
