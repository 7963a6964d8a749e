"""Ansible through the bastion, unmodified: a task is a handful of requests, and says what it does. Promises P2, P6."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from bastion.control import wire
from bastion.control.client import Client
from bastion.errors import BastionError
from bastion.model import Choice
from tests.support.house import House, Outcome
from tests.support.sshd import Sshd

pytestmark = pytest.mark.e2e

POLICY = 'policy "ansible" {\n  version 1\n  allow low\n}\n'
PYTHON = "/usr/bin/python3" if Path("/usr/bin/python3").exists() else sys.executable
"""Of the target: Debian's own, which apt's module needs."""
APT = subprocess.run([PYTHON, "-c", "import apt_pkg"], capture_output=True, check=False).returncode == 0
PLAYBOOK = shutil.which("ansible-playbook", path=str(Path(sys.executable).parent)) or "ansible-playbook"


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory, sshd: Sshd) -> Iterator[House]:
    made = House(tmp_path_factory.mktemp("house"), POLICY)
    made.add_target("web-1", sshd, env="test")
    made.start()
    yield made
    made.stop()


class Approver:
    """Approves whatever is held, and remembers it."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self.seen: dict[str, wire.RequestInfo] = {}

    async def run(self, choice: Choice = Choice.APPROVE) -> None:
        """Until cancelled."""
        while True:
            for info in await self._client.call(wire.ListRequests, list[wire.RequestInfo], state="held"):
                if info.id not in self.seen:
                    self.seen[info.id] = info
                    try:
                        await self._client.vote(info, choice, "because")
                    except BastionError:
                        continue  # its client is gone
            await asyncio.sleep(0.02)

    def said(self) -> str:
        """All reasons, a line each."""
        return "\n".join(reason for info in self.seen.values() for reason in info.reasons)


@pytest.fixture
async def approver(ana: Client) -> AsyncIterator[Approver]:
    made = Approver(ana)
    task = asyncio.create_task(made.run())
    yield made
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def play(house: House, work: Path, tasks: str, **settings: str) -> Outcome:
    """`ansible-playbook` as an agent runs it."""
    control = tempfile.mkdtemp(prefix="ansible-")  # a socket's path has 107 bytes, and pytest's directories are deep
    (work / "inventory").write_text(
        f"web-1 ansible_host=127.0.0.1 ansible_port={house.port} ansible_user=web-1 "
        f"ansible_ssh_private_key_file={house.work / 'agent-7'} ansible_python_interpreter={PYTHON}\n"
    )
    (work / "play.yml").write_text(f"- hosts: web-1\n  gather_facts: false\n  tasks:\n{tasks}")
    known = ("IdentitiesOnly=yes", f"UserKnownHostsFile={house.work / 'known_hosts'}")
    options = " ".join(f"-o {each}" for each in (*known, "ControlMaster=auto", "ControlPersist=9"))
    env = {
        "PATH": f"{Path(PLAYBOOK).parent}:{os.environ['PATH']}", "HOME": str(work), "LANG": "C.UTF-8",
        "ANSIBLE_SSH_ARGS": f"-F none {options}", "ANSIBLE_NOCOLOR": "1", "ANSIBLE_RETRY_FILES_ENABLED": "0",
        "ANSIBLE_REMOTE_TMP": str(work / "remote"), "ANSIBLE_LOCAL_TEMP": str(work / "local"),
        "ANSIBLE_SSH_CONTROL_PATH_DIR": control, **settings,
    }  # fmt: skip
    process = await asyncio.create_subprocess_exec(
        PLAYBOOK, "-i", "inventory", "play.yml", cwd=work, env=env, stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        return await house.finish(process)
    finally:
        shutil.rmtree(control)


TASKS = """\
    - name: a command
      command: echo hello {work}
    - name: a copy
      copy: {{content: "copied\\n", dest: "{work}/copied", mode: "0600"}}
    - name: a template
      template: {{src: "{work}/page.j2", dest: "{work}/page"}}
    - name: a service
      service: {{name: nginx, state: restarted}}
      check_mode: true
      ignore_errors: true
"""
PACKAGE = """\
    - name: a package
      apt: {{name: bash, state: present}}
      check_mode: true
"""


async def test_with_pipelining(house: House, approver: Approver, tmp_path: Path) -> None:
    (tmp_path / "page.j2").write_text("page of {{ inventory_hostname }}\n")
    tasks = (TASKS + (PACKAGE if APT else "")).format(work=tmp_path)
    settings = {"ANSIBLE_PIPELINING": "1", "ANSIBLE_SSH_TRANSFER_METHOD": "piped"}
    done = await play(house, tmp_path, tasks, **settings)
    assert done.status == 0, done.stdout.decode() + done.stderr
    assert (tmp_path / "copied").read_text() == "copied\n"
    assert (tmp_path / "page").read_text() == "page of web-1\n"
    said = approver.said()
    assert "Ansible's module ansible.modules.command; ansible-core " in said
    assert f"_raw_params = echo hello {tmp_path}" in said
    assert "its command: only reads" in said
    assert f"dest = {tmp_path}/copied" in said
    assert ", in check mode" in said
    assert "name = nginx" in said
    if APT:
        assert "Ansible's module ansible.modules.apt, in check mode" in said
    effects = [tuple(effect) for info in approver.seen.values() for effect in info.effects]
    assert ("writes", f"{tmp_path}/copied") in effects
    modules = [info for info in approver.seen.values() if info.stdin_code.startswith(b"#!")]
    assert {(info.tier, info.stdin) for info in modules} == {("high", "bundled")}


@pytest.mark.parametrize("method", ["sftp", pytest.param("scp", marks=pytest.mark.slow)])
async def test_without_pipelining(house: House, approver: Approver, tmp_path: Path, method: str) -> None:
    tasks = TASKS.split("    - name: a template", maxsplit=1)[0].format(work=tmp_path)
    settings = {"ANSIBLE_PIPELINING": "0", "ANSIBLE_SSH_TRANSFER_METHOD": method, "ANSIBLE_SCP_EXTRA_ARGS": "-O"}
    done = await play(house, tmp_path, tasks, **settings)
    assert done.status == 0, done.stdout.decode() + done.stderr
    assert (tmp_path / "copied").read_text() == "copied\n"


async def test_a_denied_task_does_nothing(house: House, ana: Client, tmp_path: Path) -> None:
    denier = Approver(ana)
    task = asyncio.create_task(denier.run(Choice.DENY))
    tasks = f"    - copy: {{content: x, dest: {tmp_path}/copied}}\n    - command: touch {tmp_path}/canary\n"
    settings = {"ANSIBLE_PIPELINING": "1", "ANSIBLE_SSH_TRANSFER_METHOD": "piped"}
    done = await play(house, tmp_path, tasks, **settings)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert done.status != 0
    assert not (tmp_path / "copied").exists()
    assert not (tmp_path / "canary").exists()
