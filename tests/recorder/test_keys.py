from __future__ import annotations

import os
import stat
import subprocess
from pathlib import Path

import asyncssh
import pytest

from recorder import keys
from recorder.errors import KeyFileError
from recorder.keys import LedgerKey


def test_made_for_its_owner_only_whatever_the_umask(tmp_path: Path) -> None:
    old = os.umask(0)
    try:
        made = LedgerKey.create(tmp_path / "key")
    finally:
        os.umask(old)
    assert stat.S_IMODE((tmp_path / "key").stat().st_mode) == 0o600
    assert LedgerKey.load(tmp_path / "key").public == made.public
    public = subprocess.run(
        ["ssh-keygen", "-y", "-f", str(tmp_path / "key")], capture_output=True, text=True, check=True
    )
    assert public.stdout.split()[:2] == made.line.split()
    assert keys.public_bytes(public.stdout) == made.public
    assert "PRIVATE" not in repr(made)
    assert made.line in repr(made)


def test_never_overwritten(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("mine")
    with pytest.raises(KeyFileError, match="exists"):
        LedgerKey.create(tmp_path / "key")
    (tmp_path / "link").symlink_to(tmp_path / "absent")
    with pytest.raises(KeyFileError):
        LedgerKey.create(tmp_path / "link")
    with pytest.raises(KeyFileError):
        LedgerKey.create(tmp_path / "absent" / "key")
    assert (tmp_path / "key").read_text() == "mine"


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o601])
def test_a_looser_mode_is_refused(tmp_path: Path, mode: int) -> None:
    LedgerKey.create(tmp_path / "key")
    (tmp_path / "key").chmod(mode)
    with pytest.raises(KeyFileError, match="others") as caught:
        LedgerKey.load(tmp_path / "key")
    assert "chmod 600" in caught.value.hint


def test_other_files_are_no_keys(tmp_path: Path) -> None:
    for number, data in enumerate(
        [
            b"",
            b"nonsense",
            asyncssh.generate_private_key("ecdsa-sha2-nistp256").export_private_key(),
        ]
    ):
        path = tmp_path / str(number)
        path.write_bytes(data)
        path.chmod(0o600)
        with pytest.raises(KeyFileError):
            LedgerKey.load(path)
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "secret", "-f", str(tmp_path / "locked")], check=True)
    with pytest.raises(KeyFileError, match="passphrase"):
        LedgerKey.load(tmp_path / "locked")
    with pytest.raises(KeyFileError):
        LedgerKey.load(tmp_path)
    with pytest.raises(KeyFileError):
        LedgerKey.load(tmp_path / "absent")


@pytest.mark.parametrize("line", ["", "ssh-ed25519", "ssh-ed25519 AAAA", "ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAAAAQM="])
def test_public_lines(line: str) -> None:
    with pytest.raises(KeyFileError):
        keys.public_bytes(line)
