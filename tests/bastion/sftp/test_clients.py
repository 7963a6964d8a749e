from __future__ import annotations

import pytest

from bastion.sftp.clients import LIMITS, REALPATH, Client, recognise

SSH = "SSH-2.0-OpenSSH_9.2p1"


@pytest.mark.parametrize(
    ("version", "asked", "client"),
    [
        (SSH, (), Client.UNKNOWN),
        (SSH, (LIMITS,), Client.UNKNOWN),
        (SSH, (LIMITS, REALPATH), Client.WAITING),  # sftp
        (SSH, (LIMITS, "other"), Client.COLLECTED),  # scp
        (SSH, (REALPATH, "other"), Client.WAITING),  # sftp before 8.5
        (SSH, ("other", "other"), Client.READING),  # sshfs
        (SSH, ("other",), Client.READING),
        ("SSH-2.0-paramiko_3.5", ("other", "other"), Client.WAITING),
        ("SSH-2.0-AsyncSSH_2.24.1", (LIMITS, "other"), Client.WAITING),
        ("", ("other",), Client.WAITING),
    ],
)
def test_who_is_there(version: str, asked: tuple[str, ...], client: Client) -> None:
    assert recognise(version, asked) is client
