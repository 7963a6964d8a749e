"""Shells in the governed shell, through OpenSSH's client: lines of an inner shell are commands of their own."""

from __future__ import annotations

import os
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from bastion.control import wire
from bastion.gate.shell_nesting import DEPTH_MOST
from bastion.model import RequestKind
from tests.bypass.adapters.ours import SHELLS, Ours
from tests.support.ports import until
from tests.support.shell import Shell, shell
from tests.support.sshd import Sshd

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.skipif(not SHELLS, reason="shells are not open in this release"),
]

END = r"\r?\n"

DOCKER = """#!/bin/sh
# docker exec -it|-i NAME COMMAND...: as if NAME were a container
[ "$1" = exec ] || exit 2
shift 2
[ "$1" = gone ] && { echo "no such container" >&2; exit 1; }
shift
INSIDE=yes exec "$@"
"""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def ours() -> AsyncIterator[Ours]:
    async with Ours() as made:
        yield made


@pytest_asyncio.fixture(loop_scope="module")
async def sh(ours: Ours) -> AsyncIterator[Shell]:
    async with shell(ours) as made:
        yield made


async def enter(sh: Shell, command: str, who: str = r">[^\r\n>]*") -> None:
    await sh.line(command, who + r":[^\r\n]*\$ ")


@pytest.mark.parametrize("command", ["bash", "sh", "bash -l"])
async def test_a_shell_in_the_shell(sh: Shell, command: str) -> None:
    await sh.line("x=outer; export y=1")
    await enter(sh, command)
    await sh.line("cd /usr/lib; x=inner")
    await sh.line("(exit 41)")
    await sh.line('echo "<$?-$x-$y-$PWD>"', "<41-inner-1-/usr/lib>" + END)
    await sh.line("sh -c 'echo g''o; exec sleep 30'", "go" + END)
    sh.type("\x03")
    await sh.line("echo st''atus $?", "status 130" + END)
    await sh.line("exit 7")
    await sh.line('echo "<$?-$x>"', "<7-outer>" + END)


async def test_end_of_input_leaves_one_shell(sh: Shell) -> None:
    await enter(sh, "bash")
    await enter(sh, "sh", r">[^\r\n>]*>[^\r\n>]*")
    await sh.line("(exit 3)")
    await sh.prompted()
    sh.type("\x04")
    await sh.line("echo out-''$?", "out-3" + END)
    await sh.prompted()
    sh.type("\x04")
    await sh.line("x''y || echo first-''$?", "first-127" + END)
    await sh.line("exit 5")
    assert await sh.client.ends() == 5


async def test_a_shell_with_stopped_jobs_stays_once(sh: Shell) -> None:
    await enter(sh, "bash")
    await sh.line("sh -c 'echo sl''eeping; kill -STOP $$; sleep 9'", "Stopped")
    await sh.prompted()
    sh.type("\x04")
    await sh.sees("stopped jobs")
    await sh.prompted()
    sh.type("\x04")
    await sh.line("echo ou''t", "out" + END)
    await sh.line("exit 4")
    assert await sh.client.ends() == 4


async def test_it_ends_by_itself_and_what_was_held_for_it_is_taken_back(sh: Shell, tmp_path: Path) -> None:
    await enter(sh, "bash")
    await sh.line(f"(until [ -e {tmp_path}/now ]; do sleep 0.02; done; kill -9 $$) & echo ar''med", "armed" + END)
    await sh.prompted()
    sh.client.send(f"touch {tmp_path}/X\rtouch {tmp_path}/Y\r".encode())
    item = await sh.held(f"touch {tmp_path}/X".encode())
    (tmp_path / "now").touch()
    await sh.sees("bastion: left [^\r\n]*what was typed for it is dropped")
    assert not await sh.adapter.approve(item)
    await sh.line("echo o''n", "on" + END)
    assert not (tmp_path / "X").exists()
    assert not (tmp_path / "Y").exists()


async def test_what_was_denied_opens_nothing(sh: Shell) -> None:
    sh.client.send(b"bash\r")
    item = await sh.held(b"bash")
    await sh.adapter.deny(item)
    await sh.sees("denied by")
    await sh.line("echo h''ere $SHLVL", "here")


async def test_the_approver_is_told_and_the_ledger_says_so(ours: Ours, sh: Shell) -> None:
    sh.client.send(b"# reason: to look\rbash\r")
    text = b"# reason: to look\nbash"
    item = await sh.held(text)
    told = dict((await ours.ana.call(wire.ShowRequest, wire.RequestInfo, request=item.id)).context)
    assert "governed shell" in told["nested"]
    await sh.approve(text.decode())
    await sh.sees(r">[^\r\n>]*:[^\r\n]*\$ ")
    sh.client.send(b"id\r")
    inner = await ours.ana.call(wire.ShowRequest, wire.RequestInfo, request=(await sh.held(b"id")).id)
    assert (inner.kind, inner.parent) == (RequestKind.LINE.value, item.id)
    assert "bash" in dict(inner.context)["inside"]
    await sh.approve("id")
    await sh.line("exit 3")
    await sh.line("echo o''n", "on" + END)


async def test_with_another_mode_it_runs_as_typed(sh: Shell) -> None:
    await sh.line("sh", mode="raw")
    await sh.sees("keys pass|bastion: keys")
    sh.type("echo r''aw; exit 9\r")
    await sh.sees("raw" + END)
    await sh.sees(r"@web-1:[^\r\n]*\$ ")
    await sh.line("echo st''atus $?", "status 9" + END)


async def test_depth_has_an_edge(sh: Shell) -> None:
    for level in range(DEPTH_MOST):
        await enter(sh, "sh", r">[^\r\n>]*" * (level + 1))
    await sh.line("sh")
    await sh.line("exit 6")  # input of the one too many
    await sh.line("echo st''atus $?", "status 6" + END)
    for _ in range(DEPTH_MOST):
        await sh.line("exit 2")
    await sh.line("echo o''ut-$?", "out-2" + END)


async def test_a_container_that_is_not_there_is_the_programs_own_error(sh: Shell, tmp_path: Path) -> None:
    """Its control channel cannot be had, so the line runs as it was typed, and the shell goes on."""
    home = tmp_path / "bin"
    home.mkdir()
    (home / "docker").write_text(DOCKER)
    (home / "docker").chmod(0o755)
    await sh.line(f"PATH={home}:$PATH")
    await sh.line("docker exec -it gone sh", "no such container")
    await sh.line("echo st''atus $?", "status 1" + END)


async def test_a_container(tmp_path: Path) -> None:
    ours = Ours()
    bin_ = ours.work / "bin"
    bin_.mkdir()
    (bin_ / "docker").write_text(DOCKER)
    (bin_ / "docker").chmod(0o755)
    home = ours.work / "home"
    home.mkdir()
    for name in (".bashrc", ".bash_profile"):
        (home / name).write_text(f"PATH={bin_}:$PATH\n")
    ours._sshd = Sshd(tmp_path / "sshd", extra=f"SetEnv HOME={home} HISTFILE=/dev/null")
    async with ours, shell(ours) as sh:
        await enter(sh, "docker exec -it web sh")
        await sh.line("cd /usr; x=1; echo $INSIDE-$PWD", "yes-/usr" + END)
        await enter(sh, "bash", r">[^\r\n>]*>[^\r\n>]*")
        await sh.line("echo $INSIDE-''2", "yes-2" + END)
        await sh.line("exit 4")
        await sh.line("echo $x-$?", "1-4" + END)
        await sh.line("exit 5")
        await sh.line("echo [$INSIDE]-$?", r"\[\]-5" + END)


@pytest.mark.root
@pytest.mark.parametrize("command", ["su", "su -"])
async def test_su(sh: Shell, command: str) -> None:
    if os.geteuid() != 0 or shutil.which("su") is None:
        pytest.skip("needs root and su")
    await enter(sh, command, ">root@[^\r\n>]*")
    await sh.line("cd /usr; id -u; pwd", f"0{END}/usr{END}")
    await sh.line("exit 3")
    await sh.line("echo st''atus $?", "status 3" + END)


async def test_leaving_ends_all_of_it(ours: Ours, tmp_path: Path) -> None:
    async with shell(ours) as sh:
        await enter(sh, "bash")
        await sh.line(f"echo $$ >{tmp_path}/pid; echo o''n", "on" + END)
        pid = int((tmp_path / "pid").read_text())
    await until(lambda: not Path(f"/proc/{pid}").exists(), "the inner shell is gone")
