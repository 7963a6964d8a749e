"""sshfs, mounted through the bastion: what may be read is read, and nothing is changed. Promises P1, P3."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from bastion.control.client import Client
from bastion.model import Choice
from tests.support.house import House, Outcome
from tests.support.sshd import Sshd

pytestmark = pytest.mark.e2e

POLICY = 'policy "sshfs" {\n  version 1\n  allow low\n  hold path "**/asked/**"\n  deny path "**/forbidden/**"\n}\n'
SENTENCE = "it may read, and nothing that it changes is taken"


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory, sshd: Sshd) -> Iterator[House]:
    made = House(tmp_path_factory.mktemp("house"), POLICY)
    made.add_target("web-1", sshd, env="test")
    made.start()
    yield made
    made.stop()


@pytest.fixture
def there(tmp_path: Path) -> Path:
    """On the target."""
    far = tmp_path / "there"
    for name in ("asked", "forbidden", "sub"):
        (far / name).mkdir(parents=True)
        (far / name / "file").write_text(f"{name}\n")
    (far / "file").write_text("as it was\n")
    (far / "big").write_bytes(os.urandom(3_000_000))
    return far


class Mount:
    """sshfs in the foreground, with the directory where it is mounted."""

    def __init__(self, process: asyncio.subprocess.Process, path: Path) -> None:
        self.process, self.path = process, path

    async def run(self, *words: str) -> Outcome:
        """A program of the agent's, in the mounted directory; not in this process, which it would block."""
        process = await asyncio.create_subprocess_exec(
            *words, cwd=self.path, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE, env={"LC_ALL": "C"}
        )
        async with asyncio.timeout(30):
            stdout, stderr = await process.communicate()
        assert process.returncode is not None
        return Outcome(process.returncode, stdout, stderr.decode())

    async def end(self) -> str:
        """Unmount; what sshfs said."""
        unmounting = await asyncio.create_subprocess_exec("fusermount3", "-u", str(self.path))
        assert await unmounting.wait() == 0
        async with asyncio.timeout(20):
            _, said = await self.process.communicate()
        return said.decode()


@pytest.fixture
async def mount(house: House, there: Path, tmp_path: Path) -> AsyncIterator[Mount]:
    try:
        os.close(os.open("/dev/fuse", os.O_RDWR))
    except OSError as error:
        pytest.skip(f"NOT TESTED: sshfs cannot mount here: /dev/fuse: {error.strerror}")
    path = tmp_path / "here"
    path.mkdir()
    options = (
        "IdentitiesOnly=yes",
        "BatchMode=yes",
        f"IdentityFile={house.work / 'agent-7'}",
        f"UserKnownHostsFile={house.work / 'known_hosts'}",
        f"Port={house.port}",
    )
    flags = [word for option in options for word in ("-o", option)]
    process = await asyncio.create_subprocess_exec(
        "sshfs", "-F", "/dev/null", *flags, "-f", f"web-1@127.0.0.1:{there}", str(path),
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        env={"PATH": os.environ["PATH"], "HOME": str(house.work)},
    )  # fmt: skip
    try:
        async with asyncio.timeout(20):
            while not os.path.ismount(path) and process.returncode is None:  # noqa: ASYNC110 -- a mount tells nobody
                await asyncio.sleep(0.02)
        if process.returncode is not None:
            _, said = await process.communicate()
            if b"Operation not permitted" in said:
                pytest.skip(f"NOT TESTED: sshfs cannot mount here: {said.decode().strip()}")
            raise AssertionError(said.decode())
        yield Mount(process, path)
    finally:
        if os.path.ismount(path):
            await (await asyncio.create_subprocess_exec("fusermount3", "-u", "-z", str(path))).wait()
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.communicate()


async def test_it_reads(mount: Mount, there: Path, house: House) -> None:
    assert (await mount.run("ls", "-1")).stdout.split() == [b"asked", b"big", b"file", b"forbidden", b"sub"]
    assert (await mount.run("cat", "file", "sub/file")).stdout == b"as it was\nsub\n"
    assert (await mount.run("cmp", "big", str(there / "big"))).status == 0
    refused = await mount.run("cat", "forbidden/file")
    assert (refused.status, refused.stdout) == (1, b"")
    assert "Permission denied" in refused.stderr
    await mount.end()


@pytest.mark.parametrize(("choice", "status", "out"), [(Choice.APPROVE, 0, b"asked\n"), (Choice.DENY, 1, b"")])
async def test_a_read_that_is_held_waits(
    mount: Mount, house: House, ana: Client, choice: Choice, status: int, out: bytes
) -> None:
    reading = asyncio.ensure_future(mount.run("cat", "asked/file"))
    info = await house.decide(ana, choice)
    done = await reading
    assert (done.status, done.stdout) == (status, out), done.stderr
    assert b"asked/file" in info.command


async def test_it_changes_nothing_and_says_why(mount: Mount, there: Path) -> None:
    before = sorted((str(path), path.stat().st_mode, path.stat().st_mtime_ns) for path in there.rglob("*"))
    for words in (
        ("cp", "/etc/hostname", "new"),
        ("dd", "if=/dev/zero", "of=file", "count=1"),
        ("dd", "if=/dev/zero", "of=file", "count=1", "oflag=append", "conv=notrunc"),
        ("truncate", "-s", "0", "file"),
        ("rm", "file"),
        ("mkdir", "new"),
        ("rmdir", "sub"),
        ("mv", "file", "new"),
        ("touch", "file"),
        ("chmod", "0600", "file"),
        ("ln", "-s", "file", "new"),
        ("ln", "file", "new"),
    ):
        done = await mount.run(*words)
        assert done.status != 0, words
        assert "Permission denied" in done.stderr or "not permitted" in done.stderr, (words, done.stderr)
    assert before == sorted((str(path), path.stat().st_mode, path.stat().st_mtime_ns) for path in there.rglob("*"))
    assert (there / "file").read_text() == "as it was\n"
    assert SENTENCE in await mount.end()
