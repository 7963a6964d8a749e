"""`target check`, against real sshds: whether a governed shell can be had, and why not."""

from __future__ import annotations

from pathlib import Path

import asyncssh
import pytest

from bastion.ssh.probing import _shell
from tests.support.governed import connect, plain_home

pytestmark = pytest.mark.e2e


@pytest.mark.parametrize(
    ("settings", "ok", "detail"),
    [
        ("", True, "bash, in /"),
        ("MaxSessions 1", False, "MaxSessions 3"),
        ("MaxSessions 2", False, "cannot be looked at"),
        ("ForceCommand /usr/sbin/nologin", False, "not available"),
        ("PermitTTY no", False, ""),
    ],
)
async def test_a_shell_or_why_not(tmp_path: Path, settings: str, ok: bool, detail: str) -> None:
    target = plain_home(tmp_path, settings)
    target.start()
    try:
        connection: asyncssh.SSHClientConnection = await connect(target)
        found = await _shell(connection, "deploy")
        connection.abort()
        await connection.wait_closed()
    finally:
        target.stop()
    assert (found.name, found.ok) == ("governed shell as deploy", ok), found
    assert detail in found.detail
    assert found.detail
