"""Private keys as systemd hands them to the service: in another directory, readable by an ACL. Promise P5."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from bastion.admin import administering
from bastion.cli.target import check_credential
from bastion.control import wire
from bastion.errors import BastionError, Unreachable, UsageError
from bastion.model import Target
from bastion.ssh.dialling import read_credential
from tests.e2e.test_certificates import trusting
from tests.support.house import ROOT, House
from tests.support.sshd import LOGIN, Sshd

pytestmark = pytest.mark.e2e

NAMES = ("host_key", "host_authority", "upstream_ca", "ledger_key")


def cli(house: House, *words: str) -> subprocess.CompletedProcess[str]:
    """As the administrator, who has no credentials of the service."""
    command = [sys.executable, "-m", "bastion", "--config", str(house.config.path), *words]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


async def test_the_daemon_takes_its_keys_from_there(tmp_path: Path) -> None:
    house = House(tmp_path / "house")
    sshd = trusting(tmp_path / "sshd", house)
    with administering(house.config, "local:0") as admin:
        admin.add_target("web-1", f"127.0.0.1:{sshd.port}", [LOGIN], "test", [sshd.host_key], "ca")
    plain = Sshd(tmp_path / "plain")
    plain.start()
    with administering(house.config, "local:0") as admin:
        credential = check_credential("credential:web-2")
        admin.add_target("web-2", f"127.0.0.1:{plain.port}", [LOGIN], "test", [plain.host_key], credential)
    before = {verb: cli(house, verb).stdout for verb in ("user-ca", "host-ca")}
    handed = tmp_path / "credentials"
    handed.mkdir()
    for name in NAMES:
        shutil.move(house.config.state / name, handed / name)
    shutil.move(plain.credential, handed / "web-2")
    for key in handed.iterdir():
        key.chmod(0o440)  # the mask of an ACL shows like this
    try:
        house.start(env={"CREDENTIALS_DIRECTORY": str(handed)})
        ana = await house.remote("ana")  # knows the host key
        await house.whitelist(ana, b"id -u")
        outcome = await house.run("web-1", "id -u")
        assert outcome.stdout == f"{os.getuid()}\n".encode(), outcome.stderr
        await house.whitelist(ana, b"id -u", target="web-2")
        outcome = await house.run("web-2", "id -u")
        assert outcome.stdout == f"{os.getuid()}\n".encode(), outcome.stderr
        await ana.close()
        local = await house.local()
        with pytest.raises(BastionError, match="credential of the systemd service"):
            await local.call(wire.RotateKey, str)
        await local.close()
        assert {verb: cli(house, verb).stdout for verb in before} == before
    finally:
        house.stop()
        sshd.stop()
        plain.stop()
    assert not any((house.config.state / name).exists() for name in NAMES)


def test_without_them_it_does_not_start_and_makes_no_other_keys(tmp_path: Path) -> None:
    house = House(tmp_path / "house")
    handed = tmp_path / "credentials"
    handed.mkdir()
    shutil.move(house.config.upstream_ca, handed / "upstream_ca")
    done = cli(house, "serve")
    assert done.returncode == 2
    assert "its public half is there" in done.stderr
    assert not house.config.upstream_ca.exists()


def test_one_that_anybody_can_read_is_refused(tmp_path: Path) -> None:
    house = House(tmp_path / "house")
    handed = tmp_path / "credentials"
    handed.mkdir()
    shutil.move(house.config.host_key, handed / "host_key")
    (handed / "host_key").chmod(0o444)
    command = [sys.executable, "-m", "bastion", "--config", str(house.config.path), "serve"]
    env = {**os.environ, "CREDENTIALS_DIRECTORY": str(handed)}
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=False)
    assert (done.returncode, "readable by others" in done.stderr) == (2, True)


def test_a_key_of_the_bastion_s_own_is_no_target_s(tmp_path: Path) -> None:
    for name in (*NAMES, "", "../x", "a/b", "-x"):
        with pytest.raises(UsageError):
            check_credential(f"credential:{name}")


def test_a_target_s_key_outside_the_service(tmp_path: Path) -> None:
    target = Target("web-1", "192.0.2.1", 22, ("root",), "test", (), "credential:web-1")
    with pytest.raises(Unreachable, match="systemd hands to the service"):
        read_credential(target)
