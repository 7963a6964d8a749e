"""The terminal of a governed shell: keys, jobs, what is left unread."""

from __future__ import annotations

import pytest

from bastion.gate import shell_events as ev
from bastion.ssh.driver_channels import DriverError
from tests.support.governed import governed, posix
from tests.support.sshd import Sshd

pytestmark = pytest.mark.e2e
KINDS = ["bash", "/bin/dash", "/bin/busybox sh"]


@pytest.mark.parametrize("kind", KINDS)
async def test_control_keys_and_jobs(sshd: Sshd, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    posix(monkeypatch, kind)
    async with governed(sshd) as shell:
        for command in (
            "echo go; sleep 30",
            "echo go; while :; do :; done",
            "for i in 1 2; do echo go; sleep 30; done",
        ):
            shell.text.clear()
            nonce = await shell.begin(command)
            await shell.says(b"go")
            if "sleep" in command:
                await shell.has_given_the_terminal()
            shell.driver.control("^C")
            assert await shell.finished(nonce) == 130
            assert (await shell.run("echo $?"))[1] == b"130\r\n"
        nonce = await shell.begin("echo go; sleep 30")
        await shell.says(b"go")
        await shell.has_given_the_terminal()
        shell.driver.control("^Z")
        await shell.finished(nonce)
        assert b"topped" in (await shell.run("jobs"))[1]
        nonce = await shell.begin("fg")
        await shell.says(b"sleep 30")
        await shell.has_given_the_terminal()
        shell.driver.control("^C")
        assert await shell.finished(nonce) == 130
        assert await shell.run("jobs") == (0, b"")
        nonce = await shell.begin("cat")
        shell.driver.control("^D")
        assert await shell.finished(nonce) == 0
        shell.driver.control("^C")  # when nothing runs, it goes nowhere
        assert (await shell.run("echo on"))[1] == b"on\r\n"


async def test_a_second_exit_leaves_stopped_jobs(sshd: Sshd) -> None:
    async with governed(sshd) as shell:
        nonce = await shell.begin("echo go; sleep 30")
        await shell.says(b"go")
        await shell.has_given_the_terminal()
        shell.driver.control("^Z")
        await shell.finished(nonce)
        for _ in range(2):
            status, text = await shell.run("exit 3")
            assert (status, b"stopped jobs" in text) == (1, True)
            await shell.run("true")
        assert (await shell.run("exit 3"))[0] == 1
        assert (await shell.run("\\builtin type -a exit"))[0] == 0  # what the bastion asks does not come between
        assert (await shell.run("exit 3"))[0] is None
        assert shell.failed == ev.DriverFailed("the shell on the target ended", 3)


async def test_typing_and_what_is_not_read(sshd: Sshd) -> None:
    async with governed(sshd) as shell:
        with pytest.raises(DriverError):
            shell.driver.send(b"x")
        nonce = await shell.begin("read -p '[Y/n] ' x; echo got $x")
        await shell.says(b"[Y/n] ")
        shell.driver.send(b"y\n")
        assert await shell.finished(nonce) == 0
        assert b"got y" in shell.text
        nonce = await shell.begin("sleep 0.1")
        shell.driver.send(b"left\nover\x03\x04half")
        await shell.finished(nonce)
        assert (await shell.run("read -t 0.1 x; echo [$x]"))[1] == b"[]\r\n"
        before = (await shell.run("stty raw -echo; stty -g"))[1]
        nonce = await shell.begin("sleep 0.1")
        shell.driver.send(b"x")
        await shell.finished(nonce)
        assert (await shell.run("stty -g"))[1] == before


async def test_a_thief_at_the_terminal_harms_no_command(sshd: Sshd) -> None:
    """Another process group that reads the terminal can take the line that ends a flush; it is sent again."""
    async with governed(sshd) as shell:
        await shell.run('t=$(tty); setsid sh -c "exec timeout 3 head -c 60 <$t" >/dev/null 2>&1 & disown; sleep 0.2')
        nonce = await shell.begin("sleep 0.1")
        shell.driver.send(b"x")
        await shell.finished(nonce)
        assert (await shell.run("echo on"))[1].endswith(b"on\r\n")


async def test_size_and_name_of_the_terminal(sshd: Sshd) -> None:
    async with governed(sshd) as shell:
        assert (await shell.run("stty size; echo $TERM"))[1] == b"30 100\r\nxterm-256color\r\n"
        shell.driver.resize(132, 50)
        assert (await shell.run("stty size"))[1] == b"50 132\r\n"


async def test_uppercase_terminal(sshd: Sshd) -> None:
    async with governed(sshd) as shell:
        assert await shell.run("stty olcuc -echo") == (0, b"")
        assert await shell.run("echo seen") == (0, b"SEEN\r\n")
