"""A disk that is full: nothing runs unrecorded, everybody is told, nothing acknowledged is lost, and it goes on when
there is room again. The disk is a tmpfs of a few MiB under the bastion's state directory."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from recorder.verify import Verdict, verify
from tests.crash.at_work import AtWork
from tests.support.house import House
from tests.support.ports import wait_until
from tests.support.sshd import Sshd

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.root,
    pytest.mark.skipif(os.geteuid() != 0, reason="mounting a tmpfs needs root"),
]

SIZE = 16 << 20


@pytest.fixture
def small(tmp_path: Path, target: Sshd) -> Iterator[House]:
    """A bastion on a disk of SIZE bytes."""
    disk = tmp_path / "disk"
    disk.mkdir(mode=0o700)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={SIZE},mode=0700", "tmpfs", str(disk)], check=True)
    try:
        house = House(disk)
        house.log = tmp_path / "bastion.log"
        house.add_target("web-1", target)
        yield house
        house.stop()
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)


async def test_a_command_that_fills_the_disk_is_ended(small: House, tmp_path: Path) -> None:
    house = small
    house.start()
    root = await house.local()
    flood = f"head -c {4 * SIZE} /dev/urandom; touch {tmp_path}/reached"
    await house.whitelist(root, flood.encode())
    await house.whitelist(root, f"touch {tmp_path}/marker".encode())
    before = house_entries(house)
    outcome = await house.run("web-1", flood)
    assert outcome.status != 0
    assert "cannot be" in outcome.stderr or "recording failed" in outcome.stderr
    assert len(outcome.stdout) < 4 * SIZE
    wait_until(lambda: house.dead, "a bastion that cannot record stops")
    assert house.stop() == 1
    said = house.log.read_text()
    assert "cannot be written" in said

    assert (await house.run("web-1", f"touch {tmp_path}/marker")).status == 255
    assert not (tmp_path / "marker").exists()
    assert verify(house.config.store).verdict in (Verdict.OK, Verdict.TORN)
    assert house_entries(house)[: len(before)] == before


async def test_it_goes_on_when_there_is_room_again(small: House, tmp_path: Path) -> None:
    house = small
    house.start()
    root = await house.local()
    await house.whitelist(root, f"echo x >> {tmp_path}/marker".encode())
    assert (await house.run("web-1", f"echo x >> {tmp_path}/marker")).status == 0
    filler = house.work / "filler"
    fill(filler)
    outcome = await house.run("web-1", f"echo x >> {tmp_path}/marker")
    assert outcome.status != 0
    assert (tmp_path / "marker").read_text() == "x\n"
    wait_until(lambda: house.dead, "a bastion that cannot record stops")
    assert house.stop() == 1
    with pytest.raises(AssertionError):
        house.start()
    assert house.stop() == 1, "a service manager tries again until there is room"
    filler.unlink()
    house.start()
    assert (await house.run("web-1", f"echo x >> {tmp_path}/marker")).status == 0
    assert (tmp_path / "marker").read_text() == "x\nx\n"
    house.stop()
    assert verify(house.config.store).verdict is Verdict.OK


def remount(disk: Path, how: str) -> bool:
    """Whether the disk is that now."""
    return (
        subprocess.run(["mount", "-o", f"remount,{how}", str(disk)], check=False, capture_output=True).returncode == 0
    )


def fill(path: Path) -> None:
    """Leave no byte free."""
    with path.open("wb", buffering=0) as file:
        for size in (1 << 20, 1 << 12, 1):
            try:
                while True:
                    file.write(b"\0" * size)
            except OSError:
                continue
    assert shutil.disk_usage(path.parent).free == 0


def house_entries(house: House) -> list[bytes]:
    with house.recorded() as reader:
        return [entry.bytes for entry in reader.entries()]


async def test_a_disk_that_turns_read_only_and_back(small: House, tmp_path: Path) -> None:
    """As the kernel does after an error of the device (ext4's errors=remount-ro)."""
    house = small
    house.start()
    root = await house.local()
    await house.whitelist(root, f"echo x >> {tmp_path}/marker".encode())
    before = house_entries(house)
    if not remount(house.work, "ro"):  # files that are open for writing keep it from turning
        house.stop()
        assert remount(house.work, "ro")
        with pytest.raises(AssertionError):
            house.start()
        assert "cannot be" in house.log.read_text()
    outcome = await house.run("web-1", f"echo x >> {tmp_path}/marker")
    assert outcome.status != 0
    assert not (tmp_path / "marker").exists()
    house.stop()
    assert remount(house.work, "rw")
    house.start()
    assert (await house.run("web-1", f"echo x >> {tmp_path}/marker")).status == 0
    house.stop()
    assert verify(house.config.store).verdict is Verdict.OK
    assert house_entries(house)[: len(before)] == before


FAILING = {
    "fsync fails": "fsync,fdatasync:error=EIO",
    "the disk fails": "pwrite64:error=EIO",
    "read-only": "pwrite64,openat,ftruncate,fallocate:error=EROFS",
    "full": "pwrite64,fallocate,ftruncate:error=ENOSPC",
}
"""What strace(1) makes of the daemon's system calls, all of them from one moment on."""


@pytest.mark.parametrize("fault", FAILING.values(), ids=FAILING)
async def test_a_disk_that_fails_while_it_runs(house: House, tmp_path: Path, fault: str) -> None:
    """Nothing may run that is not durable; what runs is ended and says why; the daemon stops, with a status that has it
    started again; and then it goes on."""
    work = await AtWork.begin(house, tmp_path)
    before = house_entries(house)
    tracer = await asyncio.create_subprocess_exec(
        *("strace", "-f", "-o", "/dev/null", "-e", f"inject={fault}", "-p", str(house.pid)),
        stderr=asyncio.subprocess.PIPE,
    )
    assert tracer.stderr is not None
    assert b"attached" in await tracer.stderr.readline()
    outcome = await house.run("web-1", work.command)
    assert outcome.status not in (0, 126)
    assert "bastion: " in outcome.stderr
    assert work.marker.read_text() == "x\n"
    ended = await house.finish(work.running)
    assert ended.status == 125
    assert "the ledger cannot be written" in ended.stderr
    wait_until(lambda: house.dead, "a bastion that cannot record stops")
    await tracer.communicate()
    assert house.stop() == 1
    house.start()
    assert (await house.run("web-1", work.command)).status == 0
    assert house.stop() == 0
    assert verify(house.config.store).verdict is Verdict.OK
    assert house_entries(house)[: len(before)] == before
