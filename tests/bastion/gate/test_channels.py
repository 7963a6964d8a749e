"""Variables that are taken from a client."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from bastion.gate.channels import admits


@pytest.mark.parametrize(
    "value", ["", "C", "POSIX", "C.UTF-8", "C.utf8", "en_US.UTF-8", "de_AT.utf8", "sr_RS.UTF-8@latin", "fil_PH.UTF-8"]
)
def test_locales_of_utf_8_are_taken(value: str) -> None:
    assert admits(b"LC_ALL", value.encode())


@pytest.mark.parametrize(
    "value",
    ["zh_CN.GBK", "zh_TW", "zh_TW.Big5", "ja_JP.SJIS", "en_US", "en_US.UTF-8\n", "UTF-8.GBK", "/tmp/C.UTF-8", "C.GBK"],
)
def test_others_are_not(value: str) -> None:
    assert not admits(b"LC_ALL", value.encode())
    assert not admits(b"LANG", value.encode())


def test_why_not(tmp_path: Path) -> None:
    """In GBK the last byte of this character and the backslash are one, and the semicolon begins a command."""
    if shutil.which("localedef") is None or shutil.which("bash") is None:
        pytest.skip("needs localedef and bash")
    made = subprocess.run(
        ["localedef", "-i", "zh_CN", "-f", "GBK", str(tmp_path / "zh_CN.GBK")], capture_output=True, check=False
    )
    if made.returncode:
        pytest.skip("this machine has no source of that locale")
    path = {"PATH": os.environ["PATH"], "LOCPATH": str(tmp_path)}
    said = {
        locale: subprocess.run(
            ["bash", "-c", "echo 中\\; echo second #"], env={**path, "LC_ALL": locale}, capture_output=True, check=True
        ).stdout.splitlines()
        for locale in ("zh_CN.GBK", "C", "C.UTF-8")
    }
    assert len(said["zh_CN.GBK"]) == 2
    assert len(said["C"]) == len(said["C.UTF-8"]) == 1
