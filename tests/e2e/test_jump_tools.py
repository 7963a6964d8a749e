"""Tools inside `ssh -J bastion web-1`: shells, terminals and Ansible work as without it; what is refused says why."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bastion.control.client import Client
from bastion.model import Choice
from tests.e2e import test_jump as jumps
from tests.e2e.test_ansible import PLAYBOOK, PYTHON, Approver
from tests.e2e.test_tickets import several
from tests.support.client import Client as Terminal
from tests.support.house import House

pytestmark = pytest.mark.e2e


@pytest.fixture
def config(house: House) -> Path:
    return jumps.configuration(house, jumps.trusting(house))


async def test_a_governed_shell(house: House, ana: Client, config: Path) -> None:
    shell = await Terminal.start(["ssh", "-F", str(config), "-tt", "web-1"], terminal=True)
    try:
        await shell.sees(rb"\$ \Z")
        for typed, seen in (("cd /usr; X=kept", rb"\$ \Z"), ("echo $X-$PWD", rb"kept-/usr\r\n"), ("exit 3", rb"")):
            shell.send(typed.encode() + b"\r")
            await house.decide(ana, command=typed.encode())
            await shell.sees(seen)
        assert await shell.ends() == 3
    finally:
        await shell.close()


async def test_a_command_with_a_terminal(house: House, ana: Client, config: Path) -> None:
    command = "test -t 0 && test -t 1 && echo both; exit 4"
    process = await jumps.start(config, "-tt", "web-1", command)
    info = await house.decide(ana, command=command.encode())
    outcome = await house.finish(process)
    assert (outcome.status, b"both\r\n" in outcome.stdout, bool(info.terminal)) == (4, True, True)


async def test_ansible(house: House, ana: Client, config: Path, tmp_path: Path) -> None:
    """Its payload is decoded inside a jump, too."""
    (tmp_path / "inventory").write_text(f"web-1 ansible_python_interpreter={PYTHON}\n")
    tasks = f"    - command: echo hello {tmp_path}\n    - copy: {{content: x, dest: {tmp_path}/copied}}\n"
    (tmp_path / "play.yml").write_text(f"- hosts: web-1\n  gather_facts: false\n  tasks:\n{tasks}")
    env = {
        "PATH": f"{Path(PLAYBOOK).parent}:{os.environ['PATH']}", "HOME": str(tmp_path), "LANG": "C.UTF-8",
        "ANSIBLE_SSH_ARGS": f"-F {config} -o ControlMaster=no", "ANSIBLE_NOCOLOR": "1", "ANSIBLE_PIPELINING": "1",
        "ANSIBLE_REMOTE_TMP": str(tmp_path / "remote"), "ANSIBLE_LOCAL_TEMP": str(tmp_path / "local"),
        "ANSIBLE_SSH_TRANSFER_METHOD": "piped",
    }  # fmt: skip
    approver = Approver(ana)
    approving = asyncio.create_task(approver.run())
    process = await asyncio.create_subprocess_exec(
        PLAYBOOK, "-i", "inventory", "play.yml", cwd=tmp_path, env=env, stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        done = await house.finish(process)
    finally:
        approving.cancel()
        await asyncio.gather(approving, return_exceptions=True)
    assert done.status == 0, done.stdout.decode() + done.stderr
    assert (tmp_path / "copied").read_text() == "x"
    assert f"_raw_params = echo hello {tmp_path}" in approver.said()
    assert "the code is ansible-core" in approver.said()


# --- refused, with a sentence -----------------------------------------------------------------------------------------


@pytest.fixture
async def agent(tmp_path: Path) -> AsyncIterator[str]:
    """The agent's own ssh-agent, without a key."""
    socket = f"/tmp/bastion-agent-{os.getpid()}"
    process = await asyncio.create_subprocess_exec(
        "ssh-agent", "-D", "-a", socket, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL
    )
    async with asyncio.timeout(10):
        while not Path(socket).exists():  # noqa: ASYNC110 -- it tells nobody
            await asyncio.sleep(0.01)
    yield socket
    process.terminate()
    await process.wait()
    Path(socket).unlink(missing_ok=True)


@pytest.mark.parametrize("inside", [False, True], ids=["direct", "jump"])
@pytest.mark.parametrize(
    ("flag", "why"),
    [("-A", "agent forwarding would hand your keys to the target"), ("-Y", "X11 forwarding cannot be governed")],
)
async def test_forwarding_of_an_agent_and_of_x11(
    house: House, ana: Client, config: Path, agent: str, flag: str, why: str, inside: bool
) -> None:
    await house.whitelist(ana, b"printenv SSH_AUTH_SOCK DISPLAY; echo ran")
    command = ["printenv SSH_AUTH_SOCK DISPLAY; echo ran"]
    words = ["ssh", "-F", str(config), flag, "web-1", *command]
    if not inside:
        words = house.ssh_command("web-1", *command, options=(flag,))
    process = await asyncio.create_subprocess_exec(
        *words, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        env={"PATH": os.environ["PATH"], "HOME": str(house.work), "SSH_AUTH_SOCK": agent, "DISPLAY": ":9"},
    )  # fmt: skip
    outcome = await house.finish(process)
    assert (outcome.status, outcome.stdout) == (0, b"ran\n"), outcome.stderr
    assert why in outcome.stderr


# --- many of the same -------------------------------------------------------------------------------------------------


async def test_ten_identical_clients(house: House, ana: Client, tmp_path: Path) -> None:
    """One approval is one run: who is approved runs, the nine others wait for their own."""
    command = f"echo x >> {tmp_path}/canary"
    clients = [await house.ssh("web-1", command) for _ in range(10)]
    held = await several(ana, command, 10)
    assert len({info.digest for info in held}) == 10
    for info in held[:3]:
        await ana.vote(info, Choice.APPROVE, "")
    for info in held[3:]:
        await ana.vote(info, Choice.DENY, "three are enough")
    outcomes = [await house.finish(client) for client in clients]
    assert sorted(each.status for each in outcomes) == [0] * 3 + [126] * 7
    assert (tmp_path / "canary").read_text() == "x\n" * 3
