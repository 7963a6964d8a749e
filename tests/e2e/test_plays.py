"""One approval of modules by name settles a whole play of the real ansible-playbook, and no more. Promises P2, P7."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from bastion.control import wire
from bastion.control.client import Client
from bastion.model import Choice
from tests.e2e.test_ansible import PYTHON, Approver, play
from tests.support.house import ROOT, House
from tests.support.sshd import LOGIN, Sshd

pytestmark = pytest.mark.e2e

FIVE = """\
    - name: one
      copy: {{content: "one\\n", dest: "{work}/srv/one", mode: "0600"}}
    - name: two
      template: {{src: "{work}/page.j2", dest: "{work}/srv/two"}}
    - name: three
      lineinfile: {{path: "{work}/srv/one", line: three}}
    - name: four
      file: {{path: "{work}/srv/four", state: directory}}
    - name: five
      stat: {{path: "{work}/srv/two"}}
"""
SHELL = """\
    - name: six
      shell: touch {work}/canary
"""
TASKS = "copy, template, lineinfile, file, stat"
PIPELINED = {"ANSIBLE_PIPELINING": "1", "ANSIBLE_SSH_TRANSFER_METHOD": "piped"}
UPLOADED = {"ANSIBLE_PIPELINING": "0", "ANSIBLE_SSH_TRANSFER_METHOD": "sftp"}


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory, sshd: Sshd) -> Iterator[House]:
    made = House(tmp_path_factory.mktemp("house"))
    made.add_target("web-1", sshd, env="test")
    made.start()
    yield made
    made.stop()


@pytest.fixture
def work(tmp_path: Path) -> Path:
    (tmp_path / "srv").mkdir()
    (tmp_path / "page.j2").write_text("page of {{ inventory_hostname }}\n")
    return tmp_path


class Denier(Approver):
    """Denies whatever is held, and remembers it."""

    async def run(self, choice: Choice = Choice.DENY) -> None:
        await super().run(choice)


@pytest.fixture
async def denier(ana: Client) -> AsyncIterator[Denier]:
    made = Denier(ana)
    task = asyncio.create_task(made.run())
    yield made
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def let_through(house: House, ana: Client, text: str, as_: str = "") -> wire.WhitelistInfo:
    proposal = await ana.propose(
        command=f"/bin/sh -c '{PYTHON} && sleep 0'".encode(), identity="agent-7", login=LOGIN, target="web-1"
    )
    return await ana.remember(proposal, pattern=f"ansible module {text} with {PYTHON}{f' as {as_}' if as_ else ''}")


@pytest.mark.parametrize("settings", [PIPELINED, UPLOADED], ids=["pipelined", "uploaded"])
async def test_a_play_of_five_tasks(
    house: House, ana: Client, denier: Denier, work: Path, settings: dict[str, str]
) -> None:
    entry = await let_through(house, ana, f"{TASKS} below {work}/srv")
    done = await play(house, work, FIVE.format(work=work) + SHELL.format(work=work), **settings)
    assert done.status == 2, done.stdout.decode() + done.stderr
    assert b"ok=5 " in done.stdout
    assert (work / "srv/one").read_text() == "one\nthree\n"
    assert (work / "srv/two").read_text() == "page of web-1\n"
    assert (work / "srv/four").is_dir()
    assert not list((work / "remote").iterdir())
    assert not (work / "canary").exists()
    (held,) = denier.seen.values()
    assert f"_raw_params = touch {work}/canary" in held.reasons
    assert "the code is ansible-core" in held.reasons[0]
    await ana.call(wire.RemoveWhitelist, wire.WhitelistInfo, entry=entry.id)
    denier.seen.clear()
    again = f"    - copy: {{content: again, dest: {work}/srv/one}}\n"
    assert (await play(house, work, again, **settings)).status != 0
    assert denier.seen


async def test_what_is_not_below_or_is_run_by_others_is_held(
    house: House, ana: Client, denier: Denier, work: Path
) -> None:
    entry = await let_through(house, ana, f"copy below {work}/srv")
    for destination in (f"{work}/elsewhere", f"{work}/srv/.bashrc", f"{work}/srv/json.py"):
        denier.seen.clear()
        tasks = f"    - copy: {{content: x, dest: {destination}}}\n"
        assert (await play(house, work, tasks, **PIPELINED)).status != 0
        assert [f"dest = {destination}" in info.reasons for info in denier.seen.values()] == [True]
        assert not Path(destination).exists()
    tasks = f"    - copy: {{content: x, dest: {work}/srv/x, validate: 'touch {work}/canary %s'}}\n"
    assert (await play(house, work, tasks, **PIPELINED)).status != 0
    assert not (work / "canary").exists()
    await ana.call(wire.RemoveWhitelist, wire.WhitelistInfo, entry=entry.id)


async def test_become_is_for_that_account_only(house: House, ana: Client, denier: Denier, work: Path) -> None:
    """Ansible's own sudo, as the account that logs in: nobody else is there on every machine."""
    become = {**UPLOADED, "ANSIBLE_BECOME": "1", "ANSIBLE_BECOME_USER": LOGIN, "ANSIBLE_BECOME_ALLOW_SAME_USER": "1"}
    entry = await let_through(house, ana, "ping")
    assert (await play(house, work, "    - ping:\n", **become)).status != 0
    (held,) = denier.seen.values()
    assert b"sudo -H -S -n" in held.command
    denier.seen.clear()
    also = await let_through(house, ana, "ping", as_=LOGIN)
    done = await play(house, work, "    - ping:\n", **become)
    assert (done.status, denier.seen) == (0, {}), done.stdout.decode() + done.stderr
    for each in (entry, also):
        await ana.call(wire.RemoveWhitelist, wire.WhitelistInfo, entry=each.id)


def cli(house: House, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "bastion", "--config", str(house.config.path), *words]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


async def test_from_the_command_line(house: House, work: Path, denier: Denier, ana: Client) -> None:
    where = ("--bastion", f"127.0.0.1:{house.port}", "--key", str(house.work / "ana"), "--host-key", house.host_key)
    who = ("--identity", "agent-7", "--target", "web-1", "--login", LOGIN, "--python", PYTHON)
    done = await asyncio.to_thread(cli, house, "whitelist", "add", "--ansible", "ping", "--for", "2h", *who, *where)
    assert done.returncode == 0, done.stderr
    assert "every play whose tasks are ping, unchanged code of ansible-core, as the login" in done.stderr
    assert f"ansible module ping with {PYTHON}" in done.stdout
    ran = await play(house, work, "    - ping:\n", **PIPELINED)
    assert (ran.status, denier.seen) == (0, {}), ran.stdout.decode() + ran.stderr
    for tasks, why in (
        ("shell", "not let through by name"),
        ("copy", "name where"),
        ("ping below /srv", "others do not"),
    ):
        refused = await asyncio.to_thread(cli, house, "whitelist", "add", "--ansible", tasks, *who, *where)
        assert refused.returncode == 2
        assert why in refused.stderr
    late = ("whitelist", "add", "--ansible", "stat", "--for", "9h", *who, *where)
    refused = await asyncio.to_thread(cli, house, *late)
    assert "8 hours at most" in refused.stderr
