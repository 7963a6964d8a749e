"""Downloads over SFTP, with the real scp and sftp against a real sshd. Promises P1, P2, P3."""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from bastion.control import wire
from bastion.control.client import Client
from bastion.model import Choice
from recorder.reader import Reader
from tests.support.house import HOLD, House, Outcome
from tests.support.sftp import READS_FLOW, far, scp, sftp
from tests.support.sshd import Sshd

pytestmark = pytest.mark.e2e
HOUSE_POLICY = READS_FLOW

LOOKING = b"sftp: look at names, sizes, dates and links\n"


@pytest.fixture(scope="module")
def strict(tmp_path_factory: pytest.TempPathFactory, sshd: Sshd) -> Iterator[House]:
    """Everything is held here."""
    made = House(tmp_path_factory.mktemp("strict"), HOLD)
    made.add_target("web-1", sshd)
    made.start()
    yield made
    made.stop()


@pytest.fixture
async def ben(strict: House) -> AsyncIterator[Client]:
    client = await strict.remote("ben")
    yield client
    await client.close()


async def requests(client: Client) -> list[wire.RequestInfo]:
    return await client.call(wire.ListRequests, list[wire.RequestInfo])


async def test_scp_brings_a_file_and_the_ledger_has_its_hash(house: House, ana: Client, tmp_path: Path) -> None:
    data = os.urandom(3_000_000)
    (tmp_path / "there").write_bytes(data)
    os.utime(tmp_path / "there", (1_000_000_000, 1_100_000_000))
    (tmp_path / "there").chmod(0o640)
    done = await house.finish(await scp(house, "-p", far(tmp_path / "there"), tmp_path / "here"))
    assert (done.status, done.stderr) == (0, "")
    assert (tmp_path / "here").read_bytes() == data
    status = (tmp_path / "here").stat()
    assert (status.st_mode & 0o7777, status.st_mtime) == (0o640, 1_100_000_000)
    (read,) = [info for info in await requests(ana) if str(tmp_path).encode() in info.command]
    assert (read.kind, read.state, read.tier, read.status) == ("transfer", "allowed", "low", "exit 0")
    (session,) = [each for each in await ana.call(wire.ListSessions, list[wire.SessionInfo]) if each.id == read.session]
    assert session.output_bytes == 3_000_000
    reader = Reader.open(house.config.store)
    finished = next(entry for entry in reader.entries(request=read.id) if entry.type == "command.finished")
    reader.close()
    assert finished.body["stdout_bytes"] == 3_000_000
    assert finished.body["stdout_sha256"] == hashlib.sha256(data).hexdigest()


async def test_sftp_lists_and_gets(house: House, tmp_path: Path) -> None:
    (tmp_path / "dir" / "sub").mkdir(parents=True)
    (tmp_path / "dir" / "one").write_text("1")
    (tmp_path / "dir" / "sub" / "two").write_text("2")
    (tmp_path / "dir" / "link").symlink_to("one")
    done = await house.finish(
        await sftp(house, "pwd", f"ls -l {tmp_path}/dir", f"cd {tmp_path}", "df", f"get -r dir {tmp_path}/copy")
    )
    assert done.status == 0, done.stderr
    assert b"one" in done.stdout
    assert (tmp_path / "copy" / "one").read_text() == "1"
    assert (tmp_path / "copy" / "sub" / "two").read_text() == "2"


async def test_scp_brings_a_tree(house: House, tmp_path: Path) -> None:
    for number in range(60):
        path = tmp_path / "tree" / str(number % 3) / f"f{number}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(str(number) * number)
    done = await house.finish(await scp(house, "-r", far(tmp_path / "tree"), tmp_path / "copy"))
    assert done.status == 0, done.stderr
    for path in (tmp_path / "tree").rglob("f*"):
        assert (tmp_path / "copy" / path.relative_to(tmp_path / "tree")).read_bytes() == path.read_bytes()


async def test_a_secret_is_held_and_not_read_before(house: House, ana: Client, tmp_path: Path) -> None:
    (tmp_path / "id_rsa").write_text("PRIVATE")
    process = await scp(house, far(tmp_path / "id_rsa"), tmp_path / "here")
    held = await house.held(ana)
    assert held.tier == "medium"
    assert f"1 read {tmp_path}/id_rsa\n" in held.command.decode()
    await ana.vote(held, Choice.DENY, "not that")
    done = await house.finish(process)
    assert done.status != 0
    assert "not that" in done.stderr
    assert not (tmp_path / "here").exists() or (tmp_path / "here").read_bytes() == b""


async def test_what_policy_denies_is_refused_with_its_reason(house: House, tmp_path: Path) -> None:
    (tmp_path / "forbidden").mkdir()
    (tmp_path / "forbidden" / "x").write_text("no")
    done = await house.finish(await scp(house, far(tmp_path / "forbidden" / "x"), tmp_path / "here"))
    assert done.status != 0
    assert not (tmp_path / "here").exists()


async def test_nothing_is_asked_of_the_target_before_somebody_allows_it(
    strict: House, ben: Client, tmp_path: Path, sshd: Sshd
) -> None:
    (tmp_path / "there").write_text("x")
    before = (sshd.work / "log").read_text().count("Starting session: subsystem 'sftp'")
    process = await scp(strict, far(tmp_path / "there"), tmp_path / "here")
    look = await strict.held(ben)
    assert look.command.startswith(LOOKING)
    assert (sshd.work / "log").read_text().count("Starting session: subsystem 'sftp'") == before
    await ben.vote(look, Choice.DENY, "no")
    done = await strict.finish(process)
    assert done.status != 0
    assert "bastion: denied by ben: no" in done.stderr


async def approve(
    strict: House, ben: Client, process: asyncio.subprocess.Process
) -> tuple[Outcome, list[wire.RequestInfo]]:
    """Approve all that is held until the client ends."""
    ended = asyncio.ensure_future(strict.finish(process))
    held: list[wire.RequestInfo] = []
    while not ended.done():
        for info in await ben.call(wire.ListRequests, list[wire.RequestInfo], state="held"):
            held.append(info)
            await ben.vote(info, Choice.APPROVE, "fine")
        await asyncio.sleep(0.02)
    return await ended, held


async def test_files_of_a_directory_are_held_together(strict: House, ben: Client, tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        (tmp_path / "tree" / "sub").mkdir(parents=True, exist_ok=True)
        (tmp_path / "tree" / name).write_text(name)
        (tmp_path / "tree" / "sub" / name).write_text(name * 2)
    done, held = await approve(strict, ben, await scp(strict, "-r", far(tmp_path / "tree"), tmp_path / "copy"))
    assert done.status == 0, done.stderr
    assert [info.command.splitlines()[0] for info in held] == [
        LOOKING.strip(),
        b"sftp: read 3 files",
        b"sftp: read 3 files",
    ]
    assert (tmp_path / "copy" / "sub" / "c").read_text() == "cc"


async def test_a_refused_directory_is_refused_once(strict: House, ben: Client, tmp_path: Path) -> None:
    (tmp_path / "tree").mkdir()
    for name in ("a", "b", "c"):
        (tmp_path / "tree" / name).write_text(name)
    process = await scp(strict, "-r", far(tmp_path / "tree"), tmp_path / "copy")
    await strict.decide(ben)
    await strict.decide(ben, Choice.DENY, "none of it")
    done = await strict.finish(process)
    assert done.status != 0
    assert done.stderr.count("none of it") == 1
    assert list((tmp_path / "copy").iterdir()) == []
