"""`scp -O` through the bastion: received, shown, approved, applied like SFTP. Promises P1, P2, P6."""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from bastion.control import wire
from bastion.control.client import Client
from bastion.model import Choice
from tests.support.house import House, Outcome
from tests.support.meddling import a_link, a_linked_directory, another_content
from tests.support.sftp import READS_FLOW, far, scp

pytestmark = [pytest.mark.e2e, pytest.mark.usefixtures("nothing_is_left")]

HOUSE_POLICY = READS_FLOW.replace("allow low", 'allow low\n  deny command "scp -v -t *"')


@pytest.fixture
def there(there: Path) -> Path:
    """With a file."""
    (there / "file").write_text("as it was\n")
    return there


async def copied(
    house: House, ana: Client, *words: str | Path, choice: Choice = Choice.APPROVE
) -> tuple[Outcome, wire.RequestInfo]:
    """Copy, decide the one request that it makes; how it ended, and what was held."""
    process = await scp(house, "-O", *words)
    held = await house.decide(ana, choice, "not today")
    return await house.finish(process), held


FILES = {
    "a": b"a" * 100,
    "b/c": bytes(range(256)) * 64,
    "b/empty": b"",
    "b/d/with space": b"x\n",
    "big": bytes(1 << 20),
}


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for name, data in FILES.items():
        path = tmp_path / "tree" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    os.utime(tmp_path / "tree" / "a", (1_000_000_000, 1_000_000_001))
    (tmp_path / "tree" / "a").chmod(0o640)
    (tmp_path / "tree" / "b").chmod(0o750)
    os.utime(tmp_path / "tree" / "b", (1_000_000_000, 1_000_000_002))
    return tmp_path / "tree"


def listed(directory: Path) -> dict[str, tuple[int, int, bytes]]:
    """Modes, times and contents of all that is below."""
    found = {}
    for path in sorted(directory.rglob("*")):
        status = path.lstat()
        content = path.read_bytes() if path.is_file() else b""
        found[str(path.relative_to(directory))] = (status.st_mode, int(status.st_mtime), content)
    return found


async def test_a_tree_both_ways(house: House, ana: Client, tree: Path, there: Path, tmp_path: Path) -> None:
    done, held = await copied(house, ana, "-r", "-p", tree, far(there))
    assert done.status == 0, done.stderr
    assert held.kind == "transfer"
    assert held.command.startswith(b"sftp: 8 changes: 3 mkdir, 5 write\n1 mkdir %s/tree\n" % bytes(there))
    assert listed(there / "tree") == listed(tree)
    back = await house.finish(await scp(house, "-O", "-r", "-p", far(there / "tree"), tmp_path / "back"))
    assert back.status == 0, back.stderr
    assert listed(tmp_path / "back") == listed(tree)


async def test_what_is_shown_is_what_is_written(house: House, ana: Client, there: Path, tmp_path: Path) -> None:
    (there / "file").chmod(0o600)
    (tmp_path / "new").write_text("as it is\n")
    before = hashlib.sha256(b"as it was\n").hexdigest().encode()
    after = hashlib.sha256(b"as it is\n").hexdigest().encode()
    process = await scp(house, "-O", tmp_path / "new", far(there / "file"))
    held = await house.held(ana)
    assert b"replaces a file of 10 bytes, mode 0600, owner" in held.command
    assert b"sha256 " + before in held.command
    assert b"with 9 bytes, sha256 " + after in held.command
    assert b"    | -as it was\n    | +as it is\n" in held.command
    assert (there / "file").read_text() == "as it was\n"
    assert [path.name for path in there.iterdir()] == ["file"]
    await ana.vote(held, Choice.APPROVE, "fine")
    done = await house.finish(process)
    assert done.status == 0, done.stderr
    assert (there / "file").read_text() == "as it is\n"
    assert (there / "file").stat().st_mode & 0o777 == 0o600


async def test_denied(house: House, ana: Client, tree: Path, there: Path) -> None:
    done, _ = await copied(house, ana, "-r", tree, tree / "a", far(there), choice=Choice.DENY)
    assert done.status != 0
    assert "not today" in done.stderr
    assert [path.name for path in there.iterdir()] == ["file"]


async def test_where_policy_forbids_the_path(house: House, ana: Client, tree: Path, there: Path) -> None:
    """The others of the same run are held by themselves, and scp says that not all of it went well."""
    (there / "forbidden").mkdir()
    (tree / "forbidden").mkdir()
    (tree / "forbidden" / "x").write_text("x")
    done, held = await copied(house, ana, "-r", tree, far(there))
    assert b"forbidden" not in held.command
    assert done.status != 0
    assert "forbidden" in done.stderr
    assert not (there / "tree" / "forbidden").exists()
    assert (there / "tree" / "b" / "c").read_bytes() == FILES["b/c"]
    done = await house.finish(await scp(house, "-O", far(tree / "forbidden" / "x"), there / "got"))
    assert (done.status, "policy denies it" in done.stderr) == (1, True), done.stderr
    assert not (there / "got").exists()


@pytest.mark.parametrize("change", [another_content, a_link, a_linked_directory])
async def test_changed_while_a_person_looks(
    house: House, ana: Client, there: Path, tmp_path: Path, change: Callable[[Path], None]
) -> None:
    (tmp_path / "new").write_text("as it is\n")
    process = await scp(house, "-O", tmp_path / "new", far(there / "file"))
    held = await house.held(ana)
    change(there)
    before = listed(there)
    await ana.vote(held, Choice.APPROVE, "fine")
    done = await house.finish(process)
    assert (done.status, "0 of 1 changes were made" in done.stderr) == (1, True), done.stderr
    assert listed(there) == before


async def test_a_thousand_files(house: House, ana: Client, there: Path, tmp_path: Path) -> None:
    (tmp_path / "many").mkdir()
    for number in range(1000):
        (tmp_path / "many" / f"{number:04}").write_text(f"number {number}\n")
    done, held = await copied(house, ana, "-r", tmp_path / "many", far(there))
    assert done.status == 0, done.stderr
    assert held.command.startswith(b"sftp: 1001 changes: 1 mkdir, 1000 write\n")
    assert {path.name: path.read_text() for path in (there / "many").iterdir()} == {
        f"{number:04}": f"number {number}\n" for number in range(1000)
    }
    back = await house.finish(await scp(house, "-O", "-r", far(there / "many"), tmp_path / "back"))
    assert back.status == 0, back.stderr
    assert len(list((tmp_path / "back").iterdir())) == 1000


async def test_64_mib(house: House, ana: Client, there: Path, tmp_path: Path) -> None:
    data = os.urandom(1 << 20) * 64
    (tmp_path / "big").write_bytes(data)
    done, _ = await copied(house, ana, tmp_path / "big", far(there))
    assert done.status == 0, done.stderr
    assert (there / "big").read_bytes() == data
    back = await house.finish(await scp(house, "-O", far(there / "big"), tmp_path / "back"))
    assert back.status == 0, back.stderr
    assert (tmp_path / "back").read_bytes() == data


async def test_paths_are_taken_as_they_are_written(house: House, ana: Client, there: Path, tmp_path: Path) -> None:
    (there / "*").write_text("a star\n")
    got = await house.finish(await scp(house, "-O", "-T", far(f"'{there}/*'"), tmp_path / "got"))
    assert (got.status, (tmp_path / "got").read_text()) == (0, "a star\n"), got.stderr
    for path, said in ((f"{there}/f*", "without -O"), ("~nobody/x", "~NAME"), (f"{there}/$HOME", "without -O")):
        got = await house.finish(await scp(house, "-O", far(path), tmp_path / "none"))
        assert (got.status != 0, said in got.stderr) == (True, True), got.stderr
        assert not (tmp_path / "none").exists()


async def test_a_policy_that_denies_the_command_still_does(house: House, there: Path, tmp_path: Path) -> None:
    done = await house.finish(await scp(house, "-O", "-v", there / "file", far(there / "new")))
    assert (done.status != 0, "policy denies it" in done.stderr) == (True, True), done.stderr
    assert not (there / "new").exists()


async def test_into_what_is_not_there_and_onto_a_directory(house: House, ana: Client, there: Path, tree: Path) -> None:
    done = await house.finish(await scp(house, "-O", tree / "a", far(there / "none" / "a")))
    assert (done.status, "No such file" in done.stderr) == (1, True), done.stderr
    done = await house.finish(await scp(house, "-O", tree / "a", tree / "big", far(there / "file")))
    assert (done.status, "is no directory" in done.stderr) == (1, True), done.stderr
    done = await house.finish(await scp(house, "-O", far(there), there / "x"))
    assert (done.status, "not a regular file" in done.stderr) == (1, True), done.stderr
    done = await house.finish(await scp(house, "-O", far(there / "none"), there / "x"))
    assert (done.status, "no such file" in done.stderr) == (1, True), done.stderr


async def test_links_are_followed_and_lead_nowhere_twice(house: House, there: Path, tmp_path: Path) -> None:
    (there / "link").symlink_to("file")
    (there / "loop").symlink_to(".")
    done = await house.finish(await scp(house, "-O", "-r", far(there), tmp_path / "got"))
    assert (done.status, "leads back" in done.stderr) == (1, True), done.stderr
    assert (tmp_path / "got" / "link").read_text() == "as it was\n"
    assert not (tmp_path / "got" / "loop").exists()


# --- clients that are not OpenSSH's ----------------------------------------------------------------------------------


async def spoken(house: House, command: str, *said: bytes) -> Outcome:
    """The far end of scp, told these lines by OpenSSH's ssh."""
    return await house.run("web-1", command, stdin=b"".join(said))


@pytest.mark.parametrize(
    "said",
    [
        b"C0644 2 ../canary\nx\n\0",
        b"C0644 2 /tmp/canary\nx\n\0",
        b"D0755 0 ..\nC0644 2 canary\nx\n\0E\n",
        b"C0644 99 canary\nshort",
        b"C0644 2 canary\nx\n\0C0644 2 broken",
        b"C0644 2 canary\nx\n\0D0755 0 inside\n",
        b"C0644 2 canary\nx\n\0E\n",
        b"C0644 2 canary\nx\n\0\2scp: it failed\n",
        b"C0644 2 canary\nx\n\0" + b"C" * 5000,
        b"C0644 -1 canary\n",
        b"\0" * 10,
    ],
)
async def test_what_breaks_the_protocol_writes_nothing(house: House, ana: Client, there: Path, said: bytes) -> None:
    done = await spoken(house, f"scp -r -t {there}", said)
    assert (done.status, "bastion: error: the client" in done.stderr) == (125, True), done.stderr
    assert [path.name for path in there.iterdir()] == ["file"]
    assert not (there.parent / "canary").exists()


async def test_a_client_that_does_not_look_at_the_status_waits_behind_each_file(
    house: House, ana: Client, there: Path, tmp_path: Path
) -> None:
    """asyncssh's scp, and paramiko's: the answer to the file is the last word for them."""
    import asyncssh

    (tmp_path / "new").write_text("as it is\n")
    async with asyncssh.connect(
        "127.0.0.1", house.port, username="web-1", client_keys=[str(house.work / "agent-7")],
        known_hosts=str(house.work / "known_hosts"), config=None, agent_path=None,
    ) as connection:  # fmt: skip
        copying = asyncio.create_task(asyncssh.scp(str(tmp_path / "new"), (connection, str(there / "file"))))
        await house.decide(ana, Choice.DENY, "not today")
        with pytest.raises(asyncssh.SFTPError, match="not today"):
            await copying
        copying = asyncio.create_task(asyncssh.scp(str(tmp_path / "new"), (connection, str(there / "file"))))
        await house.decide(ana, Choice.APPROVE, "fine")
        await copying
    assert (there / "file").read_text() == "as it is\n"


async def test_an_agent_that_leaves_while_it_is_held(house: House, ana: Client, there: Path, tmp_path: Path) -> None:
    """The same again takes up the same request."""
    (tmp_path / "new").write_text("as it is\n")
    process = await scp(house, "-O", tmp_path / "new", far(there / "file"))
    held = await house.held(ana)
    process.terminate()
    await process.wait()
    assert (there / "file").read_text() == "as it was\n"
    again = await scp(house, "-O", tmp_path / "new", far(there / "file"))
    assert again.stderr is not None
    told = b""
    async with asyncio.timeout(20):
        while b"attached" not in told:
            told += await again.stderr.readline()
    await ana.vote(held, Choice.APPROVE, "fine")
    assert await again.wait() == 0
    assert (there / "file").read_text() == "as it is\n"


async def test_a_break_is_no_byte_of_it(house: House, ana: Client, there: Path, tmp_path: Path) -> None:
    """RFC 4335; a client may send one between two bytes."""
    import asyncssh

    async with asyncssh.connect(
        "127.0.0.1", house.port, username="web-1", client_keys=[str(house.work / "agent-7")],
        known_hosts=str(house.work / "known_hosts"), config=None, agent_path=None,
    ) as connection:  # fmt: skip
        process = await connection.create_process(f"scp -t {there}/file", encoding=None)
        process.stdin.write(b"C0644 9 x\nas it")
        process.channel.send_break(1)
        process.stdin.write(b" is\n\0")
        process.stdin.write_eof()
        await house.decide(ana, Choice.APPROVE, "fine")
        done = await process.wait()
    assert (done.exit_status, (there / "file").read_text()) == (0, "as it is\n"), done.stderr
