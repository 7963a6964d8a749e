"""The D rows: what a certificate of the mint is worth to who stole it, at a real sshd that trusts its authority."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncssh
import pytest

from bastion.mint import COMMAND_LIMIT, VALID_SECONDS, Mint, sources
from tests.support.sshd import LOGIN, Sshd

pytestmark = pytest.mark.e2e

REFUSED = (asyncssh.Error, asyncssh.ChannelListenError, OSError, EOFError)


@dataclass(frozen=True, slots=True)
class Trusting:
    """A target that lets in whoever the authority certified, and nobody else."""

    sshd: Sshd
    authority: asyncssh.SSHKey

    def stolen(self, command: str, *, login: str = LOGIN, at: float = 0, source: str = "") -> Any:
        """(key, certificate) as one command gets them; `at` seconds from now."""
        key = asyncssh.generate_private_key("ssh-ed25519")
        mint = Mint(self.authority, None, None, "test")  # type: ignore[arg-type]  # signs without looking into a ledger
        mint._from = sources(source, "") if source else ()
        public = asyncssh.import_public_key(key.export_public_key())
        return key, asyncssh.import_certificate(mint._sign(public, command, login, "x", time.time() + at))

    def connect(self, pair: Any, *, local: str | None = None) -> Any:
        """With the stolen pair; `local`: from this address."""
        known = asyncssh.import_known_hosts(f"[127.0.0.1]:{self.sshd.port} {self.sshd.host_key}")
        return asyncssh.connect(
            "127.0.0.1",
            self.sshd.port,
            username=LOGIN,
            client_keys=[pair],
            known_hosts=known,
            config=None,
            agent_path=None,
            local_addr=(local, 0) if local else None,
        )


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trusting]:
    work = tmp_path_factory.mktemp("target")
    authority = asyncssh.generate_private_key("ssh-ed25519")
    # sshd wants each directory above the file to be nobody else's to write
    keys = (Path("/run/sshd") if os.geteuid() == 0 else work) / f"bastion-test-{os.getpid()}"
    keys.parent.mkdir(exist_ok=True)
    keys.write_bytes(authority.export_public_key())
    sshd = Sshd(work / "sshd", extra=f"TrustedUserCAKeys {keys}")
    sshd.start()
    yield Trusting(sshd, authority)
    sshd.stop()
    keys.unlink()


async def test_d01_it_runs_its_command_and_no_other(target: Trusting, tmp_path: Path) -> None:
    async with target.connect(target.stolen("echo approved: $SSH_ORIGINAL_COMMAND")) as connection:
        for asked in (f"touch {tmp_path}/canary", "'; touch x #", "x" * 1000):
            result = await connection.run(asked)
            assert result.stdout == f"approved: {asked}\n"
        assert (await connection.run("")).stdout == "approved:\n"
    assert not list(tmp_path.iterdir())


async def test_d03_nor_a_subsystem(target: Trusting, tmp_path: Path) -> None:
    async with target.connect(target.stolen("echo approved")) as connection:
        with pytest.raises(REFUSED):
            async with connection.start_sftp_client() as sftp:
                await sftp.mkdir(str(tmp_path / "canary"))
        assert (await connection.run(subsystem="sftp")).stdout == "approved\n"
    assert not list(tmp_path.iterdir())


async def test_d04_no_terminal(target: Trusting) -> None:
    async with target.connect(target.stolen("tty")) as connection:
        with suppress(*REFUSED):
            result = await connection.run("x", term_type="xterm")
            assert "/dev/" not in str(result.stdout)


async def test_d05_no_forward(target: Trusting, tmp_path: Path) -> None:
    async with target.connect(target.stolen("echo approved")) as connection:
        with pytest.raises(REFUSED):
            await connection.open_connection("127.0.0.1", target.sshd.port)
        with pytest.raises(REFUSED):
            await connection.open_unix_connection(str(tmp_path / "socket"))
        with pytest.raises(REFUSED):
            await connection.forward_remote_port("127.0.0.1", 0, "127.0.0.1", 1)
        with pytest.raises(REFUSED):
            await connection.forward_remote_path(str(tmp_path / "listen"), "127.0.0.1")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("login", "at", "goes"),
    [
        (LOGIN, 0, True),  # the control
        ("somebody-else", 0, False),
        (LOGIN, -2 * VALID_SECONDS, False),
        (LOGIN, 10 * VALID_SECONDS, False),
    ],
    ids=["control", "principal", "over", "not yet"],
)
async def test_d06_only_for_its_login_and_its_time(target: Trusting, login: str, at: float, goes: bool) -> None:
    pair = target.stolen("echo approved", login=login, at=at)
    if goes:
        async with target.connect(pair) as connection:
            assert (await connection.run("x")).stdout == "approved\n"
        return
    with pytest.raises(asyncssh.PermissionDenied):
        await target.connect(pair)


async def test_d06_a_certificate_of_another_authority(target: Trusting) -> None:
    other = Trusting(target.sshd, asyncssh.generate_private_key("ssh-ed25519"))
    with pytest.raises(asyncssh.PermissionDenied):
        await target.connect(other.stolen("echo approved"))


async def test_d07_a_command_too_long_runs_in_no_part(target: Trusting, tmp_path: Path) -> None:
    """At the mint's limit it still runs; what sshd does not take whole is no login."""
    most = "echo " + "x" * (COMMAND_LIMIT - 5)
    async with target.connect(target.stolen(most)) as connection:
        assert len(str((await connection.run("x")).stdout)) == COMMAND_LIMIT - 4
    with pytest.raises(REFUSED):
        async with target.connect(target.stolen(f"touch {tmp_path}/canary; " + "x" * 300_000)) as connection:
            await connection.run("x", check=True)
    assert not list(tmp_path.iterdir())


async def test_d09_it_runs_again_while_it_lasts(target: Trusting) -> None:
    """It is not one-shot: that is why its key is made for one command and dropped."""
    pair = target.stolen("echo approved")
    for _ in range(2):
        async with target.connect(pair) as connection:
            assert (await connection.run("x")).stdout == "approved\n"


def test_d11_it_permits_nothing(target: Trusting, tmp_path: Path) -> None:
    """No rc file, terminal, agent or forward: what a certificate does not name, sshd does not do."""
    path = tmp_path / "key-cert.pub"
    path.write_bytes(target.stolen("echo approved")[1].export_certificate())
    shown = subprocess.run(["ssh-keygen", "-Lf", str(path)], capture_output=True, text=True, check=True).stdout
    assert "Extensions: (none)" in shown
    assert "force-command echo approved" in shown


async def test_it_opens_nothing_from_elsewhere(target: Trusting) -> None:
    """`source-address`: the same certificate, from another address of this machine."""
    for source in ("127.0.0.9", "127.0.0.8/30", "192.0.2.1, 127.0.0.9"):
        pair = target.stolen("echo here", source=source)
        with pytest.raises(asyncssh.PermissionDenied):
            await target.connect(pair)
        async with target.connect(pair, local="127.0.0.9") as connection:
            assert (await connection.run("x")).stdout == "here\n"
