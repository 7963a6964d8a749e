"""Shells in the governed shell: governed themselves, behind the prefix that was approved."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from bastion.gate import shell_effects as sd
from bastion.gate import shell_events as ev
from bastion.gate.nested import nesting
from bastion.ssh import nesting as lines
from bastion.ssh.driver_channels import DriverError, ShellOver
from tests.support.governed import Governed, governed, plain_home
from tests.support.ports import until
from tests.support.sshd import Sshd

pytestmark = pytest.mark.e2e

CONTAINER = """#!/bin/sh
# docker exec -it|-i NAME COMMAND...: as if NAME were a container
[ "$1" = exec ] || exit 2
shift 3
export INSIDE=yes
exec "$@"
"""


@pytest.fixture(scope="module")
def sshd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    programs = tmp_path_factory.mktemp("bin")
    for name in ("docker", "kubectl"):
        (programs / name).write_text(CONTAINER if name == "docker" else CONTAINER.replace("shift 3", "shift 4"))
        (programs / name).chmod(0o755)
    target = plain_home(tmp_path_factory.mktemp("target"))
    for name in (".bashrc", ".bash_profile"):
        (target.work / "home" / name).write_text(f"export PATH={programs}:$PATH\n")
    target.start()
    yield target
    target.stop()


async def enter(shell: Governed, command: str) -> str:
    """Start a nested shell; its nonce, once it is ready."""
    how = nesting(command.encode())
    assert how is not None
    nonce = f"nest{len(shell.events)}"
    ready = len(shell.of(ev.DriverReady))
    await shell.driver.nest(nonce, how)
    await until(
        lambda: shell.failed or len(shell.of(ev.DriverReady)) > ready or len(done(shell, nonce)) > 0,
        f"{command} is ready",
    )
    assert len(shell.of(ev.DriverReady)) > ready, (shell.events, bytes(shell.text))
    return nonce


def done(shell: Governed, nonce: str) -> list[ev.CommandDone]:
    return [event for event in shell.of(ev.CommandDone) if event.nonce == nonce]


async def leave(shell: Governed, nonce: str, status: int) -> int | None:
    """Exit the nested shell; the status of the command that started it."""
    await shell.begin(f"exit {status}")
    return await shell.finished(nonce)


COMMANDS = ["bash", "bash -l", "sh", "docker exec -it web sh", "docker exec -it web bash", "kubectl exec -it pod -- sh"]


@pytest.mark.parametrize("command", COMMANDS)
async def test_state_inside_and_outside(sshd: Sshd, tmp_path: Path, command: str) -> None:
    async with governed(sshd) as shell:
        await shell.run("x=outer; export y=1; stty -onlcr")
        nonce = await enter(shell, command)
        assert shell.of(ev.DriverReady)[-1].kind == (
            "sh" if command.endswith("sh") and "bash" not in command else "bash"
        )
        assert await shell.run(f"cd {tmp_path}; x=inner") == (0, b"")
        assert shell.cwd == str(tmp_path)
        assert await shell.run("(exit 5)") == (5, b"")
        assert await shell.run("echo $? $x $y $INSIDE") == (
            0,
            b"5 inner 1 yes\n" if "exec" in command else b"5 inner 1\n",
        )
        running = await shell.begin("echo go; sleep 30")
        await shell.says(b"go")
        await shell.has_given_the_terminal()
        shell.driver.control("^C")
        assert await shell.finished(running) == 130
        assert await leave(shell, nonce, 7) == 7
        assert await shell.run("echo $? $x") == (0, b"7 outer\n")
        assert shell.cwd != str(tmp_path)
        assert shell.failed is None
        assert not shell.of(ev.SpoofSeen)


async def test_three_deep_and_out_at_once(sshd: Sshd) -> None:
    async with governed(sshd) as shell:
        await shell.run("stty -onlcr")
        first = await enter(shell, "bash")
        await shell.run("a=$$")
        await enter(shell, "sh")
        await enter(shell, "bash -l")
        assert await shell.run("echo deep") == (0, b"deep\n")
        await shell.begin("kill -9 $(ps -o ppid= -p $PPID) $PPID $$; sleep 30")
        assert await shell.finished(first) == 137
        assert (await shell.run("echo out"))[1].endswith(b"out\n")
        assert shell.failed is None


async def test_input_left_inside_is_dropped(sshd: Sshd) -> None:
    async with governed(sshd) as shell:
        nonce = await enter(shell, "bash")
        running = await shell.begin("sleep 0.1")
        shell.driver.send(b"left\n")
        await shell.finished(running)
        assert (await shell.run("read -t 0.1 x; echo [$x]"))[1] == b"[]\r\n"
        await leave(shell, nonce, 0)
        assert (await shell.run("read -t 0.1 x; echo [$x]"))[1] == b"[]\r\n"


async def test_a_prefix_that_fails_is_a_command_that_failed(sshd: Sshd) -> None:
    async with governed(sshd) as shell:
        how = nesting(b"docker exec -it web sh")
        assert how is not None
        await shell.run("docker() { return 9; }")
        await shell.driver.nest("n", how)
        assert await shell.finished("n") == 9
        assert (await shell.run("echo on"))[1] == b"on\r\n"
        await shell.run("unset -f docker")
        nonce = await enter(shell, "docker exec -it web sh")
        assert await leave(shell, nonce, 0) == 0


async def test_its_control_channel_ends(sshd: Sshd) -> None:
    async with governed(sshd) as shell:
        await enter(shell, "bash")
        await shell.begin("pkill -x -P $__b_k cat; sleep 30")
        await until(lambda: shell.failed, "it is noticed")


async def test_not_without_a_terminal(sshd: Sshd) -> None:
    how = nesting(b"bash")
    assert how is not None
    async with governed(sshd, terminal=None) as shell:
        with pytest.raises(DriverError):
            await shell.driver.nest("n", how)


@pytest.mark.root
@pytest.mark.parametrize("command", ["su", "su -", "sudo -i", "sudo -s", "sudo bash", "sudo su -"])
async def test_sudo_and_su(sshd: Sshd, command: str) -> None:
    """As root, who needs no password: the mechanism is the same after one."""
    if os.geteuid() != 0 or shutil.which(command.split(maxsplit=1)[0]) is None:
        pytest.skip("needs root and the program")
    async with governed(sshd) as shell:
        nonce = await enter(shell, command)
        assert (await shell.run("id -u; tty >/dev/null && echo tty"))[1] == b"0\r\ntty\r\n"
        running = await shell.begin("echo go; sleep 30")
        await shell.says(b"go")
        await shell.has_given_the_terminal()
        shell.driver.control("^C")
        assert await shell.finished(running) == 130
        assert await leave(shell, nonce, 3) == 3
        assert (await shell.run("echo on"))[1].endswith(b"on\r\n")
        assert shell.failed is None


async def test_a_command_for_a_shell_that_ends_runs_nowhere(sshd: Sshd, tmp_path: Path) -> None:
    """It was given to the inner shell, which ended before its frame was sent: the outer one must not get it."""
    async with governed(sshd) as shell:
        nonce = await enter(shell, "bash")
        assert shell.driver.depth == 1
        running = await shell.begin("sleep 0.1")
        shell.driver.send(b"left\n")  # so that the next one has to flush first
        await shell.finished(running)
        await shell.begin(f"(until [ -e {tmp_path}/now ]; do sleep 0.01; done; kill -9 $$) &")
        await until(lambda: shell.driver._running is None, "it is armed")
        flush = shell.driver.flush

        async def lost_meanwhile() -> bool:
            (tmp_path / "now").touch()
            await shell.finished(nonce)
            return True

        written: list[bytes] = []
        shell.driver.flush = lost_meanwhile  # type: ignore[method-assign]
        shell.driver._control.write = written.append  # type: ignore[method-assign]
        await shell.driver.run("late", f"touch {tmp_path}/X".encode())
        shell.driver.flush = flush  # type: ignore[method-assign]
        assert written == []
        assert shell.driver.depth == 0
        assert (await shell.run("echo on"))[1].endswith(b"on\r\n")
        assert not (tmp_path / "X").exists()
        assert not done(shell, "late")


async def test_input_left_inside_is_dropped_though_the_shell_ends_meanwhile(sshd: Sshd, tmp_path: Path) -> None:
    """It is killed while the terminal's input is emptied through it: what was typed for it must not be read outside."""
    async with governed(sshd) as shell:
        nonce = await enter(shell, "bash")
        running = await shell.begin("sleep 0.1")
        shell.driver.send(f"touch {tmp_path}/X\n".encode())
        await shell.finished(running)
        assert shell.driver._made is not None
        os.kill(shell.driver._made.pid, signal.SIGKILL)
        await shell.driver.run("late", b"true")
        assert await shell.finished(nonce) == 137
        assert (await shell.run('timeout -s KILL --foreground 0.5 sh; read -t 0.1 x; echo "[$x]"'))[1].endswith(
            b"[]\r\n"
        )
        assert not (tmp_path / "X").exists()
        assert shell.failed is None


async def test_where_no_control_channel_can_be_had_it_runs_as_it_is(sshd: Sshd) -> None:
    async with governed(sshd) as shell:
        how = nesting(b"docker exec -it web sh")
        assert how is not None
        failing = replace(how, inside="/nowhere/")
        await shell.driver.nest("n", failing, b"echo as-typed; (exit 9)")
        assert await shell.finished("n") == 9
        await until(lambda: b"as-typed" in shell.text, "it ran")
        assert await leave(shell, await enter(shell, "bash"), 2) == 2
        assert shell.failed is None


async def test_a_terminal_in_a_container_is_not_looked_at(sshd: Sshd) -> None:
    """Its name is that of another one outside, where somebody may be typing a password."""
    async with governed(sshd) as shell:
        assert await shell.driver.observe() is not None
        nonce = await enter(shell, "docker exec -it web sh")
        assert await shell.driver.observe() is None
        await leave(shell, nonce, 0)
        assert await shell.driver.observe() is not None


async def test_words_for_a_shell_that_is_gone_are_refused(sshd: Sshd) -> None:
    async with governed(sshd) as shell:
        nonce = await enter(shell, "bash")
        await leave(shell, nonce, 0)
        with pytest.raises(ShellOver):
            await lines.leave(shell.driver, sd.LeaveShell(1), "bash")


async def test_words_for_a_shell_with_another_in_it_are_a_fault(sshd: Sshd) -> None:
    """Nothing can make the bastion send them: it ends the session, and does not wait for an end that never comes."""
    async with governed(sshd) as shell:
        await enter(shell, "bash")
        await enter(shell, "bash")
        with pytest.raises(DriverError) as caught:
            await lines.leave(shell.driver, sd.LeaveShell(1), "bash")
        assert not isinstance(caught.value, ShellOver)
