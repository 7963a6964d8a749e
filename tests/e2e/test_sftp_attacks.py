"""What an agent, or the target's own processes, do to a transfer while a person looks at it. Promises P1, P2, P6."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import asyncssh
import pytest

from bastion.control import wire
from bastion.control.client import Client
from bastion.model import Choice
from tests.support.house import House
from tests.support.meddling import (
    a_directory,
    a_fifo,
    a_link,
    a_linked_directory,
    another_content,
    another_directory,
    another_mode,
    gone,
    same_size,
)
from tests.support.sftp import READS_FLOW, far, scp
from tests.support.sshd import descendants

pytestmark = [pytest.mark.e2e, pytest.mark.usefixtures("nothing_is_left")]
HOUSE_POLICY = READS_FLOW


@pytest.fixture
def there(there: Path) -> Path:
    """With a file."""
    (there / "file").write_text("as it was\n")
    return there


@contextlib.asynccontextmanager
async def client(house: House) -> AsyncIterator[asyncssh.SFTPClient]:
    """asyncssh as an agent's client, with paths as bytes."""
    async with (
        asyncssh.connect(
            "127.0.0.1", house.port, username="web-1", client_keys=[str(house.work / "agent-7")],
            known_hosts=str(house.work / "known_hosts"), config=None, agent_path=None,
        ) as connection,
        connection.start_sftp_client(path_encoding=None) as made,
    ):  # fmt: skip
        yield made


# --- while a person looks --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "change",
    [
        another_content,
        same_size,
        another_mode,
        gone,
        a_link,
        a_directory,
        a_fifo,
        another_directory,
        a_linked_directory,
    ],
)
async def test_what_changed_meanwhile_is_refused(
    house: House, ana: Client, tmp_path: Path, there: Path, change: Callable[[Path], None]
) -> None:
    (tmp_path / "mine").write_text("mine\n")
    process = await scp(house, tmp_path / "mine", far(there / "file"))
    held = await house.held(ana)
    change(there)
    await ana.vote(held, Choice.APPROVE, "fine")
    done = await house.finish(process)
    assert done.status != 0
    assert "0 of 1 changes were made" in done.stderr
    for path in tmp_path.glob("*/*"):
        assert not path.is_file() or path.read_text() != "mine\n"
    shutil.rmtree(tmp_path / "moved", ignore_errors=True)
    (entry,) = [info for info in await ana.call(wire.ListRequests, list[wire.RequestInfo]) if info.id == held.id]
    assert "0 of 1 changes were made" in entry.status


@pytest.mark.parametrize("what", ["file", "link", "directory"])
async def test_what_came_to_a_new_files_place_is_not_overwritten(
    house: House, ana: Client, tmp_path: Path, there: Path, what: str
) -> None:
    (tmp_path / "mine").write_text("mine\n")
    process = await scp(house, tmp_path / "mine", far(there / "new"))
    held = await house.held(ana)
    match what:
        case "file":
            (there / "new").write_text("theirs")
        case "link":
            (there / "new").symlink_to(tmp_path / "target" / "file")
        case "directory":
            (there / "new").mkdir()
    await ana.vote(held, Choice.APPROVE, "fine")
    done = await house.finish(process)
    assert done.status != 0
    assert (there / "file").read_text() == "as it was\n"
    assert what != "file" or (there / "new").read_text() == "theirs"


async def test_an_approval_is_used_once(house: House, ana: Client, tmp_path: Path, there: Path) -> None:
    (tmp_path / "mine").write_text("mine\n")
    first = await scp(house, tmp_path / "mine", far(there / "file"))
    held = await house.held(ana)
    await ana.vote(held, Choice.APPROVE, "fine")
    assert (await house.finish(first)).status == 0
    (there / "file").write_text("as it was\n")
    again = await scp(house, tmp_path / "mine", far(there / "file"))
    second = await house.held(ana)
    assert second.id != held.id
    assert second.command == held.command
    assert (there / "file").read_text() == "as it was\n"
    await ana.vote(second, Choice.DENY, "once")
    assert (await house.finish(again)).status != 0


async def test_a_client_that_goes_leaves_a_ticket_for_the_same(
    house: House, ana: Client, tmp_path: Path, there: Path
) -> None:
    (tmp_path / "mine").write_text("mine\n")
    first = await scp(house, tmp_path / "mine", far(there / "file"))
    held = await house.held(ana)
    for pid in [*descendants(first.pid), first.pid]:  # scp, and its ssh
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    await first.wait()
    async with asyncio.timeout(20):
        while (await house.held(ana, held.command)).attached:  # noqa: ASYNC110 -- the bastion is another process
            await asyncio.sleep(0.02)
    await ana.vote(held, Choice.APPROVE, "fine")
    assert (there / "file").read_text() == "as it was\n"
    assert [path for path in house.config.staging.rglob("*") if path.is_file()] == []
    (tmp_path / "mine").write_text("other\n")
    other = await scp(house, tmp_path / "mine", far(there / "file"))
    second = await house.held(ana)
    assert second.id != held.id
    await ana.vote(second, Choice.DENY, "not that")
    assert (await house.finish(other)).status != 0
    (tmp_path / "mine").write_text("mine\n")
    done = await house.finish(await scp(house, tmp_path / "mine", far(there / "file")))
    assert done.status == 0, done.stderr
    assert "used now" in done.stderr
    assert (there / "file").read_text() == "mine\n"


async def test_an_agent_that_leaves_does_not_stop_what_was_approved(
    house: House, ana: Client, tmp_path: Path, there: Path
) -> None:
    tree = tmp_path / "tree"
    tree.mkdir()
    for number in range(300):
        (tree / str(number)).write_text(str(number))
    process = await scp(house, "-r", tree, far(there))
    held = await house.held(ana)
    pids = [*descendants(process.pid), process.pid]
    await ana.vote(held, Choice.APPROVE, "fine")
    await until((there / "tree").exists)
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    await process.wait()
    info = await ended(ana, held)
    assert (info.status, len(list((there / "tree").iterdir()))) == ("exit 0", 300)


async def until(true: Callable[[], bool]) -> None:
    """Wait for something that other processes do."""
    async with asyncio.timeout(30):
        while not true():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def ended(ana: Client, held: wire.RequestInfo) -> wire.RequestInfo:
    """How it ended, once it has."""
    async with asyncio.timeout(30):
        while True:
            (info,) = [each for each in await ana.call(wire.ListRequests, list[wire.RequestInfo]) if each.id == held.id]
            if info.status not in ("", "running"):
                return info
            await asyncio.sleep(0.02)


async def test_a_session_that_is_killed_stops_between_two_files(
    house: House, ana: Client, tmp_path: Path, there: Path
) -> None:
    tree = tmp_path / "tree"
    tree.mkdir()
    for number in range(1000):
        (tree / str(number)).write_text(str(number))
    process = await scp(house, "-r", tree, far(there))
    held = await house.held(ana)
    await ana.vote(held, Choice.APPROVE, "fine")
    await until((there / "tree").exists)
    await ana.call(wire.KillSession, object, session=held.session, reason="enough")
    done = await house.finish(process)
    assert done.status != 0
    info = await ended(ana, held)
    files = list((there / "tree").iterdir())
    assert all(path.read_text() == path.name for path in files)
    assert len(files) < 1000
    assert f"{len(files) + 1} of 1001 changes were made, then: " in info.status  # the directory is one


# --- paths -----------------------------------------------------------------------------------------------------------


async def test_a_path_that_climbs_out_of_a_link(house: House, ana: Client, tmp_path: Path, there: Path) -> None:
    (tmp_path / "far" / "dir").mkdir(parents=True)
    (there / "link").symlink_to(tmp_path / "far" / "dir")
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / "x").write_text("x")
    process = await scp(house, "-r", tmp_path / "tree", far(f"{there}/link/../new"))
    held = await house.held(ana)
    assert f"write {tmp_path}/far/new/x\n" in held.command.decode()
    await ana.vote(held, Choice.APPROVE, "fine")
    assert (await house.finish(process)).status == 0
    assert (tmp_path / "far" / "new" / "x").read_text() == "x"
    assert not (there / "new").exists()


async def test_links_are_resolved_before_anybody_judges(house: House, ana: Client, tmp_path: Path, there: Path) -> None:
    home = tmp_path / "home" / ".ssh"
    home.mkdir(parents=True)
    (there / "innocent").symlink_to(home / "authorized_keys")
    (tmp_path / "key").write_text("ssh-ed25519 AAAA\n")
    process = await scp(house, tmp_path / "key", far(there / "innocent"))
    held = await house.held(ana)
    text = held.command.decode()
    assert f"1 write {home}/authorized_keys\n" in text
    assert f"asked for as {there}/innocent\n" in text
    assert held.tier == "high"
    await ana.vote(held, Choice.DENY, "no")
    await house.finish(process)
    assert list(home.iterdir()) == []


async def test_what_runs_by_itself_is_high(house: House, ana: Client, tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("x\n")
    process = await scp(house, tmp_path / "mine", far("~/.bashrc"))
    held = await house.held(ana)
    assert held.tier == "high", (held.command, held.reasons)
    await ana.vote(held, Choice.DENY, "no")
    assert (await house.finish(process)).status != 0


@pytest.mark.parametrize(
    "spelled", ["forbidden/x", "./forbidden//x", "sub/../forbidden/x", "link/x", "forbidden/../forbidden/x"]
)
async def test_policy_sees_every_spelling(house: House, ana: Client, there: Path, spelled: str) -> None:
    (there / "forbidden").mkdir()
    (there / "sub").mkdir()
    (there / "forbidden" / "x").write_text("secret")
    (there / "link").symlink_to("forbidden")
    async with client(house) as agent:
        path = f"{there}/{spelled}".encode()
        opens = (agent._handler.open(path, flags, asyncssh.SFTPAttrs()) for flags in (0x1, 0x1A))
        for work in (*opens, agent.stat(path), agent.remove(path), agent.readlink(path)):
            with pytest.raises(asyncssh.SFTPPermissionDenied, match="policy denies it"):
                await work
    assert (there / "forbidden" / "x").read_text() == "secret"


async def test_a_link_into_the_forbidden_is_forbidden(house: House, ana: Client, there: Path) -> None:
    (there / "forbidden").mkdir()
    (there / "forbidden" / "x").write_text("secret")
    async with client(house) as agent:
        secret, mine = f"{there}/forbidden/x".encode(), f"{there}/mine".encode()
        for work in (agent.symlink(secret, mine), agent.link(secret, mine), agent.posix_rename(secret, mine)):
            with pytest.raises(asyncssh.SFTPPermissionDenied, match="policy denies it"):
                await work
    assert not os.path.lexists(there / "mine")


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        (b"a\nb", "a\\x0ab"),
        (b"\xe2\x80\xaetxt.exe", "\\xe2\\x80\\xaetxt.exe"),
        (b"\xff\xfe", "\\xff\\xfe"),
        (b"back\\slash", "back\\x5cslash"),
        (b"esc\x1b[31m", "esc\\x1b[31m"),
        (b"    1 write ", "    1 write "),
        (b"n" * 255, "n" * 255),
    ],
)
async def test_names_of_any_bytes(house: House, ana: Client, there: Path, name: bytes, shown: str) -> None:
    path = os.fsencode(there) + b"/" + name

    async def put(agent: asyncssh.SFTPClient) -> None:
        async with agent.open(path, asyncssh.FXF_WRITE | asyncssh.FXF_CREAT, encoding=None) as file:
            await file.write(b"x")

    async with client(house) as agent:
        work = asyncio.ensure_future(put(agent))
        held = await house.held(ana)
        assert held.command.decode("ascii").splitlines()[1] == f"1 write {there}/{shown}"
        await ana.vote(held, Choice.APPROVE, "fine")
        await work
        assert [bytes(entry.filename) async for entry in agent.scandir(os.fsencode(there)) if entry.filename == name]
    assert os.fsencode(there) + b"/" + name in [
        os.path.join(os.fsencode(there), each) for each in os.listdir(os.fsencode(there))
    ]


@pytest.mark.parametrize("name", [b"x\0y", b"n" * 256, b"/" + b"d/" * 2100, b""])
async def test_names_that_no_target_has(house: House, there: Path, name: bytes) -> None:
    async with client(house) as agent:
        with pytest.raises(asyncssh.SFTPError):
            await agent._handler.open(os.fsencode(there) + b"/" + name, 0x1A, asyncssh.SFTPAttrs())


async def test_what_is_no_file_is_not_opened(house: House, there: Path) -> None:
    os.mkfifo(there / "fifo")
    (there / "loop").symlink_to("loop")
    async with asyncio.timeout(20), client(house) as agent:
        for path in (f"{there}/fifo", "/dev/zero", "/dev/tty", f"{there}/loop", str(there)):
            for mode in ("rb", "wb", "ab"):
                with pytest.raises(asyncssh.SFTPError):
                    await agent.open(path.encode(), mode)
        for path in ("/proc/self/oom_score_adj", "/sys/new", "/dev/shm/x", "/proc/self/root/dev/shm/x"):
            with pytest.raises(asyncssh.SFTPPermissionDenied, match=r"/proc, /sys and /dev|neither"):
                await agent.open(path.encode(), "wb")


async def test_unknown_requests_and_extensions_are_refused(house: House, there: Path) -> None:
    async with client(house) as agent:
        handler = agent._handler
        for kind in (b"copy-data", b"lsetstat@openssh.com", b"expand-path@openssh.com", b"x", 22, 200):
            with pytest.raises(asyncssh.SFTPOpUnsupported):
                await handler._make_request(kind, b"\0" * 32)
        assert await agent.getcwd()


async def test_a_packet_that_is_too_long_ends_the_channel(house: House) -> None:
    done = await house.run("web-1", "sftp", options=("-s",), stdin=b"\x7f\xff\xff\xff" + b"x" * 1000)
    assert done.status == 125
    assert "a packet of 2147483647 bytes" in done.stderr


async def test_what_is_open_at_the_end_is_not_applied(house: House, ana: Client, there: Path) -> None:
    async with client(house) as agent:
        file = await agent.open(f"{there}/file".encode(), "wb")
        await file.write(b"mine")
    assert (there / "file").read_text() == "as it was\n"


async def test_sshfs_and_its_like_read_only(house: House, there: Path) -> None:
    """A program that starts `ssh -s` itself, and asks for neither limits nor the real path of `.`."""
    from asyncssh.packet import String, UInt32

    def packet(kind: int, body: bytes) -> bytes:
        return UInt32(len(body) + 1) + bytes([kind]) + body

    path = String(f"{there}/file")
    words = [
        packet(1, UInt32(3)),
        packet(7, UInt32(1) + path),  # lstat
        packet(13, UInt32(2) + path),  # remove
        packet(3, UInt32(3) + path + UInt32(0x1A) + UInt32(0)),  # open to write
    ]
    done = await house.run("web-1", "sftp", options=("-s",), stdin=b"".join(words))
    assert done.stdout.count(b"it may read, and nothing that it changes is taken") == 2
    assert done.stderr.count("it may read, and nothing that it changes is taken") == 1
    assert (there / "file").read_text() == "as it was\n"
