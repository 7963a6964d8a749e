"""Uploads over SFTP, with the real scp and sftp against a real sshd. Promises P1, P2, P4, P7."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from bastion.control.client import Client
from bastion.model import Choice
from tests.support.house import House
from tests.support.sftp import READS_FLOW, far, scp, sftp
from tests.support.sshd import Sshd

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory, sshd: Sshd) -> Iterator[House]:
    made = House(tmp_path_factory.mktemp("house"), READS_FLOW)
    made.add_target("web-1", sshd)
    made.start()
    yield made
    made.stop()


@pytest.fixture
def there(tmp_path: Path) -> Path:
    """A directory of the target."""
    made = tmp_path / "target"
    made.mkdir()
    return made


@pytest.fixture(autouse=True)
def nothing_is_left(house: House, there: Path) -> Iterator[None]:
    """Whatever a test did: no staged byte, no file of the bastion's own on the target."""
    yield
    staged = house.config.staging
    assert [path for path in staged.rglob("*") if path.is_file()] == []
    assert [path.name for path in there.rglob(".bastion-*")] == []


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def listing(directory: Path) -> dict[str, bytes | None]:
    """Every file with its content, every directory."""
    return {
        str(path.relative_to(directory)): path.read_bytes() if path.is_file() else None
        for path in sorted(directory.rglob("*"))
    }


async def test_scp_up_is_held_with_its_diff_and_applied(house: House, ana: Client, tmp_path: Path, there: Path) -> None:
    (there / "app.conf").write_text("listen 80\nworkers 4\n")
    (there / "app.conf").chmod(0o640)
    (tmp_path / "app.conf").write_text("listen 8080\nworkers 4\n")
    process = await scp(house, tmp_path / "app.conf", far(there))
    held = await house.held(ana)
    assert (held.kind, held.tier) == ("transfer", "medium")
    assert listing(there) == {"app.conf": b"listen 80\nworkers 4\n"}
    text = held.command.decode()
    assert f"1 write {there}/app.conf\n" in text
    assert f"with 22 bytes, sha256 {sha256((tmp_path / 'app.conf').read_bytes())}" in text
    assert "    | -listen 80\n    | +listen 8080\n" in text
    await ana.vote(held, Choice.APPROVE, "fine")
    done = await house.finish(process)
    assert done.status == 0, done.stderr
    assert "bastion: held" in done.stderr
    assert (there / "app.conf").read_text() == "listen 8080\nworkers 4\n"
    assert (there / "app.conf").stat().st_mode & 0o7777 == 0o640


async def test_scp_denied_leaves_nothing_and_says_why(house: House, ana: Client, tmp_path: Path, there: Path) -> None:
    (tmp_path / "new").write_text("x")
    process = await scp(house, tmp_path / "new", far(there))
    await house.decide(ana, Choice.DENY, "not today")
    done = await house.finish(process)
    assert done.status != 0
    assert "not today" in done.stderr
    assert listing(there) == {}


async def test_sftp_denied_fails_at_once(house: House, ana: Client, tmp_path: Path, there: Path) -> None:
    (tmp_path / "new").write_text("x")
    process = await sftp(house, f"put {tmp_path}/new {there}/new")
    await house.decide(ana, Choice.DENY, "not today")
    done = await house.finish(process)
    assert done.status != 0
    assert "not today" in done.stderr
    assert listing(there) == {}
