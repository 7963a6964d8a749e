"""The driver of the governed shell, against a real sshd."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from bastion.gate import shell_events as ev
from tests.support.governed import governed
from tests.support.sshd import Sshd

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def sshd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    target = Sshd(tmp_path_factory.mktemp("target"))
    target.start()
    yield target
    target.stop()


async def test_state_is_kept_from_command_to_command(sshd: Sshd, tmp_path: Path) -> None:
    async with governed(sshd) as shell:
        assert await shell.run(f"cd {tmp_path}") == (0, b"")
        assert shell.cwd == str(tmp_path)
        assert await shell.run("false") == (1, b"")
        assert await shell.run("echo $?") == (0, b"1\r\n")
        assert await shell.run("export A=1; f() { echo f$A; }; declare -A m=([k]=v); set -- x y") == (0, b"")
        assert await shell.run("f; echo ${m[k]} $2; bash -c 'echo $A'") == (0, b"f1\r\nv y\r\n1\r\n")
        assert await shell.run("cat <<E\n$((1+1))\nE") == (0, b"2\r\n")
        assert await shell.run("exit 3") == (None, b"logout\r\n")
        assert shell.failed == ev.DriverFailed("the shell on the target ended", 3)
