"""Shells in the governed shell: governed themselves, behind the prefix that was approved."""

from __future__ import annotations

import asyncio
import contextlib
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
from bastion.ssh import driver, driver_channels
from bastion.ssh import nesting as lines
from bastion.ssh.driver import Driver
from bastion.ssh.driver_channels import DriverError, ShellOver
from bastion.ssh.driver_observer import OBSERVE_SECONDS
from tests.support.gated import Driven
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
        (target.work / "home" / name).write_text(
            f"export PATH={programs}:$PATH\necho welcome\nPS1='prompt> '\n"
            "[ -z \"$ASKS\" ] || { printf 'sure? '; read ANSWER </dev/tty; }\n"
        )
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
    assert len(shell.of(ev.DriverReady)) > ready, (shell.events[-3:], bytes(shell.text))
    return nonce


def done(shell: Governed, nonce: str) -> list[ev.CommandDone]:
    return [event for event in shell.of(ev.CommandDone) if event.nonce == nonce]


async def leave(shell: Governed, nonce: str, status: int) -> int | None:
    """Exit the nested shell; the status of the command that started it."""
    await shell.begin(f"exit {status}")
    return await shell.finished(nonce)


def line_at(depth: int, number: int) -> sd.RunLine:
    """An approved line for the shell of that depth."""
    driven = Driven()
    driven.type("true\r")
    (run,) = [each for each in driven.decide() if isinstance(each, sd.RunLine)]
    return replace(run, nonce=f"late{number}", depth=depth)


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


async def test_its_own_prompt_is_not_shown_and_what_it_prints_is(sshd: Sshd) -> None:
    async with governed(sshd) as shell:
        shell.text.clear()
        nonce = await enter(shell, "bash")
        assert bytes(shell.text) == b"welcome\r\n"
        assert (await shell.run("echo on"))[1] == b"on\r\n"
        await leave(shell, nonce, 0)


async def test_a_question_of_its_start_up_files_is_shown(sshd: Sshd) -> None:
    async with governed(sshd) as shell:
        await shell.run("export ASKS=1")
        how = nesting(b"bash")
        assert how is not None
        await shell.driver.nest("n", how)
        await shell.says(b"sure? ")
        shell.driver.send(b"yes\n")
        await until(lambda: shell.driver.depth == 1, "it is up")
        assert (await shell.run("echo on $ANSWER"))[1].endswith(b"on yes\r\n")


@pytest.mark.parametrize("shell_", ["bash", "sh"])
async def test_a_shell_that_ends_in_the_moment_of_a_command(sshd: Sshd, tmp_path: Path, shell_: str) -> None:
    """It is killed about when the frame is written: whatever becomes of that command, it never runs outside."""
    where = tmp_path / "where"
    async with governed(sshd) as shell:
        await shell.run("level=outer")
        for number in range(12):
            nonce = await enter(shell, shell_)
            await shell.run("level=inner")
            assert shell.driver._made is not None
            pid = shell.driver._made.pid
            loop = asyncio.get_running_loop()
            loop.call_later((number - 3) * 0.001, os.kill, pid, signal.SIGKILL)
            with contextlib.suppress(ShellOver):
                await lines.run(shell.driver, line_at(1, number), f"echo $level >>{where}".encode())
            assert await shell.finished(nonce) == 137
            assert shell.driver.depth == 0
        assert (await shell.run("echo $level"))[1].endswith(b"outer\r\n")
        assert shell.failed is None
    assert not where.exists() or set(where.read_text().split()) == {"inner"}


@pytest.mark.parametrize("shell_", ["bash", "sh"])
async def test_its_control_program_dies(sshd: Sshd, shell_: str) -> None:
    """The inner shell reads the end of its pipe and ends with it; nothing meant for it runs outside."""
    async with governed(sshd) as shell:
        await shell.run("level=outer")
        nonce = await enter(shell, shell_)
        control = int((await shell.run("echo $__b_k"))[1])
        os.kill(control, signal.SIGKILL)
        await until(lambda: shell.driver.depth == 0, "the inner shell has ended")
        assert await shell.finished(nonce) is not None
        assert (await shell.run("echo $level"))[1].endswith(b"outer\r\n")
        assert shell.failed is None


async def test_its_control_program_dies_and_it_stays(sshd: Sshd, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(driver, "LEAVE_SECONDS", 0.3)
    async with governed(sshd) as shell:
        nonce = await enter(shell, "bash")
        control = int((await shell.run("echo $__b_k"))[1])
        await shell.begin("echo on; sleep 30")
        await shell.says(b"on")
        os.kill(control, signal.SIGKILL)
        assert await shell.finished(nonce) is None
        assert shell.failed is not None
        assert "the control channel of the inner shell ended" in shell.failed.reason


async def test_nothing_goes_to_an_inner_shell_without_control(sshd: Sshd) -> None:
    async with governed(sshd) as shell:
        await enter(shell, "bash")
        control = int((await shell.run("echo $__b_k"))[1])
        await shell.begin("echo on; sleep 30")
        await shell.says(b"on")
        os.kill(control, signal.SIGKILL)
        await until(lambda: shell.driver._control.channel is None, "its channel is closed")
        with pytest.raises(ShellOver):
            await shell.driver.run("n", b"echo never")


async def test_it_becomes_another_program(sshd: Sshd) -> None:
    """What it became reads lines that are held as input, and its end is that of the line that started it."""
    async with governed(sshd) as shell:
        nonce = await enter(shell, "bash")
        await shell.begin("exec sh -c 'read x; echo got $x; exit 4'")
        shell.driver.send(b"this\n")
        assert await shell.finished(nonce) == 4
        assert b"got this" in shell.text
        assert shell.driver.depth == 0
        assert (await shell.run("echo on"))[1].endswith(b"on\r\n")


async def test_nothing_of_it_lies_about(sshd: Sshd, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its pipe has no name any more, and no command has it."""
    name = f".bastion-{os.getpid():024x}"
    async with governed(sshd) as shell:
        with monkeypatch.context() as patch:
            patch.setattr(driver.secrets, "token_hex", lambda _: name.removeprefix(".bastion-"))
            await enter(shell, "bash")
        assert not [*Path("/").glob(f"*/{name}")]
        assert f"{name}/f (deleted)".encode() in (await shell.run("ls -l /proc/$$/fd"))[1]  # the shell itself has
        text = (await shell.run("ls -l /proc/self/fd"))[1]
        assert b"/dev/pts/" in text
        assert b"bastion" not in text


async def in_the_middle(looks: asyncio.Task[ev.TtyChanged | None], driver: Driver) -> None:
    """The question is out, and not answered yet: for some milliseconds."""
    while driver._observer._answer is None:
        assert not looks.done()
        await asyncio.sleep(0)


async def test_a_channel_that_was_dropped_may_close_late(sshd: Sshd) -> None:
    """It is not the one that came in its place: neither is what the observer says lost, and with it that a password is
    asked for, nor is the control channel of the next inner shell."""
    async with governed(sshd) as shell:
        driver = shell.driver
        assert await driver.observe() is not None
        before = driver._observer.channel
        driver._observer.renew()
        looks = asyncio.create_task(driver.observe())
        await in_the_middle(looks, driver)
        driver.closed(before)
        assert await looks is not None
        looks = asyncio.create_task(driver.observe())
        await in_the_middle(looks, driver)
        driver._observer.renew()
        async with asyncio.timeout(OBSERVE_SECONDS / 2):
            assert await looks is None
        old = driver_channels.Channel(driver, "N")
        how = nesting(b"bash")
        assert how is not None
        starts = asyncio.create_task(driver.nest("n", how, b"echo as typed"))
        while driver._inner is None:  # it starts, and is far from done: the target was not asked for anything yet
            assert not starts.done()
            await asyncio.sleep(0)
        driver.closed(old)
        await starts
        await until(lambda: driver.depth == 1, "it is up")


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
