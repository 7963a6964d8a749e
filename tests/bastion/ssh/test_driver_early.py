"""Governed shells that do not come up, and say why; and what comes before they are up."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from bastion.gate import shell_events as ev
from bastion.gate.nested import nesting
from bastion.ssh import driver_shell as module
from tests.support.governed import Governed, governed, plain_home
from tests.support.ports import until
from tests.support.sshd import Sshd

pytestmark = pytest.mark.e2e


def left_behind(shell: Governed) -> list[Path]:
    places = [Path(place, shell.driver._programs.name) for place in ("/tmp", "/dev/shm", "/var/tmp", Path.home())]
    return [place for place in places if place.exists()]


LOGINS = ["bash", "dash", "zsh", "fish", "tcsh", "mksh", "busybox sh"]


def with_login(tmp_path: Path, command: str) -> Sshd:
    target = plain_home(tmp_path / "login", f"ForceCommand {command}")
    target.start()
    return target


@pytest.mark.parametrize("login", LOGINS)
async def test_login_shells(tmp_path: Path, login: str) -> None:
    if shutil.which(login.removesuffix(" sh")) is None:
        pytest.skip(f"needs {login}")
    target = with_login(tmp_path, f'exec {login} -c "$SSH_ORIGINAL_COMMAND"')
    try:
        async with governed(target) as shell:
            assert await shell.run("echo $0; tty >/dev/null") == (0, b"-bash\r\n")
            assert await shell.driver.observe() == ev.TtyChanged(True, True, "")
    finally:
        target.stop()


@pytest.mark.parametrize("shell", ["bash --posix", "busybox sh", "mksh", "dash"])
@pytest.mark.parametrize("terminal", [True, False], ids=["tty", "pipe"])
async def test_what_sh_may_be_on_a_target(
    sshd: Sshd, shell: str, terminal: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All of our programs run in it, to the end of a connection that dies before the shell starts."""
    if shutil.which(shell.split(maxsplit=1)[0]) is None:
        pytest.skip(f"needs {shell}")
    command = module.driver._command
    monkeypatch.setattr(
        module.driver, "_command", lambda *words: command(*words).replace(b"exec /bin/sh", b"exec " + shell.encode())
    )
    async with governed(sshd, **({} if terminal else {"terminal": None})) as one:
        assert (await one.run("echo on"))[1].strip() == b"on"
        assert terminal == (await one.driver.observe() is not None)
    monkeypatch.setattr(module.driver, "place", lambda *_, **__: b"")
    monkeypatch.setattr(module, "START_SECONDS", 0.5)
    async with governed(sshd, ready=False, **({} if terminal else {"terminal": None})) as two:
        assert two.failed is not None
    await until(lambda: not left_behind(two), "nothing is left behind")


REFUSED = {
    'exec rbash -c "$SSH_ORIGINAL_COMMAND"': "restricted",
    "exec /usr/sbin/nologin": "This account is currently not available",
    "exec /bin/false": "starts no",
    "echo garbage; exit 0": "garbage",
    "exec yes garbage": "print more than 65536 bytes",
    'PATH=/nonexistent; eval "$SSH_ORIGINAL_COMMAND"': "no directory for a pipe on the target",
    'ulimit -f 0; ulimit -n 3; eval "$SSH_ORIGINAL_COMMAND"': "starts no",
}


@pytest.mark.parametrize("command", REFUSED)
@pytest.mark.parametrize("terminal", [True, False], ids=["tty", "pipe"])
async def test_no_governed_shell_says_why(tmp_path: Path, command: str, terminal: bool) -> None:
    target = with_login(tmp_path, command)
    try:
        async with governed(target, ready=False, **({} if terminal else {"terminal": None})) as shell:
            assert shell.failed is not None
            assert REFUSED[command] in shell.failed.reason
            assert shell.failed.reason.isprintable()
            assert len(shell.events) == 1
        await until(lambda: not left_behind(shell), "nothing is left behind")
    finally:
        target.stop()


async def test_one_channel_only(tmp_path: Path) -> None:
    target = plain_home(tmp_path / "one", "MaxSessions 1")
    target.start()
    try:
        async with governed(target, ready=False) as shell:
            assert shell.failed is not None
            assert "MaxSessions" in shell.failed.reason
        await until(lambda: not left_behind(shell), "nothing is left behind")
    finally:
        target.stop()


async def test_start_up_files_that_print(tmp_path: Path) -> None:
    """What they say is passed on, without the prompt."""
    target = with_login(tmp_path, 'echo welcome; eval "$SSH_ORIGINAL_COMMAND"')
    try:
        async with governed(target) as shell:
            assert shell.text == b"welcome\r\n"
            assert (await shell.run("echo on"))[1] == b"on\r\n"
    finally:
        target.stop()


async def test_a_shell_that_is_never_ready(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "START_SECONDS", 0.5)
    target = with_login(tmp_path, "exec sleep 60")
    try:
        async with governed(target, ready=False) as shell:
            assert shell.failed is not None
            assert "not ready within 0.5 s" in shell.failed.reason
    finally:
        target.stop()


async def test_a_connection_that_dies_before_the_shell_starts_leaves_nothing(
    sshd: Sshd, monkeypatch: pytest.MonkeyPatch
) -> None:
    """T waits for the other end of its pipe, which never comes."""
    monkeypatch.setattr(module.driver, "place", lambda *_: b"")
    monkeypatch.setattr(module, "START_SECONDS", 1.0)
    async with governed(sshd, ready=False) as shell:
        assert shell.failed is not None
    await until(lambda: not left_behind(shell), "nothing is left behind")


@pytest.mark.parametrize("line", ["set -o vi", "set -o emacs", "echo hello"])
async def test_a_line_editor_in_a_start_up_file_gets_none_of_our_lines(tmp_path: Path, line: str) -> None:
    """bash turns it on in spite of --noediting: frames would be its keys, and be shown."""
    target = plain_home(tmp_path / "edits")
    for name in (".bashrc", ".bash_profile"):
        (tmp_path / "edits" / "home" / name).write_text(f"{line}\n")
    target.start()
    greeting = b"hello\r\n" if "hello" in line else b""
    try:
        async with governed(target) as shell:
            assert bytes(shell.text) == greeting * 2  # bash -c of sshd reads one, too
            assert await shell.run("echo 'a  b'; cd /") == (0, b"a  b\r\n")
            shell.text.clear()
            how = nesting(b"bash")
            assert how is not None
            await shell.driver.nest("n", how)
            await until(lambda: shell.failed or shell.driver.depth == 1, "it is up")
            assert bytes(shell.text) == greeting
            assert await shell.run("shopt -o vi emacs | grep -c on; pwd") == (0, b"0\r\n/\r\n")
    finally:
        target.stop()


async def test_without_that_line_they_are_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The control."""
    monkeypatch.setattr(module.driver, "UNEDITED", ":")
    target = plain_home(tmp_path / "edits")
    (tmp_path / "edits" / "home" / ".bash_profile").write_text("set -o vi\n")
    target.start()
    try:
        async with governed(target) as shell:
            assert b"__b_d" in (await shell.run("true"))[1]
    finally:
        target.stop()
