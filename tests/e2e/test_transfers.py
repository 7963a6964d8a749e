"""git and rsync through the bastion, with the real clients. Promises P2, P3."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from bastion.control import wire
from bastion.control.client import Client
from bastion.model import Choice
from tests.support.house import House, Outcome

pytestmark = pytest.mark.e2e


def shell(house: House) -> str:
    """The agent's ssh, as a command for tools that start one; they add the host and the far end's command."""
    words = house.ssh_command("web-1")
    return " ".join(words[:-1])


async def tool(house: House, *words: str, cwd: Path, **env: str) -> asyncio.subprocess.Process:
    fixed = {
        "PATH": os.environ["PATH"], "HOME": str(cwd), "GIT_SSH_COMMAND": shell(house), "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_AUTHOR_NAME": "a", "GIT_AUTHOR_EMAIL": "a@example", "GIT_COMMITTER_NAME": "a",
        "GIT_COMMITTER_EMAIL": "a@example", "GIT_SSH_VARIANT": "simple",
    }  # fmt: skip
    return await asyncio.create_subprocess_exec(
        *words, cwd=cwd, env={**fixed, **env}, stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip


async def through(
    house: House, ana: Client, *words: str, cwd: Path, choice: Choice = Choice.APPROVE
) -> tuple[Outcome, wire.RequestInfo]:
    """Run a tool, decide what it holds; how it ended, and what was held."""
    process = await tool(house, *words, cwd=cwd)
    info = await house.decide(ana, choice, "because")
    return await house.finish(process), info


def git(cwd: Path, *words: str) -> str:
    fixed = ["git", "-c", "user.name=a", "-c", "user.email=a@example", "-c", "init.defaultBranch=main"]
    return subprocess.run([*fixed, *words], cwd=cwd, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A bare repository on the target, with one commit."""
    (tmp_path / "seed").mkdir()
    git(tmp_path / "seed", "init", "-q")
    (tmp_path / "seed" / "file").write_text("one")
    git(tmp_path / "seed", "add", "file")
    git(tmp_path / "seed", "commit", "-q", "-m", "one")
    git(tmp_path, "clone", "-q", "--bare", "seed", "x.git")
    return tmp_path / "x.git"


async def test_git_clones(house: House, ana: Client, tmp_path: Path, repository: Path) -> None:
    where = f"web-1@127.0.0.1:{repository}"
    done, held = await through(house, ana, "git", "clone", "-q", where, "copy", cwd=tmp_path)
    assert done.status == 0, done.stderr
    assert (held.command, held.stdin, held.tier) == (f"git-upload-pack '{repository}'".encode(), "stream", "low")
    assert git(tmp_path / "copy", "rev-parse", "HEAD") == git(repository, "rev-parse", "HEAD")


FILES = {"a": b"a" * 100, "b/c": bytes(range(256)) * 64, "b/empty": b"", "big": os.urandom(1 << 20)}


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for name, data in FILES.items():
        path = tmp_path / "tree" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    os.utime(tmp_path / "tree" / "a", (1_000_000_000, 1_000_000_000))
    (tmp_path / "tree" / "a").chmod(0o640)
    return tmp_path / "tree"


async def test_rsync_whose_options_nobody_sees(house: House, tmp_path: Path, tree: Path) -> None:
    """-s has the far end read its options from stdin: any file could be written by what looks like a read."""
    ssh = shell(house)
    process = await tool(house, "rsync", "-a", "-s", "-e", ssh, f"web-1@127.0.0.1:{tree}/", "x/", cwd=tmp_path)
    done = await house.finish(process)
    assert done.status != 0
    assert "--secluded-args" in done.stderr
    words = ["rsync", "--server", "--sender", f"--log-file={tmp_path}/canary", "-a", ".", "/", "", ""]
    hidden = "\0".join(words).encode()
    for command in (f"rsync --server --sender -slogDtpre.LsfxCIvu . {tree}", f"rsync --server --sender -s . {tree}"):
        outcome = await house.run("web-1", command, stdin=hidden)
        assert outcome.status == 126
    assert not (tmp_path / "canary").exists()


@pytest.mark.parametrize("command", ["scp -t {}/x; touch {}/canary", "rsync --server; touch {}/canary"])
async def test_a_masquerade_is_judged_as_what_it_is(house: House, ana: Client, tmp_path: Path, command: str) -> None:
    command = command.format(tmp_path, tmp_path)
    process = await house.ssh("web-1", command, stdin=b"touch no\n")
    assert process.stdin is not None
    process.stdin.close()
    held = await house.held(ana, command.encode())
    assert held.stdin == "bundled"
    assert not (tmp_path / "canary").exists()
    await house.decide(ana, Choice.DENY, "no", command=command.encode())
    assert (await process.wait()) == 126
    assert not (tmp_path / "canary").exists()
    assert shutil.which("rsync")


async def test_tools_that_cannot_work_here_are_told_why(house: House) -> None:
    outcome = await house.run("web-1", "mosh-server new -s -c 256")
    assert (outcome.status, "mosh goes on over UDP" in outcome.stderr) == (126, True)
    process = await house.ssh("web-1", "bash", stdin=b"")
    assert process.stdin is not None
    process.stdin.write(b"#!/bin/bash\nexport VSCODE_AGENT_FOLDER=~/.vscode-server\n")  # and stdin stays open
    await process.stdin.drain()
    async with asyncio.timeout(20):
        status = await process.wait()
    assert process.stderr is not None
    assert (status, b"VS Code Remote installs a server" in await process.stderr.read()) == (126, True)
    process.stdin.close()
