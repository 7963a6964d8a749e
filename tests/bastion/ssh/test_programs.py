"""Programs that take the terminal over, in the governed shell: their keys come as the gate would let them pass."""

from __future__ import annotations

import shutil
import sqlite3
from pathlib import Path

import pytest

from tests.support.governed import Governed, governed
from tests.support.sshd import Sshd

pytestmark = pytest.mark.e2e


def need(program: str) -> None:
    if shutil.which(program) is None:
        pytest.skip(f"needs {program}")


async def use(shell: Governed, command: str, *steps: tuple[bytes, bytes]) -> int | None:
    """Start it; then, at each text that it shows, type what belongs to it. Returns its status."""
    shell.text.clear()
    nonce = await shell.begin(command)
    for shown, typed in steps:
        await shell.says(shown)
        shell.text.clear()
        shell.driver.send(typed)
    status = await shell.finished(nonce)
    assert (await shell.run("echo on; stty -a | grep -o ' echo '"))[1] == b"on\r\n echo \r\n"
    return status


async def test_less(sshd: Sshd, tmp_path: Path) -> None:
    need("less")
    (tmp_path / "text").write_text("".join(f"line {n}\n" for n in range(1000)))
    async with governed(sshd) as shell:
        assert await use(shell, f"less {tmp_path}/text", (b"line 20", b"G"), (b"line 999", b"q")) == 0


async def test_vim(sshd: Sshd, tmp_path: Path) -> None:
    need("vim")
    async with governed(sshd) as shell:
        steps = ((b"[New", b"ihello"), (b"hello", b"\x1b:wq\r"))
        assert await use(shell, f"vim -N -u NONE {tmp_path}/new", *steps) == 0
    assert (tmp_path / "new").read_text() == "hello\n"


async def test_top(sshd: Sshd) -> None:
    need("top")
    async with governed(sshd) as shell:
        assert await use(shell, "top", (b"load average", b"q")) == 0


async def test_tmux(sshd: Sshd, tmp_path: Path) -> None:
    need("tmux")
    async with governed(sshd) as shell:
        command = f"tmux -S {tmp_path}/s -f /dev/null new 'echo inside; read x; echo got-$x; sleep 0.2'"
        assert await use(shell, command, (b"inside", b"abc\r"), (b"got-abc", b"")) == 0


async def test_python(sshd: Sshd) -> None:
    need("python3")
    async with governed(sshd) as shell:
        steps = ((b">>> ", b"print(6*7)\n"), (b"42", b"raise SystemExit(5)\n"))
        assert await use(shell, "python3 -q", *steps) == 5


async def test_sqlite(sshd: Sshd, tmp_path: Path) -> None:
    need("sqlite3")
    async with governed(sshd) as shell:
        steps = ((b"sqlite> ", b"create table t(a);\n"), (b"sqlite> ", b"insert into t values(7);\n"))
        assert await use(shell, f"sqlite3 {tmp_path}/db", *steps, (b"sqlite> ", b".quit\n")) == 0
    with sqlite3.connect(tmp_path / "db") as database:
        assert database.execute("select a from t").fetchall() == [(7,)]
    database.close()
