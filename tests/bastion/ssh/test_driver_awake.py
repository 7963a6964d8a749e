"""TMOUT ends no shell that waits for a person."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

import pytest

from bastion.ssh.driver_awake import Awake
from tests.support.governed import governed, plain_home, posix
from tests.support.ports import until
from tests.support.sshd import Sshd

pytestmark = pytest.mark.e2e


IDLE_SECONDS = 1.5
"""Longer than TMOUT=1, by more than the empty lines are apart."""


async def idle() -> None:
    """As long as somebody takes to decide."""
    await asyncio.sleep(IDLE_SECONDS)  # what is waited for is that nothing happens


@pytest.mark.parametrize("value", ["1", " 1.9"])
async def test_tmout_ends_no_shell_that_waits_for_a_person(sshd: Sshd, value: str) -> None:
    async with governed(sshd) as shell:
        await shell.run(f"TMOUT='{value}'")
        assert await shell.run("(exit 130)") == (130, b"")
        await idle()
        assert shell.failed is None
        assert await shell.run('echo "$?" "$TMOUT"; cd /') == (0, f"130 {value}\r\n".encode())
        nonce = await shell.begin("cat")
        shell.driver.send(b"typed\n\x04")
        assert await shell.finished(nonce) == 0
        assert shell.cwd == "/"


async def test_tmout_in_a_profile(tmp_path: Path) -> None:
    target = plain_home(tmp_path / "profile")
    (tmp_path / "profile" / "home" / ".bash_profile").write_text("readonly TMOUT=1\nexport TMOUT\n")
    target.start()
    try:
        async with governed(target) as shell:
            await idle()
            assert await shell.run("echo $TMOUT") == (0, b"1\r\n")
    finally:
        target.stop()


async def test_tmout_in_a_posix_shell(sshd: Sshd, monkeypatch: pytest.MonkeyPatch) -> None:
    if shutil.which("busybox") is None:
        pytest.skip("needs busybox")
    posix(monkeypatch, "busybox sh")
    async with governed(sshd) as shell:
        await shell.run("TMOUT=1")
        await idle()
        assert await shell.run("echo $TMOUT") == (0, b"1\r\n")


async def test_without_the_empty_lines_tmout_does(sshd: Sshd, monkeypatch: pytest.MonkeyPatch) -> None:
    """The control."""
    monkeypatch.setattr(Awake, "keep", lambda *_: None)
    async with governed(sshd) as shell:
        await shell.run("TMOUT=1")
        await until(lambda: shell.failed is not None, "the shell ends itself")
        assert b"auto-logout" in shell.text


async def test_nothing_is_sent_to_a_shell_without_tmout(sshd: Sshd) -> None:
    async with governed(sshd) as shell:
        await shell.run("TMOUT=1")
        assert shell.driver._awake.needed
        await shell.run("unset TMOUT")
        assert not shell.driver._awake.needed
        await shell.run("TMOUT=0")
        assert not shell.driver._awake.needed
