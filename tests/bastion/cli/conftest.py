"""The command line as people run it: in a directory of its own, with a home of its own."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import json
import os
import pty
import select
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from bastion.control.client import Client
from tests.support import fixtures
from tests.support.house import House

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


# --- beside a daemon

COMMAND = "printf 'a\\033[31mred\\033[0m\\n'; printf err >&2; exit 3"
"""What agents ask for: colours, both streams, and a status."""

ana, house, sshd = fixtures.ana, fixtures.house, fixtures.sshd


@pytest.fixture
def local(house: House) -> Shell:
    """The administrator's shell on the bastion's host."""
    return Shell(house.work, {"BASTION_CONFIG": str(house.config.path)})


def away(house: House, who: str) -> Shell:
    """Somebody's shell on a machine of their own, with a client.toml and nothing else."""
    home = house.work / f"home-{who}"
    where = home / ".config" / "agent-bastion"
    where.mkdir(parents=True, exist_ok=True)
    (where / "client.toml").write_text(
        f'bastion = "127.0.0.1:{house.port}"\nkey = "{house.work / who}"\nhost_key = "{house.host_key}"\n'
    )
    return Shell(home)


async def run(shell: Shell, *words: str) -> Done:
    """A command beside what this test's loop does."""
    return await asyncio.to_thread(shell, *words)


@pytest.fixture
async def session(house: House, ana: Client) -> str:
    """The id of a recorded session that has ended."""
    ssh = await house.ssh("web-1", COMMAND)
    info = await house.decide(ana, command=COMMAND.encode())
    await house.finish(ssh)
    return info.session


@contextlib.contextmanager
def started(shell: Shell, *words: str) -> Iterator[subprocess.Popen[bytes]]:
    """A command that goes on; ended with the block."""
    command = shell.command(*words)
    with subprocess.Popen(
        command, cwd=shell.work, env=shell.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        try:
            yield process
        finally:
            if process.poll() is None:
                process.kill()


def on_terminal(shell: Shell, *words: str, until: bytes, then: bytes = b"") -> tuple[int, bytes]:
    """Run on a real pty of 80 by 24; when `until` has been seen, type `then`. Status and everything it wrote."""
    pid, fd = pty.fork()
    if pid == 0:
        os.chdir(shell.work)
        command = shell.command(*words)
        os.execve(command[0], command, {**shell.env, "TERM": "xterm-256color"})  # noqa: S606
    fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    seen, typed, end = b"", False, time.monotonic() + 30
    while time.monotonic() < end:
        if select.select([fd], [], [], 0.1)[0]:
            try:
                data = os.read(fd, 65536)
            except OSError:
                break
            if not data:
                break
            seen += data
        if until in seen and not typed:
            typed = True
            os.write(fd, then)
    _, status = os.waitpid(pid, 0)
    os.close(fd)
    return os.waitstatus_to_exitcode(status), seen
