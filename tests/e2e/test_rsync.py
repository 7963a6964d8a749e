"""Uploads by rsync through the bastion: received, shown, approved, applied like SFTP. Promises P1, P2, P6."""

from __future__ import annotations

import asyncio
import os
import random
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bastion.control import wire
from bastion.control.client import Client
from bastion.model import Choice
from bastion.sftp.staging import remove
from tests.support.house import House, Outcome
from tests.support.meddling import a_link, a_linked_directory, another_content, something_new
from tests.support.ports import until, wait_until
from tests.support.sftp import READS_FLOW, far
from tests.support.sshd import Sshd, descendants

pytestmark = pytest.mark.e2e

HOUSE_POLICY = READS_FLOW

EARLY = (125, 12)
"""rsync's status where it is refused before its protocol begins: ssh's own, or "error in the data stream" where rsync
sees the end of the stream before ssh has ended, for which it does not wait."""


@pytest.fixture
def there(tmp_path: Path) -> Path:
    """A directory of the target, with something in it."""
    made = tmp_path / "target"
    (made / "old").mkdir(parents=True)
    (made / "old" / "er").write_text("to go\n")
    (made / "file").write_text("as it was\n")
    (made / "file").chmod(0o600)
    return made


@pytest.fixture(autouse=True)
def nothing_is_left(house: House, there: Path) -> Iterator[None]:
    yield
    assert list(house.config.staging.iterdir()) == []
    assert [path.name for path in there.rglob(".bastion-*")] == []


async def rsync(house: House, *words: str | Path, options: tuple[str, ...] = ()) -> asyncio.subprocess.Process:
    """rsync over the agent's ssh."""
    ssh = " ".join(house.ssh_command("web-1", options=options)[:-1])
    return await asyncio.create_subprocess_exec(
        "rsync", "-e", ssh, *map(str, words), stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE, cwd=house.work, start_new_session=True,
        env={"PATH": os.environ["PATH"], "HOME": str(house.work)},
    )  # fmt: skip


async def sent(
    house: House, ana: Client, *words: str | Path, choice: Choice = Choice.APPROVE
) -> tuple[Outcome, wire.RequestInfo]:
    """Sync, decide the one request that it makes; how it ended, and what was held."""
    process = await rsync(house, *words)
    held = await house.decide(ana, choice, "not today")
    return await house.finish(process), held


FILES = {"a": b"a" * 100, "b/c": bytes(range(256)) * 64, "b/empty": b"", "b/d/a b": b"x\n", "file": b"as it is\n"}


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for name, data in FILES.items():
        path = tmp_path / "tree" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    os.utime(tmp_path / "tree" / "a", (1_000_000_000, 1_000_000_001))
    (tmp_path / "tree" / "a").chmod(0o640)
    (tmp_path / "tree" / "link").symlink_to("b/c")
    (tmp_path / "tree" / "b").chmod(0o750)
    for directory in ("b/d", "b", "."):  # not of this second, in which rsync would see no difference
        os.utime(tmp_path / "tree" / directory, (1_000_000_000, 1_000_000_002))
    return tmp_path / "tree"


def listed(directory: Path) -> dict[str, tuple[int, int, bytes]]:
    """Modes, times and contents of all that is below; of links where they lead."""
    found = {}
    for path in sorted(directory.rglob("*")):
        status = path.lstat()
        if path.is_symlink():
            found[str(path.relative_to(directory))] = (0, 0, os.fsencode(os.readlink(path)))
            continue
        content = path.read_bytes() if path.is_file() else b""
        found[str(path.relative_to(directory))] = (status.st_mode, int(status.st_mtime), content)
    return found


async def test_a_tree_both_ways(house: House, ana: Client, tree: Path, there: Path, tmp_path: Path) -> None:
    before = listed(there)
    process = await rsync(house, "-a", "--delete", f"{tree}/", far(f"{there}/"))
    held = await house.held(ana)
    assert held.kind == "transfer"
    shown = held.command.decode()
    assert f"write {there}/file\n        replaces a file of 10 bytes, mode 0600" in shown.replace(
        "\n    r", "\n        r"
    )
    assert "    | -as it was\n    | +as it is\n" in shown
    assert f" remove {there}/old/er\n" in shown
    assert "    | -to go\n" in shown
    assert f" rmdir {there}/old\n" in shown
    assert f" symlink {there}/link\n" in shown
    assert listed(there) == before
    waiting = [path for path in house.config.staging.rglob("*/*") if path.name != "jail"]  # where rsync ran
    assert sorted(path.stat().st_size for path in waiting) == sorted(map(len, FILES.values()))
    await ana.vote(held, Choice.APPROVE, "fine")
    done = await house.finish(process)
    assert done.status == 0, done.stderr
    assert listed(there) == listed(tree)
    again = await house.finish(await rsync(house, "-a", "--delete", f"{tree}/", far(f"{there}/")))
    assert (again.status, again.stdout) == (0, b""), again
    back, held = await sent(house, ana, "-a", far(f"{there}/"), f"{tmp_path}/back/")  # what is forbidden may be in it
    assert (held.kind, held.tier) == ("exec", "low")
    assert back.status == 0, back.stderr
    assert listed(tmp_path / "back") == listed(tree)


async def test_denied(house: House, ana: Client, tree: Path, there: Path) -> None:
    before = listed(there)
    done, _ = await sent(house, ana, "-a", "--delete", f"{tree}/", far(f"{there}/"), choice=Choice.DENY)
    assert done.status == 126
    assert "not today" in done.stderr
    assert listed(there) == before


async def test_one_file_and_what_is_beside_it_stays(
    house: House, ana: Client, there: Path, tree: Path, tmp_path: Path
) -> None:
    done, held = await sent(house, ana, "-a", tree / "a", far(f"{there}/"))
    assert done.status == 0, done.stderr
    assert held.command.startswith(b"sftp: 1 change: write %s/a\n" % bytes(there))
    assert (there / "a").stat().st_mode & 0o777 == 0o640
    assert int((there / "a").stat().st_mtime) == 1_000_000_001
    done, held = await sent(house, ana, tree / "a", far(there / "file"))
    assert done.status == 0, done.stderr
    assert (there / "file").read_bytes() == FILES["a"]
    assert (there / "file").stat().st_mode & 0o777 == 0o600
    done, _ = await sent(house, ana, tree / "a", far(there / "as-this"))
    assert (done.status, (there / "as-this").read_bytes()) == (0, FILES["a"]), done.stderr
    done, _ = await sent(house, ana, "-r", tree / "b", far(there / "new"))
    assert (done.status, (there / "new" / "b" / "c").read_bytes()) == (0, FILES["b/c"]), done.stderr


async def test_kinds_that_change_places(house: House, ana: Client, there: Path, tree: Path) -> None:
    """A directory where a file was, a file where a directory was, a link where a file was, and a link that is moved."""
    (there / "b").write_text("a file\n")
    (there / "a" / "deep").mkdir(parents=True)
    (there / "a" / "deep" / "x").write_text("x")
    (there / "file").unlink()
    (there / "file").symlink_to("/etc/passwd")
    (there / "link").symlink_to("old")
    shown = listed(there)
    process = await rsync(house, "-a", "--delete", f"{tree}/", far(f"{there}/"))
    held = await house.held(ana)
    assert listed(there) == shown
    await ana.vote(held, Choice.APPROVE, "fine")
    done = await house.finish(process)
    assert done.status == 0, done.stderr
    assert listed(there) == listed(tree)


async def test_where_policy_forbids_the_path(house: House, there: Path, tree: Path) -> None:
    """The whole is refused, before anybody is asked: a tree with holes is not what the agent meant."""
    (there / "forbidden").mkdir()
    (there / "forbidden" / "secret").write_text("x")
    (tree / "forbidden").mkdir()
    (tree / "forbidden" / "secret").write_text("y")
    before = listed(there)
    done = await house.finish(await rsync(house, "-a", f"{tree}/", far(f"{there}/")))
    assert (done.status, "policy denies it" in done.stderr) == (126, True), done.stderr
    shutil.rmtree(tree / "forbidden")
    done = await house.finish(await rsync(house, "-a", "--delete", f"{tree}/", far(f"{there}/")))
    assert (done.status in EARLY, "was not looked into" in done.stderr) == (True, True), done.stderr
    assert listed(there) == before


async def test_what_is_there_already_is_not_asked_about(house: House, ana: Client, there: Path, tree: Path) -> None:
    done = await house.finish(await rsync(house, "-a", "--existing", tree / "a", far(f"{there}/")))
    assert done.status == 0, done.stderr
    done = await house.finish(await rsync(house, "-an", "--delete", "-i", f"{tree}/", far(f"{there}/")))
    assert (done.status, b"deleting   old/er" in done.stdout) == (0, True), done
    done = await house.finish(await rsync(house, "-rc", there / "file", far(f"{there}/")))
    assert done.status == 0, done.stderr


@pytest.mark.parametrize("change", [another_content, a_link, a_linked_directory, something_new])
async def test_changed_while_a_person_looks(
    house: House, ana: Client, there: Path, tree: Path, change: Callable[[Path], None]
) -> None:
    process = await rsync(house, "-a", "--delete", f"{tree}/", far(f"{there}/"))
    held = await house.held(ana)
    change(there)
    before = (there / "file").read_bytes()
    await ana.vote(held, Choice.APPROVE, "fine")
    done = await house.finish(process)
    assert (done.status, "changes were made" in done.stderr) == (125, True), done.stderr
    if change is something_new:  # all that was shown is done, and nothing else
        assert (there / "old" / "new").read_text() == "nobody saw this\n"
    else:
        assert "0 of " in done.stderr
        assert (there / "file").read_bytes() == before
        assert not (there / "a").exists()


async def test_a_thousand_files(house: House, ana: Client, there: Path, tmp_path: Path) -> None:
    (tmp_path / "many").mkdir()
    for number in range(1000):
        (tmp_path / "many" / f"{number:04}").write_text(f"number {number}\n")
    done, held = await sent(house, ana, "-r", tmp_path / "many", far(f"{there}/"))
    assert done.status == 0, done.stderr
    assert held.command.startswith(b"sftp: 1001 changes: 1 mkdir, 1000 write\n")
    assert {path.name: path.read_text() for path in (there / "many").iterdir()} == {
        f"{number:04}": f"number {number}\n" for number in range(1000)
    }


async def test_64_mib(house: House, ana: Client, there: Path, tmp_path: Path) -> None:
    data = os.urandom(1 << 20) * 64
    (tmp_path / "big").write_bytes(data)
    done, _ = await sent(house, ana, tmp_path / "big", far(f"{there}/"))
    assert done.status == 0, done.stderr
    assert (there / "big").read_bytes() == data


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("-aH",), "hard links"),
        (("-a", "--inplace"), "replaced whole"),
        (("-a", "--remove-source-files"), "before anybody decided"),
        (("-a", "--link-dest=../x"), "--link-dest is not taken"),
        (("-a", "--backup-dir=x", "-b"), "backups"),
    ],
)
async def test_options_that_are_not_taken(house: House, there: Path, tree: Path, words: tuple[str], said: str) -> None:
    done = await house.finish(await rsync(house, *words, f"{tree}/", far(f"{there}/")))
    assert (done.status != 0, said in done.stderr, "BASTION_RSYNC=stream" in done.stderr) == (True, True, True), done
    assert (tree / "a").exists()


async def test_a_stream_that_nobody_sees_is_asked_for_by_name(
    house: House, ana: Client, there: Path, tree: Path
) -> None:
    process = await rsync(house, "-a", f"{tree}/", far(f"{there}/"), options=("-o", "SetEnv=BASTION_RSYNC=stream"))
    held = await house.held(ana)
    assert (held.kind, held.stdin) == ("exec", "stream")
    await ana.vote(held, Choice.APPROVE, "fine")
    done = await house.finish(process)
    assert (done.status, (there / "a").read_bytes()) == (0, FILES["a"]), done.stderr


async def test_an_agent_that_leaves_while_it_is_held(house: House, ana: Client, there: Path, tree: Path) -> None:
    """The same again takes up the same request."""
    words = ("-r", f"{tree}/", far(f"{there}/"))
    process = await rsync(house, *words)
    held = await house.held(ana)
    os.killpg(process.pid, signal.SIGKILL)  # its ssh too, which would stay
    await process.wait()
    again = await rsync(house, *words)
    assert again.stderr is not None
    told = b""
    async with asyncio.timeout(20):
        while b"attached" not in told:
            told += await again.stderr.readline()
    await ana.vote(held, Choice.APPROVE, "fine")
    assert await again.wait() == 0
    assert (there / "file").read_bytes() == FILES["file"]


async def test_what_is_no_rsync(house: House, there: Path) -> None:
    done = await house.run("web-1", f"rsync --server -logDtpre.iLsfxCIvu . {there}/", stdin=b"\x00" * 100)
    assert done.status in EARLY
    assert "nothing of it is written" in done.stderr


async def test_more_than_staging_holds(sshd: Sshd, tmp_path: Path) -> None:
    """Counted while it comes: what is compressed on its way, too. Nothing is written, and nothing is left."""
    (tmp_path / "small").mkdir()
    house = House(tmp_path / "small", READS_FLOW)
    house.add_target("web-1", sshd)
    house.configure("\n[transfers]\nlargest_mib = 32\nstaging_mib = 64\n")
    (tmp_path / "much").mkdir()
    for number in range(4):
        with (tmp_path / "much" / str(number)).open("wb") as file:
            file.write(b"x" * (20 << 20))
    house.start()
    try:
        done = await house.finish(await rsync(house, "-rz", tmp_path / "much", far(tmp_path / "there")))
        assert (done.status in EARLY, "transfers of agent-7 that wait have" in done.stderr) == (True, True), done.stderr
        with (tmp_path / "large").open("wb") as file:
            file.write(b"x" * (33 << 20))
        done = await house.finish(await rsync(house, "-z", tmp_path / "large", far(tmp_path / "there")))
        assert done.status != 0  # rsync's own, 11: its client does not wait for more words
        assert not (tmp_path / "there").exists()
        await asyncio.to_thread(wait_until, lambda: not list(house.config.staging.iterdir()), "nothing is left")
    finally:
        house.stop()


def grow(directory: Path, chance: random.Random, depth: int = 0) -> None:
    """Some files, links and directories, of a few names, so that those of two trees meet."""
    directory.mkdir(exist_ok=True)
    for name in chance.sample("abcdefgh", 5):
        path = directory / name
        match chance.randrange(4 if depth < 3 else 3):
            case 0 | 1:
                path.write_bytes(chance.choice([b"", b"one\n", b"two\n", bytes(5000)]))
                path.chmod(chance.choice([0o600, 0o644, 0o755]))
            case 2:
                path.symlink_to(chance.choice(["a", "b/c", "/etc/hosts", "nowhere"]))
            case _:
                grow(path, chance, depth + 1)
                path.chmod(chance.choice([0o700, 0o755]))
        if not path.is_symlink():
            seconds = chance.randrange(1_000_000_000, 1_000_000_004)
            os.utime(path, (seconds, seconds))


@pytest.mark.parametrize("seed", range(4))
async def test_any_tree_becomes_any_other(house: House, ana: Client, tmp_path: Path, there: Path, seed: int) -> None:
    """What rsync -a --delete promises, whatever stood there: with checksums, as sizes and times meet here by chance."""
    chance = random.Random(seed)
    grow(tmp_path / "from", chance)
    grow(tmp_path / "to", chance)
    before = listed(tmp_path / "to")
    words = ("-ac", "--delete", f"{tmp_path}/from/", far(tmp_path / "to"))
    process = await rsync(house, *words)
    held = await house.held(ana)
    assert listed(tmp_path / "to") == before
    await ana.vote(held, Choice.APPROVE, "fine")
    done = await house.finish(process)
    assert done.status == 0, done.stderr
    assert listed(tmp_path / "to") == listed(tmp_path / "from")


async def test_a_bastion_that_is_killed_leaves_nothing_running(sshd: Sshd, tmp_path: Path) -> None:
    (tmp_path / "small").mkdir()
    house = House(tmp_path / "small", READS_FLOW)
    house.add_target("web-1", sshd)
    (tmp_path / "much").write_bytes(os.urandom(8 << 20))
    house.start()
    before = set(descendants(house.pid))
    process = await rsync(house, "--bwlimit=100", tmp_path / "much", far(tmp_path / "there"))

    def caged() -> list[int]:
        return [pid for pid in set(descendants(house.pid)) - before if b"--server" in cmdline(pid)]

    await asyncio.to_thread(wait_until, caged, "rsync runs")
    running = caged()
    house.stop(signal.SIGKILL)
    await asyncio.to_thread(wait_until, lambda: not any(map(cmdline, running)), "rsync has ended")
    assert (await house.finish(process)).status != 0
    house.start()
    try:
        assert list(house.config.staging.iterdir()) == []
        assert not (tmp_path / "there").exists()
    finally:
        house.stop()


def cmdline(pid: int) -> bytes:
    """Of a process; empty when it has ended."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


@pytest.mark.parametrize("when", [-86_400, 1 << 32])
async def test_dates_that_sftp_cannot_set(house: House, there: Path, tree: Path, when: int) -> None:
    os.utime(tree / "b" / "c", (when, when))
    if (tree / "b" / "c").stat().st_mtime != when:
        pytest.skip("nor can the disk")
    done = await house.finish(await rsync(house, "-a", f"{tree}/", far(f"{there}/")))
    assert (done.status in EARLY, "2106" in done.stderr) == (True, True), done.stderr
    assert not (there / "b").exists()


async def test_a_new_directory_that_became_a_link_is_not_followed(
    house: House, ana: Client, there: Path, tree: Path, tmp_path: Path
) -> None:
    """Its mode is set when all is in it: by then somebody else may have put a link there."""
    (tree / "z").mkdir(mode=0o777)
    (tree / "z").chmod(0o777)
    (tree / "zz").write_bytes(os.urandom(24 << 20))
    victim = tmp_path / "victim"
    victim.mkdir(mode=0o700)
    process = await rsync(house, "-a", f"{tree}/", far(f"{there}/"))
    await house.decide(ana, Choice.APPROVE, "fine")
    await until((there / "z").is_dir, "the directory is made")
    (there / "z").rename(there / "moved")
    (there / "z").symlink_to(victim)
    assert not (there / "zz").exists()
    done = await house.finish(process)
    assert (done.status in EARLY, "leads to" in done.stderr) == (True, True), done.stderr
    assert victim.stat().st_mode & 0o777 == 0o700


async def test_a_target_with_more_directories_in_one_another_than_are_walked(
    house: House, there: Path, tree: Path
) -> None:
    """What looks like it would take the daemon's stack, and its next start could not remove it."""
    os.makedirs(there / "/".join("d" * 600))
    done = await house.finish(await rsync(house, "-r", tree / "a", far(f"{there}/")))
    assert (done.status in EARLY, "in one another" in done.stderr) == (True, True), done.stderr
    assert not (there / "a").exists()
    (there / "d").rename(there.parent / "deep")
    remove(there.parent / "deep")
