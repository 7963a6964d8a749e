"""What the observer of a governed shell sees of its terminal."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from bastion.gate import shell_events as ev
from tests.support.governed import governed
from tests.support.sshd import Sshd

pytestmark = pytest.mark.e2e


async def test_the_observer_sees_the_mode(sshd: Sshd) -> None:
    async with governed(sshd) as shell:
        nonce = await shell.begin(
            "stty -echo; echo go; read x; stty raw; echo raw; dd count=1 bs=1 2>/dev/null; stty sane"
        )
        await shell.says(b"go")
        assert await shell.driver.observe() == ev.TtyChanged(False, True, "")
        shell.driver.send(b"x\n")
        await shell.says(b"raw")
        assert await shell.driver.observe() == ev.TtyChanged(False, False, "")
        shell.driver.send(b"x")
        await shell.finished(nonce)
        assert await shell.driver.observe() == ev.TtyChanged(True, True, "")


@pytest.mark.root
async def test_the_observer_sees_who_asks_for_a_password(sshd: Sshd) -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root")
    async with governed(sshd) as shell:
        nonce = await shell.begin("setpriv --reuid=65534 --regid=65534 --clear-groups su")
        await shell.says(b"assword")
        assert await shell.driver.observe() == ev.TtyChanged(False, True, "su")
        shell.driver.send(b"wrong\n")
        assert await shell.finished(nonce) != 0
        assert b"wrong" not in shell.text


@pytest.mark.root
async def test_a_shell_behind_su_that_puts_the_echo_off_asks_for_none(sshd: Sshd) -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root")
    async with governed(sshd) as shell:
        nonce = await shell.begin("su -s /bin/sh nobody --session-command 'stty -echo; echo go; read x'")
        await shell.says(b"go")
        assert await shell.driver.observe() == ev.TtyChanged(False, True, "")
        shell.driver.send(b"x\n")
        await shell.finished(nonce)


async def test_a_program_that_calls_itself_sudo_is_not(sshd: Sshd, tmp_path: Path) -> None:
    liar = tmp_path / "sudo"
    shutil.copy("/bin/sleep", liar)
    async with governed(sshd) as shell:
        nonce = await shell.begin(f"stty -echo; echo go; {liar} 30")
        await shell.says(b"go")
        await shell.has_given_the_terminal()
        assert await shell.driver.observe() == ev.TtyChanged(False, True, "")
        shell.driver.control("^C")
        await shell.finished(nonce)
