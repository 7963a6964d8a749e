"""1 GiB through exec in both directions, with a fast reader and with a slow one: every byte, and the right status."""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from bastion.control.client import Client
from tests.support.house import House

pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.timeout(400)]

SIZE = 1 << 30


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, str]]:
    """A file of SIZE random bytes, and its SHA-256."""
    path = tmp_path_factory.mktemp("bulk") / "data"
    digest = hashlib.sha256()
    with path.open("wb") as file:
        for _ in range(SIZE >> 20):
            block = os.urandom(1 << 20)
            digest.update(block)
            file.write(block)
    yield path, digest.hexdigest()
    path.unlink()


@pytest.mark.parametrize("slow", [False, True], ids=["fast", "slow"])
async def test_download(house: House, ana: Client, data: tuple[Path, str], slow: bool) -> None:
    path, wanted = data
    command = f"cat {path}; exit 9"
    ssh = await house.ssh("web-1", command)
    info = await house.decide(ana, command=command.encode())
    digest = hashlib.sha256()
    assert ssh.stdout is not None
    size = paused = 0
    while chunk := await ssh.stdout.read(1 << 18):
        digest.update(chunk)
        size += len(chunk)
        if slow and size > paused:
            paused += 8 << 20
            await asyncio.sleep(0.02)
    assert await ssh.wait() == 9
    assert (size, digest.hexdigest()) == (SIZE, wanted)
    assert recorded(house, info.id, "output") == wanted


@pytest.mark.parametrize("slow", [False, True], ids=["fast", "slow"])
async def test_upload(house: House, ana: Client, data: tuple[Path, str], slow: bool) -> None:
    path, wanted = data
    reader = (
        "python3 -c 'import hashlib, sys, time\n"
        "h = hashlib.sha256()\n"
        "while chunk := sys.stdin.buffer.read(1 << 20):\n"
        "    h.update(chunk)\n"
        f"    time.sleep({0.002 if slow else 0})\n"
        "print(h.hexdigest())\nsys.exit(9)'"
    )
    with path.open("rb") as source:
        ssh = await asyncio.create_subprocess_exec(
            *house.ssh_command("web-1", reader), stdin=source, stdout=asyncio.subprocess.PIPE
        )
    info = await house.decide(ana, command=reader.encode())
    assert ssh.stdout is not None
    assert (await ssh.stdout.read()).decode().strip() == wanted
    assert await ssh.wait() == 9
    assert recorded(house, info.id, "input") == wanted


def recorded(house: House, request: str, kind: str) -> str:
    """SHA-256 of what the recording has of that kind, which has the root that the command's end names."""
    with house.recorded() as reader:
        (entry,) = reader.entries(request=request, types=("command.finished",))
        digest, root = hashlib.sha256(), b""
        for frame in reader.frames(entry.session):
            if frame.kind == kind:
                digest.update(frame.data)
        for chunk in reader.entries(session=entry.session, types=("recording.chunk",)):
            root = hashlib.sha256(root + bytes.fromhex(str(chunk.body["root"]))).digest()
    assert entry.body["recording"] == root.hex()
    return digest.hexdigest()
