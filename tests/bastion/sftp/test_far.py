"""A target that answers what it should not (an SFTP server of asyncssh's): what it says is not believed."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import asyncssh
import pytest

from bastion.errors import Conflict
from bastion.sftp import far as far_end
from bastion.sftp.changes import There
from bastion.sftp.far import Far, Moved, served
from bastion.sftp.staging import Staging

SAYS: dict[str, Any] = {}
"""What the target answers in the test that runs."""


class Liar(asyncssh.SFTPServer):
    """Answers what a test wants."""

    def realpath(self, path: bytes) -> bytes:
        return bytes(SAYS.get("realpath", path))

    def read(self, file_obj: object, offset: int, size: int) -> bytes:
        if "read" in SAYS:
            return bytes(SAYS["read"])
        data = super().read(file_obj, offset, min(size, SAYS.get("at once", size)))
        assert isinstance(data, bytes)
        return data

    async def scandir(self, path: bytes) -> AsyncIterator[asyncssh.SFTPName]:
        for name in SAYS.get("names", []):
            yield asyncssh.SFTPName(name, attrs=asyncssh.SFTPAttrs(permissions=0o100644))


class Anybody(asyncssh.SSHServer):
    def begin_auth(self, username: str) -> bool:
        return False


@pytest.fixture
async def far() -> AsyncIterator[Far]:
    SAYS.clear()
    key = asyncssh.generate_private_key("ssh-ed25519")
    acceptor = await asyncssh.listen(
        "127.0.0.1", 0, server_factory=Anybody, server_host_keys=[key], sftp_factory=Liar, encoding=None
    )
    async with (
        acceptor,
        asyncssh.connect(
            "127.0.0.1", acceptor.get_port(), username="x", known_hosts=([key.convert_to_public()], [], []),
            config=None, agent_path=None, client_keys=None,
        ) as connection,
    ):  # fmt: skip
        yield Far(await served(connection))


@pytest.mark.parametrize("path", [b"", b"x", b"../x", b"/a/../etc", b"/a//b", b"/a\0b", b"/" + b"n" * 256])
async def test_a_path_that_is_not_settled_is_not_believed(far: Far, path: bytes) -> None:
    SAYS["realpath"] = path
    with pytest.raises(asyncssh.SFTPBadMessage):
        await far.real(b"/x")
    SAYS["realpath"] = b"/fine"
    assert await far.real(b"/x") == b"/fine"


async def test_more_than_was_asked_for_is_refused(far: Far, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x")
    SAYS["read"] = b"y" * 100
    handle = await far.raw.open(bytes(tmp_path / "file"), asyncssh.FXF_READ, asyncssh.SFTPAttrs())
    with pytest.raises(asyncssh.SFTPBadMessage, match="more than it was asked for"):
        await far.read(handle, 0, 10)


async def test_a_file_without_an_end_is_left_at_the_limit(far: Far, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x")
    SAYS["read"] = b"y" * 1000
    with pytest.raises(Moved, match="more than 100000 bytes"):
        await far.hash(bytes(tmp_path / "file"), 100_000)
    staging = Staging(tmp_path / "staging", file_limit=5000, limit=5000)
    staging.prepare()
    with pytest.raises(Conflict, match="at most 5000 bytes"):
        await far.fetch(bytes(tmp_path / "file"), staging.area("s", "agent-7").new(), 1 << 40)


@pytest.mark.parametrize("at_once", [1, 7, 1000, 1 << 20])
async def test_short_answers_make_the_same_file(far: Far, tmp_path: Path, at_once: int) -> None:
    data = (bytes(range(256)) * 20)[: 50 * at_once]
    (tmp_path / "file").write_bytes(data)
    SAYS["at once"] = at_once
    found = await far.digest(bytes(tmp_path / "file"), 1 << 20, 100)
    assert found == (hashlib.sha256(data).hexdigest(), data[:100], len(data))


async def test_names_that_are_paths_are_left_out(far: Far) -> None:
    SAYS["names"] = [b"a", b"../b", b"/etc/passwd", b"c\0d", b"e"]
    assert [bytes(entry.filename) async for entry in far.listing(b"/x") if isinstance(entry.filename, bytes)] == [
        b"a",
        b"e",
    ]


async def test_what_is_there(far: Far, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    (tmp_path / "link").symlink_to("file")
    for name, there in (("file", There.FILE), ("link", There.SYMLINK), (".", There.DIRECTORY), ("none", There.NOTHING)):
        assert (await far.found(bytes(tmp_path / name))).there is there
    assert (await far.found(bytes(tmp_path / "link"))).points == b"file"
    assert far_end.kind_of(asyncssh.SFTPAttrs()) is There.OTHER
