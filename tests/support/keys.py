"""Real key pairs, made by the real ssh-keygen."""

from __future__ import annotations

import subprocess
from pathlib import Path


def make_key(path: Path, kind: str = "ed25519") -> str:
    """A key pair at `path` and `path`.pub; returns the public line."""
    path.parent.mkdir(parents=True, exist_ok=True)
    subprocess.run(["ssh-keygen", "-q", "-t", kind, "-N", "", "-C", path.name, "-f", str(path)], check=True)
    return path.with_name(f"{path.name}.pub").read_text()
