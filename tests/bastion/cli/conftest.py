"""The command line as people run it: in a directory of its own, with a home of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[3]


@dataclass(frozen=True, slots=True)
class Done:
    """How one command ended."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """What it printed, as JSON."""
        return json.loads(self.out)


@dataclass(slots=True)
class Shell:
    """Runs `bastion` in processes of its own."""

    work: Path
    more: dict[str, str] = field(default_factory=dict)

    @property
    def env(self) -> dict[str, str]:
        home = {"PATH": os.environ["PATH"], "HOME": str(self.work), "PYTHONPATH": str(ROOT), "TZ": "UTC"}
        return {**home, "PYTHONWARNINGS": "error", **self.more}

    def command(self, *words: str) -> list[str]:
        """The real program."""
        return [sys.executable, "-m", "bastion", *words]

    def __call__(self, *words: str, stdin: bytes = b"") -> Done:
        done = subprocess.run(
            self.command(*words), cwd=self.work, env=self.env, input=stdin, capture_output=True, timeout=60, check=False
        )
        return Done(done.returncode, done.stdout.decode(), done.stderr.decode())

    def key(self, name: str, *options: str) -> str:
        """Make a key pair; the name of its public file."""
        subprocess.run(
            ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, *options, "-f", self.work / name], check=True
        )
        return f"{name}.pub"


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    """A shell in an empty directory."""
    return Shell(tmp_path)


@pytest.fixture
def made(shell: Shell) -> Shell:
    """A shell where a bastion was made, no daemon running; keys ana, ben, bot, host and credential."""
    from bastion.init import init
    from tests.support.house import HOLD

    init(shell.work, host="bastion.example", policy=HOLD)
    for name in ("ana", "ben", "bot", "host", "credential"):
        shell.key(name)
    return shell
