"""A client that passes for scp, whose changes are collected, and then does what scp never does. Promises P1, P2."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import asyncssh
import pytest

from bastion.control import wire
from bastion.control.client import Client
from bastion.model import Choice
from tests.support.house import House
from tests.support.sftp import READS_FLOW

pytestmark = pytest.mark.e2e
HOUSE_POLICY = READS_FLOW


@contextlib.asynccontextmanager
async def passing_for_scp(house: House) -> AsyncIterator[asyncssh.SFTPClient]:
    """asyncssh with the name of OpenSSH's; like scp it asks for the limits first, and then for no real path."""
    async with (
        asyncssh.connect(
            "127.0.0.1", house.port, username="web-1", client_keys=[str(house.work / "agent-7")],
            known_hosts=str(house.work / "known_hosts"), config=None, agent_path=None, client_version="OpenSSH_9.2",
        ) as connection,
        connection.start_sftp_client(path_encoding=None) as made,
    ):  # fmt: skip
        await made.lstat(b"/")
        yield made


async def test_a_file_that_is_open_twice_is_two_requests(house: House, ana: Client, tmp_path: Path) -> None:
    """In one request both would be written side by side, and which of them stays would be a matter of luck."""
    (tmp_path / "file").write_text("as it was\n")
    async with passing_for_scp(house) as agent:
        one = await agent.open(bytes(tmp_path / "file"), "w", encoding=None)
        other = await agent.open(bytes(tmp_path / "file"), "w", encoding=None)
        await one.write(b"one\n")
        await other.write(b"other\n")
        await one.close()
        closing = asyncio.create_task(other.close())
        held = await house.held(ana)
        assert held.command.startswith(b"sftp: 1 change: write ")
        assert b"+one\n" in held.command
        await ana.vote(held, Choice.APPROVE, "fine")
        await closing
        assert (tmp_path / "file").read_text() == "one\n"
        agent.exit()
        second = await house.held(ana)
        assert b"-one\n" in second.command
        assert b"+other\n" in second.command
        await ana.vote(second, Choice.APPROVE, "fine")
        await agent.wait_closed()
    assert (tmp_path / "file").read_text() == "other\n"


async def test_what_scp_never_asks_for_is_held_by_itself(house: House, ana: Client, tmp_path: Path) -> None:
    """And a mode that is set behind it is of the file that is there then, not a word in the other request."""
    (tmp_path / "old").write_text("as it was\n")
    async with passing_for_scp(house) as agent:
        moving = asyncio.create_task(agent.posix_rename(bytes(tmp_path / "old"), bytes(tmp_path / "new")))
        held = await house.held(ana)
        assert held.command.startswith(b"sftp: 1 change: replace ")
        await ana.vote(held, Choice.APPROVE, "fine")
        await moving
        assert (tmp_path / "new").read_text() == "as it was\n"
        with pytest.raises(asyncssh.SFTPNoSuchFile):
            await agent.setstat(bytes(tmp_path / "old"), asyncssh.SFTPAttrs(permissions=0o600))


async def test_a_directory_of_which_the_mode_is_set_is_not_taken_for_a_new_one(
    house: House, ana: Client, tmp_path: Path
) -> None:
    (tmp_path / "there").mkdir(mode=0o755)
    (tmp_path / "there" / "file").write_text("as it was\n")
    async with passing_for_scp(house) as agent:
        await agent.setstat(bytes(tmp_path / "there"), asyncssh.SFTPAttrs(permissions=0o700))
        assert b"file" in await agent.listdir(bytes(tmp_path / "there"))
        async with agent.open(bytes(tmp_path / "there" / "file"), "w", encoding=None) as file:
            await file.write(b"as it is\n")
        agent.exit()
        held = await house.held(ana)
        assert b"-as it was\n" in held.command
        await ana.vote(held, Choice.APPROVE, "fine")
        await agent.wait_closed()
    assert (tmp_path / "there" / "file").read_text() == "as it is\n"
    assert (tmp_path / "there").stat().st_mode & 0o7777 == 0o700


async def test_a_read_far_behind_the_end_is_the_end(house: House, tmp_path: Path) -> None:
    async with passing_for_scp(house) as agent:
        flags = asyncssh.FXF_READ | asyncssh.FXF_WRITE | asyncssh.FXF_CREAT
        file = await agent.open(bytes(tmp_path / "new"), flags, encoding=None)
        await file.write(b"some", 0)
        assert await file.read(4, 1 << 63) == b""
        assert await file.read(4, 0) == b"some"


async def test_leave_for_a_whole_directory_ends_with_what_gave_it(house: House, ana: Client, tmp_path: Path) -> None:
    async def freeze(mode: str) -> str:
        say = {"scope": "target", "name": "web-1", "mode": mode, "reason": "incident 4", "cut": False}
        return (await ana.call(wire.SetFreeze, wire.FreezeInfo, **say)).id

    for name in "abcd":
        (tmp_path / name).write_text(name)
    async with passing_for_scp(house) as agent:

        async def read(name: str) -> bytes:
            async with agent.open(bytes(tmp_path / name), "r", encoding=None) as file:
                return bytes(await file.read())

        await agent.listdir(bytes(tmp_path))
        assert await read("a") == b"a"
        frozen = await freeze("hold")
        reading = asyncio.create_task(read("b"))
        held = await house.held(ana)
        assert held.command.startswith(b"sftp: read 1 file: ")
        await ana.vote(held, Choice.APPROVE, "fine")
        assert await reading == b"b"
        await ana.call(wire.LiftFreeze, wire.FreezeInfo, freeze=frozen, reason="over")
        frozen = await freeze("refuse")
        with pytest.raises(asyncssh.SFTPPermissionDenied, match="incident 4"):
            await read("c")
        await ana.call(wire.LiftFreeze, wire.FreezeInfo, freeze=frozen, reason="over")
        assert await read("d") == b"d"
