"""A shell under a policy that lets reads flow: they run beside the shell, whatever that makes of their words."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.bypass.adapters.ours import Ours
from tests.support.house import ROOT
from tests.support.shell import shell

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="module")]

POLICY = 'policy "reads" {\n  version 1\n  allow low\n}\n'


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def ours() -> AsyncIterator[Ours]:
    async with Ours(policy=POLICY) as made:
        yield made


async def test_reads_flow_and_cd_goes_on(ours: Ours) -> None:
    (ours.work / "sub").mkdir(exist_ok=True)
    (ours.work / "sub" / "file").write_text("one\ntwo\n")
    async with shell(ours, command=ours.ssh(options=("-tt",)), terminal=False) as sh:
        await sh.prompted()
        sh.type(f"cd {ours.work}/sub\r")
        await sh.sees(r"sub\$ ")
        sh.type("cat file | wc -l; ls\r")
        await sh.sees(r"2\r\nfile\r\n")
        await sh.prompted()
        sh.type("cat nothing\r")
        await sh.sees("No such file or directory\r\n")
        await sh.prompted()
        assert await ours.held() == []


async def test_an_alias_a_function_and_a_trap_are_not_asked(ours: Ours) -> None:
    """ST-01, ST-02: the canary of a redefined `ls` never appears."""
    canary = ours.work / "canary"
    async with shell(ours, command=ours.ssh(options=("-tt",)), terminal=False) as sh:
        await sh.prompted()
        await sh.line(f"alias ls='touch {canary}; ls'")
        await sh.prompted()
        await sh.line(f"cat() {{ touch {canary}; }}")
        await sh.prompted()
        sh.type("ls -d /srv\r")
        await sh.sees(r"\n/srv\r\n")
        await sh.prompted()
        sh.type("cat /dev/null; echo be''side\r")
        await sh.sees(r"beside\r\n")
        await sh.prompted()
        assert not canary.exists()
        await sh.line(f"cd() {{ touch {canary}; }}")
        await sh.prompted()
        sh.type("cd /tmp\r")
        assert (await sh.held(b"cd /tmp")).command == b"cd /tmp"
        sh.type("\x03")
        await sh.prompted()
        assert not canary.exists()


async def test_interrupted(ours: Ours) -> None:
    async with shell(ours, command=ours.ssh(options=("-tt",)), terminal=False) as sh:
        await sh.prompted()
        sh.type("tail -f /dev/null\r")
        await sh.sees("tail -f /dev/null")
        sh.type("\x03")
        await sh.prompted()
        sh.type("echo st''ill\r")
        await sh.sees(r"still\r\n")


async def test_a_script_of_reads(ours: Ours) -> None:
    command = [str(word) for word in ours.ssh(options=("-T",))]
    script = b"echo one\necho two >&2\ncat /nonexistent\nls -d /srv\n"
    done = await asyncio.to_thread(subprocess.run, command, input=script, capture_output=True, timeout=60, check=False)
    assert done.stdout == b"one\n/srv\n"
    assert b"two\n" in done.stderr
    assert done.returncode == 0


async def test_the_ledger_agrees(ours: Ours) -> None:
    command = [sys.executable, "-m", "bastion", "--config", str(ours.house.config.path), "ledger", "verify"]
    done = await asyncio.to_thread(subprocess.run, command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
