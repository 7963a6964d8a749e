"""Private keys as systemd hands them to the service: in another directory, readable by an ACL. Promise P5."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from bastion.admin import administering
from tests.e2e.test_certificates import trusting
from tests.support.house import ROOT, House
from tests.support.sshd import LOGIN

pytestmark = pytest.mark.e2e

NAMES = ("host_key", "host_authority", "upstream_ca")


def cli(house: House, *words: str) -> subprocess.CompletedProcess[str]:
    """As the administrator, who has no credentials of the service."""
    command = [sys.executable, "-m", "bastion", "--config", str(house.config.path), *words]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


async def test_the_daemon_takes_its_keys_from_there(tmp_path: Path) -> None:
    house = House(tmp_path / "house")
    sshd = trusting(tmp_path / "sshd", house)
    with administering(house.config, "local:0") as admin:
        admin.add_target("web-1", f"127.0.0.1:{sshd.port}", [LOGIN], "test", [sshd.host_key], "ca")
    before = {verb: cli(house, verb).stdout for verb in ("user-ca", "host-ca")}
    handed = tmp_path / "credentials"
    handed.mkdir()
    for name in NAMES:
        shutil.move(house.config.state / name, handed / name)
        (handed / name).chmod(0o440)  # the mask of an ACL shows like this
    try:
        house.start(env={"CREDENTIALS_DIRECTORY": str(handed)})
        ana = await house.remote("ana")  # knows the host key
        await house.whitelist(ana, b"id -u")
        outcome = await house.run("web-1", "id -u")
        assert outcome.stdout == f"{os.getuid()}\n".encode(), outcome.stderr
        await ana.close()
        assert {verb: cli(house, verb).stdout for verb in before} == before
    finally:
        house.stop()
        sshd.stop()
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
