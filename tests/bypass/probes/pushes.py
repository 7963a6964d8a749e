"""Attacks on a push: what it changes is what was approved."""

from __future__ import annotations

import asyncio
import subprocess
from pathlib import Path

from tests.bypass.probing import need
from tests.bypass.run import Run


def _repository(run: Run) -> tuple[Path, str]:
    """A bare repository on the target, and a commit in it that no ref has."""
    bare = run.adapter.work / f"{run.evil.name}.git"

    def git(*words: str, given: bytes = b"") -> str:
        fixed = ("-c", "user.name=a", "-c", "user.email=a@example")
        return (
            subprocess.run(["git", *fixed, *words], input=given, check=True, capture_output=True)
            .stdout.decode()
            .strip()
        )

    git("init", "-q", "--bare", str(bare))
    tree = git("-C", str(bare), "mktree")
    return bare, git("-C", str(bare), "commit-tree", "-m", "x", tree)


def _refs(bare: Path) -> str:
    return subprocess.run(["git", "-C", str(bare), "for-each-ref"], check=True, capture_output=True, text=True).stdout


def _list(commit: str, ref: str) -> bytes:
    line = f"{'0' * 40} {commit} {ref}\0report-status".encode()
    return b"%04x" % (len(line) + 4) + line + b"0000"


async def push_of_a_remembered_repository(run: Run) -> None:
    """To open it needs nobody: what it shall change does."""
    bare, commit = await asyncio.to_thread(_repository, run)
    command = f"git-receive-pack '{bare}'".encode()
    await run.adapter.allow(command)
    await run.start(run.adapter.ssh(command), terminal=False)
    listed = _list(commit, "refs/heads/x")
    run.agent.send(listed)
    run.agent.end_input()
    await run.held(f"create refs/heads/x {commit}".encode(), listed)
    need(not _refs(bare), "a ref was made before anybody decided")
    await run.deny_rest()
    need(await run.agent.ends() != 0, "a denied push ended well")
    need(not _refs(bare), "a denied push made a ref")


async def second_list_of_a_push(run: Run) -> None:
    """One list is approved; a second one follows it in the same packet."""
    bare, commit = await asyncio.to_thread(_repository, run)
    command = f"git-receive-pack '{bare}'".encode()
    await run.adapter.allow(command)
    await run.start(run.adapter.ssh(command), terminal=False)
    first = _list(commit, "refs/heads/approved")
    run.agent.send(first + _list(commit, "refs/heads/sneaked"))
    await run.approve(f"create refs/heads/approved {commit}".encode(), first)
    run.agent.end_input()
    await run.agent.ends()
    need("sneaked" not in _refs(bare), "a ref was made that nobody approved")
