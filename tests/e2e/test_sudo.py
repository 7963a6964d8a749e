"""A real sudo that asks a real password of a throwaway account, through the governed shell. The account is in Debian's
group sudo, so nothing of sudo's own configuration is touched; account and password go with the test."""

from __future__ import annotations

import asyncio
import base64
import grp
import json
import os
import secrets
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio

from bastion.admin import administering
from bastion.control import wire
from bastion.model import Choice
from tests.bypass.adapters.ours import Ours
from tests.support.client import Client
from tests.support.house import ROOT
from tests.support.shell import shell
from tests.support.sshd import Sshd

pytestmark = [pytest.mark.e2e, pytest.mark.root, pytest.mark.asyncio(loop_scope="module")]

PASSWORD = secrets.token_hex(12)


class ForAccount(Ours):
    """The target `plain` lets an agent in as one account only."""

    def __init__(self, account: str, sshd: Sshd) -> None:
        super().__init__()
        with administering(self.house.config, "local:0") as admin:
            credential = f"key:{sshd.credential}"
            admin.add_target("plain", f"127.0.0.1:{sshd.port}", [account], "test", [sshd.host_key], credential)

    def ssh(self, *words: str | bytes, options: tuple[str, ...] = ()) -> list[str | bytes]:
        return [*self.house.ssh_command("plain", options=options), *words]


@pytest.fixture(scope="module")
def account() -> Iterator[str]:
    if os.geteuid() != 0:
        pytest.skip("needs root, to make an account")
    if shutil.which("sudo") is None:
        pytest.fail("sudo is missing: `./dev test` installs it")
    assert grp.getgrnam("sudo")
    name = f"bastion-sudo-{os.getpid()}"
    subprocess.run(["useradd", "--system", "--no-create-home", "--shell", "/bin/sh", "-G", "sudo", name], check=True)
    try:
        subprocess.run(["chpasswd"], input=f"{name}:{PASSWORD}\n", text=True, check=True)
        yield name
    finally:
        subprocess.run(["userdel", "--force", name], check=True, capture_output=True)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def ours(account: str, sshd: Sshd) -> AsyncIterator[Ours]:
    async with ForAccount(account, sshd) as made:
        yield made


def holding(directory: Path, text: bytes) -> list[str]:
    """Files below it that hold the text."""
    files = [path for path in directory.rglob("*") if path.is_file() and not path.is_symlink()]
    return [str(path.relative_to(directory)) for path in files if text in path.read_bytes()]


def bastion(ours: Ours, *words: str) -> str:
    """What the command says, on the bastion's host."""
    command = [sys.executable, "-m", "bastion", "--config", str(ours.house.config.path), *words]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


async def test_a_password_is_an_item_and_is_kept_nowhere(ours: Ours, tmp_path: Path) -> None:
    marker = secrets.token_hex(12)
    command = f"sudo -k sh -c 'echo {marker}-$(id -u)'"
    async with shell(ours) as sh:
        await sh.line(command, "assword[^\r\n]*: ")
        sh.type(PASSWORD + "\r")
        item = f"password of {len(PASSWORD)} characters for sudo"
        info = await ours.house.held(ours.ana, item.encode())
        assert (info.kind, info.stdin, info.stdin_code) == ("stdin", "secret", b"")
        assert PASSWORD not in repr(info)
        await sh.approve(item)
        await sh.sees(f"{marker}-0\r\n")
        await sh.prompted()
        listed = await ours.ana.call(wire.ListRequests, list[wire.RequestInfo])
        assert PASSWORD not in repr(listed)
        assert PASSWORD.encode() not in sh.client.output
        await sh.line("exit 0")
        assert await sh.client.ends() == 0
    assert holding(ours.house.work, PASSWORD.encode()) == []
    # recordings and payloads are not stored as plain text: search what they hold, where the command is found
    cast = await asyncio.to_thread(bastion, ours, "session", "export", info.session, "--format", "cast")
    assert f"{marker}-0" in cast
    assert PASSWORD not in cast
    opened = tmp_path / "opened"
    await asyncio.to_thread(bastion, ours, "ledger", "export", str(opened), "--content")
    lines = (opened / "payloads.jsonl").read_text().splitlines()
    payloads = b"\n".join(base64.b64decode(json.loads(line)["data"]) for line in lines)
    assert base64.b64encode(command.encode()) in payloads  # in JSON a command is so
    for form in (PASSWORD, f"{PASSWORD}\n", f"{PASSWORD}\r"):
        assert form.encode() not in payloads
        assert base64.b64encode(form.encode()).rstrip(b"=") not in payloads
    assert any(name.startswith("casts/") for name in holding(opened, marker.encode()))
    assert holding(opened, PASSWORD.encode()) == []


async def test_a_denied_password_never_reaches_sudo(ours: Ours) -> None:
    async with shell(ours) as sh:
        await sh.line("sudo -k id -u", "assword[^\r\n]*: ")
        sh.type(PASSWORD + "\r")
        info = await ours.house.held(ours.ana, f"password of {len(PASSWORD)} characters for sudo".encode())
        await ours.ana.vote(info, Choice.DENY, "not with this account")
        await sh.sees("not with this account")
        sh.type("\x03")
        await sh.prompted()
        assert b"\r\n0\r\n" not in sh.client.output


async def test_a_password_for_a_command_with_a_terminal(ours: Ours, tmp_path: Path) -> None:
    """`ssh -t TARGET@bastion 'sudo …'`: recognised by the observer, which finds the terminal by itself."""
    marker = secrets.token_hex(12)
    command = f"sudo -k sh -c 'echo {marker}-$(id -u)'"
    client = await Client.start(ours.ssh(command, options=("-tt",)), terminal=True)
    try:
        await ours.ana.vote(await ours.house.held(ours.ana, command.encode()), Choice.APPROVE, "")
        await client.sees(rb"assword[^\r\n]*: ")
        client.send(PASSWORD.encode() + b"\r")
        info = await ours.house.held(ours.ana, f"password of {len(PASSWORD)} characters for sudo".encode())
        assert (info.kind, info.stdin) == ("stdin", "secret")
        await ours.ana.vote(info, Choice.APPROVE, "")
        await client.sees(marker.encode() + rb"-0\r\n")
        assert await client.ends() == 0
        assert PASSWORD.encode() not in client.output
    finally:
        await client.close()
    assert holding(ours.house.work, PASSWORD.encode()) == []
    opened = tmp_path / "opened"
    await asyncio.to_thread(bastion, ours, "ledger", "export", str(opened), "--content")
    assert holding(opened, PASSWORD.encode()) == []
    lines = (opened / "payloads.jsonl").read_text().splitlines()
    assert not any(PASSWORD.encode() in base64.b64decode(json.loads(line)["data"]) for line in lines)


async def test_a_password_that_nobody_asks_for_any_more_goes_to_nobody_else(ours: Ours, account: str) -> None:
    """sudo gives up while the password is held: then a shell reads, and would run what nobody saw."""
    canary = Path(f"/tmp/{account}-unseen")
    typed = f"touch {canary}"
    async with shell(ours) as sh:
        await sh.line("timeout --foreground 2 sudo -k true; echo o''ver; sh", "assword[^\r\n]*: ")
        sh.type(typed + "\r")
        info = await ours.house.held(ours.ana, f"password of {len(typed)} characters for sudo".encode())
        await sh.sees(r"over\r\n")
        await ours.ana.vote(info, Choice.APPROVE, "")
        await sh.sees("does not ask for a password any more")
        sh.type("echo e''nd\r")
        await ours.ana.vote(await ours.house.held(ours.ana, b"echo e''nd\n"), Choice.APPROVE, "")
        await sh.sees(r"end\r\n")
        assert not canary.exists()


async def test_a_shell_behind_sudo_is_governed(ours: Ours, account: str) -> None:
    """With sudo's use_pty it has a terminal of its own."""
    async with shell(ours) as sh:
        await sh.line("sudo -k; echo for''got", r"forgot\r\n")
        await sh.prompted()
        await sh.line("sudo -i", "assword[^\r\n]*: ")
        sh.type(PASSWORD + "\r")
        await sh.approve(f"password of {len(PASSWORD)} characters for sudo")
        await sh.sees(r">root@[^\r\n>]*:/root\$ ")
        sh.type("id -un\r")
        info = await ours.house.held(ours.ana, b"id -un")
        told = dict(info.context)
        assert told["inside"] == "sudo -i"
        assert told["there"].startswith("root@")
        await sh.approve("id -un")
        await sh.sees("root\r\n")
        await sh.line("cd /usr/lib; x=inner; (exit 7)")
        await sh.line('echo "<$?-$x-$PWD>"', "<7-inner-/usr/lib>\r\n")
        await sh.line("sh -c 'echo g''o; exec sleep 30'", "go\r\n")
        sh.type("\x03")
        await sh.line("echo st''atus $?", "status 130\r\n")
        await sh.line("cat", "approved")  # a line that is left over is nobody's command
        sh.type(f"touch /tmp/{account}-X\r")
        await ours.ana.vote(
            await ours.house.held(ours.ana, f"touch /tmp/{account}-X\n".encode()), Choice.DENY, "not this"
        )
        await sh.sees("not this")
        sh.type("\x04")
        await sh.sees(r">root@[^\r\n]*\$ ")
        await sh.line("exit 3")
        await sh.line("echo $?-$(id -un)", f"3-{account}\r\n")
        assert PASSWORD.encode() not in sh.client.output
        assert not Path(f"/tmp/{account}-X").exists()


async def test_interrupted_at_its_password_sudo_opens_no_shell(ours: Ours, account: str) -> None:
    async with shell(ours) as sh:
        await sh.line("sudo -k; echo for''got", r"forgot\r\n")
        await sh.prompted()
        await sh.line("sudo -s", "assword[^\r\n]*: ")
        sh.type("\x03")
        await sh.prompted()
        await sh.line("echo $(id -un)", f"\n{account}\r\n")
        await sh.prompted()
        await sh.line("sudo -i")
        for _ in range(3):
            await sh.sees("assword[^\r\n]*: ")
            sh.type("wrong\r")
            await sh.approve("password of 5 characters for sudo")
        await sh.sees("incorrect password")
        await sh.line("echo $?-$(id -un)", f"1-{account}\r\n")
